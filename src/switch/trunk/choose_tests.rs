use std::collections::BTreeSet;

use super::*;
use crate::switch::{Pattern, trunk::Rewrite};

fn trunk(name: &str) -> Arc<Trunk> {
    let target = Uri::parse(&format!("sip:{name}.example")).unwrap();
    Arc::new(Trunk { targets: vec![target], ..Trunk::new(name) })
}

fn rule(number: &str, trunk: &str) -> Rule {
    Rule {
        number: Pattern::parse(number).unwrap(),
        trunk: (!trunk.is_empty()).then(|| Arc::from(trunk)),
        strip: 0,
        prepend: String::new(),
        price: 0,
        priority: 1,
        weight: 1,
    }
}

fn trunking(rules: Vec<Rule>) -> Trunking {
    let mut trunking = Trunking { trunks: vec![trunk("a"), trunk("b"), trunk("c")], ..Trunking::default() };
    trunking.outbound.rules = rules;
    trunking
}

fn uris(trunking: &Trunking, number: &str) -> Result<Vec<String>, Denied> {
    Ok(ways(trunking, number, || 0)?.into_iter().map(|way| way.uri.to_string()).collect())
}

#[test]
fn what_no_rule_names_is_denied() {
    assert_eq!(uris(&trunking(vec![]), "+4930"), Err(Denied::NoRule));
    assert_eq!(uris(&trunking(vec![rule("+49*", "a")]), "+4430"), Err(Denied::NoRule));
    assert_eq!(uris(&trunking(vec![rule("*", "a")]), "00 49"), Err(Denied::NoNumber));
    assert_eq!(uris(&trunking(vec![rule("*", "a")]), "1@evil.example"), Err(Denied::NoNumber));
}

#[test]
fn a_denial_outranks_what_is_less_exact_and_its_equals() {
    let rules = trunking(vec![
        rule("+49*", "a"),
        rule("+49900*", ""),
        rule("+499001*", "b"),
        rule("+1*", ""),
        rule("+1*", "a"),
    ]);
    assert_eq!(uris(&rules, "+49301"), Ok(vec!["sip:+49301@a.example".into()]));
    assert_eq!(uris(&rules, "+499002"), Err(Denied::Forbidden));
    assert_eq!(
        uris(&rules, "+4990012").map(|ways| ways.len()),
        Ok(2),
        "an even more exact rule allows it again; the other carrier's own rule holds, too"
    );
    assert_eq!(uris(&rules, "+1555"), Err(Denied::Forbidden));
}

#[test]
fn priority_comes_before_price_and_price_before_weight() {
    let rules = trunking(vec![
        Rule { price: 20, ..rule("*", "a") },
        Rule { price: 10, ..rule("*", "b") },
        Rule { price: 90, priority: 0, ..rule("*", "c") },
    ]);
    let hosts = uris(&rules, "1").unwrap();
    assert_eq!(hosts, ["sip:1@c.example", "sip:1@b.example", "sip:1@a.example"]);
}

#[test]
fn each_carrier_has_its_most_exact_price() {
    let rules = trunking(vec![
        Rule { price: 20, ..rule("+49*", "a") },
        Rule { price: 10, ..rule("+49*", "b") },
        Rule { price: 50, ..rule("+491*", "b") },
    ]);
    assert_eq!(uris(&rules, "+4930").unwrap()[0], "sip:+4930@b.example");
    assert_eq!(uris(&rules, "+49171").unwrap(), ["sip:+49171@a.example", "sip:+49171@b.example"]);
}

#[test]
fn weights_share_the_calls() {
    let rules = trunking(vec![Rule { weight: 30, ..rule("*", "a") }, Rule { weight: 10, ..rule("*", "b") }]);
    let mut seed = 0;
    let mut first = BTreeMap::new();
    for _ in 0..4000 {
        let chance = || {
            seed += 7;
            seed
        };
        *first.entry(ways(&rules, "1", chance).unwrap()[0].trunk.to_string()).or_insert(0) += 1;
    }
    assert!((2900..3100).contains(&first["a"]) && (900..1100).contains(&first["b"]), "{first:?}");
}

#[test]
fn the_number_is_rewritten_before_the_rules_and_for_the_carrier() {
    let mut rules = trunking(vec![Rule { strip: 1, prepend: "00".into(), ..rule("+49*", "a") }]);
    rules.outbound.rewrite = vec![Rewrite::new("0*", 1, "+49").unwrap()];
    let way = &ways(&rules, "030123", || 0).unwrap()[0];
    assert_eq!((way.uri.to_string().as_str(), &*way.number), ("sip:004930123@a.example", "+4930123"));
}

#[test]
fn a_carrier_with_several_targets_has_several_ways() {
    let mut rules = trunking(vec![rule("*", "a")]);
    Arc::make_mut(&mut rules.trunks[0]).targets.push(Uri::parse("sip:192.0.2.7:5070;transport=tcp").unwrap());
    assert_eq!(uris(&rules, "*9#").unwrap(), ["sip:*9%23@a.example", "sip:*9%23@192.0.2.7:5070;transport=tcp"]);
    Arc::make_mut(&mut rules.trunks[0]).targets.clear();
    assert_eq!(uris(&rules, "1"), Err(Denied::NoTarget));
}

#[test]
fn emergency_numbers_need_no_rule_and_go_over_every_carrier() {
    let mut rules = trunking(vec![rule("112", "b"), rule("*", "")]);
    rules.outbound.emergency = BTreeSet::from(["112".into(), "110".into()]);
    assert_eq!(uris(&rules, "112").unwrap(), ["sip:112@b.example", "sip:112@a.example", "sip:112@c.example"]);
    assert_eq!(uris(&rules, "110").unwrap().len(), 3, "a denial does not stop it");
    assert!(ways(&rules, "110", || 0).unwrap().iter().all(|way| way.emergency));
    assert!(is_emergency(&rules, "112") && !is_emergency(&rules, "113"));
}
