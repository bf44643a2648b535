//! Which carriers a number goes over, and in which order: rules, priority, price, weight.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    Rule, Trunk, Trunking,
    config::{rewritten, stripped},
};
use crate::sip::Uri;

/// One carrier's way to a number.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::switch) struct Way {
    /// The carrier.
    pub trunk: Arc<str>,
    /// Which of its targets.
    pub target: usize,
    /// The number at that target.
    pub uri: Uri,
    /// What was dialled, in the form that the rules know it: caps count by it.
    pub number: Arc<str>,
    /// What a minute costs, in millionths.
    pub price: u64,
    /// It passes every limit.
    pub emergency: bool,
}

/// Why a number may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) enum Denied {
    /// No rule names it.
    NoRule,
    /// A rule without carrier names it.
    Forbidden,
    /// The rules' carriers take no calls.
    NoTarget,
    /// Not what a number can be.
    NoNumber,
}

impl Denied {
    pub const fn as_str(self) -> &'static str {
        match self {
            Denied::NoRule => "no outbound rule allows the number",
            Denied::Forbidden => "an outbound rule denies the number",
            Denied::NoTarget => "the number's trunks have no targets",
            Denied::NoNumber => "this is no number",
        }
    }
}

/// The ways to `dialled`, best first. `chance` yields random numbers.
pub(in crate::switch) fn ways(
    trunking: &Trunking,
    dialled: &str,
    chance: impl FnMut() -> u64,
) -> Result<Vec<Way>, Denied> {
    // Names of people are never a carrier's affair.
    let proper = |c: char| c.is_ascii_digit() || "+*#".contains(c);
    if dialled.is_empty() || dialled.len() > 64 || !dialled.chars().all(proper) {
        return Err(Denied::NoNumber);
    }
    let outbound = &trunking.outbound;
    let number = rewritten(&outbound.rewrite, dialled);
    if [dialled, &number].iter().any(|number| outbound.emergency.contains(*number)) {
        return emergency(trunking, dialled, &number, chance);
    }
    let rules = fitting(&outbound.rules, &number)?;
    let mut all = Vec::new();
    for rule in in_order(rules, chance) {
        let called = stripped(&number, rule.strip, &rule.prepend);
        all.extend(over(trunking, rule, &called, &number, false));
    }
    if all.is_empty() { Err(Denied::NoTarget) } else { Ok(all) }
}

/// True for what passes every limit.
pub(in crate::switch) fn is_emergency(trunking: &Trunking, dialled: &str) -> bool {
    let outbound = &trunking.outbound;
    !outbound.emergency.is_empty()
        && (outbound.emergency.contains(dialled) || outbound.emergency.contains(&rewritten(&outbound.rewrite, dialled)))
}

/// Emergency calls go over the carriers that the rules name for them, then over every other, the number as dialled.
fn emergency(
    trunking: &Trunking,
    dialled: &str,
    number: &str,
    chance: impl FnMut() -> u64,
) -> Result<Vec<Way>, Denied> {
    let rules = fitting(&trunking.outbound.rules, number).unwrap_or_default();
    let mut all: Vec<Way> = Vec::new();
    for rule in in_order(rules, chance) {
        let called = stripped(number, rule.strip, &rule.prepend);
        all.extend(over(trunking, rule, &called, number, true));
    }
    for trunk in &trunking.trunks {
        if all.iter().all(|way| way.trunk != trunk.name) {
            all.extend((0..trunk.targets.len()).map(|at| way(trunk, at, (dialled, number), 0, true)));
        }
    }
    if all.is_empty() { Err(Denied::NoTarget) } else { Ok(all) }
}

/// For each carrier its most exact rule. A denial that is as exact as the most exact of them counts.
fn fitting<'a>(rules: &'a [Rule], number: &str) -> Result<Vec<&'a Rule>, Denied> {
    let mut best: BTreeMap<Option<&str>, (usize, &Rule)> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.number.matches(number)) {
        let slot = best.entry(rule.trunk.as_deref()).or_insert((at, rule));
        if rule.number.exactness() > slot.1.number.exactness() {
            *slot = (at, rule);
        }
    }
    let denial = best.remove(&None).map(|(_, rule)| rule.number.exactness());
    let most = best.values().map(|(_, rule)| rule.number.exactness()).max();
    match (denial, most) {
        (None, None) => Err(Denied::NoRule),
        (Some(denial), most) if most.is_none_or(|most| denial >= most) => Err(Denied::Forbidden),
        (_, _) => {
            let mut found: Vec<_> = best.into_values().collect();
            found.sort_by_key(|(at, _)| *at);
            Ok(found.into_iter().map(|(_, rule)| rule).collect())
        }
    }
}

/// By priority, then by price; equals in an order by chance, the heavier ones more often in front (RFC 2782).
fn in_order(mut rules: Vec<&Rule>, mut chance: impl FnMut() -> u64) -> Vec<&Rule> {
    rules.sort_by_key(|rule| (rule.priority, rule.price, Reverse(rule.weight == 0)));
    let mut ordered = Vec::with_capacity(rules.len());
    while let Some(first) = rules.first() {
        let rank = (first.priority, first.price);
        let equals = rules.iter().take_while(|rule| (rule.priority, rule.price) == rank).count();
        let total: u64 = rules[..equals].iter().map(|rule| u64::from(rule.weight)).sum();
        let mut drawn = if total == 0 { 0 } else { chance() % total };
        let place = rules[..equals].iter().position(|rule| {
            let hit = drawn < u64::from(rule.weight);
            drawn = drawn.saturating_sub(u64::from(rule.weight));
            hit
        });
        ordered.push(rules.remove(place.unwrap_or(0)));
    }
    ordered
}

fn over<'a>(
    trunking: &'a Trunking,
    rule: &'a Rule,
    called: &'a str,
    number: &'a str,
    emergency: bool,
) -> impl Iterator<Item = Way> + 'a {
    let trunk = rule.trunk.as_deref().and_then(|name| trunking.trunk(name));
    trunk.into_iter().flat_map(move |trunk| {
        (0..trunk.targets.len()).map(move |at| way(trunk, at, (called, number), rule.price, emergency))
    })
}

fn way(trunk: &Trunk, target: usize, (called, number): (&str, &str), price: u64, emergency: bool) -> Way {
    let uri = Uri { user: Some(called.replace('#', "%23")), ..trunk.targets[target].clone() };
    Way { trunk: trunk.name.clone(), target, uri, number: Arc::from(number), price, emergency }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
