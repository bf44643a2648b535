use crate::{
    codec::Codec,
    conf::Conf,
    switch::{CapBy, KeysOut, Trail, Voucher, What},
};

const CARRIER: &str = r#"
[[trunk]]
name = "carrier"
target = ["sip:sip.carrier.example", "sip:192.0.2.7:5070;transport=tcp"]
source = ["192.0.2.0/24", "2001:db8::7"]
trusted = true
max_calls = 30
max_calls_per_second = 5
codecs = ["PCMA"]
in_called = [{ number = "0*", strip = 1, prepend = "+49" }]
from_host = "carrier.example"
identity = "pai"
diversion = "keep"
history = "set"
headers = [{ action = "set", name = "X-Account", value = "{trunk}" }, { action = "remove", name = "X-Inner" }]
keys_out = "info"
user = "acct7"
password = "geheim7"
register = "sip:reg.carrier.example:5070"
options_s = 30

[outbound]
allow_uris = false
rewrite = [{ number = "00*", strip = 2, prepend = "+" }]

[[outbound.rule]]
number = "+49*"
trunk = "carrier"
price = 0.015
priority = 2

[[outbound.rule]]
number = "+49900*"

[[outbound.cap]]
number = "+*"
by = "caller"
spend = 20.5
"#;

#[test]
fn trunks_and_rules_are_read() {
    let trunking = Conf::read("x.toml", CARRIER).unwrap().trunking;
    let trunk = trunking.trunk("carrier").unwrap();
    assert_eq!(trunk.targets[1].to_string(), "sip:192.0.2.7:5070;transport=tcp");
    assert!(trunk.sources[0].contains("192.0.2.9".parse().unwrap()));
    assert_eq!((trunk.calls, trunk.calls_per_second, trunk.codecs.as_slice()), (30, 5, &[Codec::Pcma][..]));
    assert_eq!((trunk.identity.voucher, trunk.identity.diversion), (Voucher::Asserted, Trail::Keep));
    assert_eq!(trunk.keys_out, KeysOut::Info);
    assert_eq!(trunk.headers[0].what, What::Set("{trunk}".into()));
    let account = trunk.registration.as_ref().unwrap();
    assert_eq!(account.registrar.to_string(), "sip:reg.carrier.example:5070");
    assert_eq!((account.address.to_string().as_str(), account.expires.as_secs()), ("sip:acct7@carrier.example", 600));
    assert!(trunk.credentials.is_some() && !format!("{trunk:?}").contains("geheim7"));
    let outbound = &trunking.outbound;
    assert!(!outbound.allow_uris && outbound.emergency.contains("112"));
    assert_eq!((outbound.rules[0].price, outbound.rules[0].priority, outbound.rules[0].weight), (15_000, 2, 1));
    assert_eq!(outbound.rules[1].trunk, None);
    let cap = &outbound.caps[0];
    assert_eq!((cap.by, cap.calls, cap.spend), (CapBy::Caller, None, Some(20_500_000)));
    assert_eq!((cap.period.as_secs(), cap.alarm), (3600, 80));
}

#[test]
fn without_a_word_nothing_may_go_out_over_trunks() {
    let trunking = Conf::read("x.toml", "").unwrap().trunking;
    assert!(trunking.trunks.is_empty() && trunking.outbound.rules.is_empty() && trunking.outbound.allow_uris);
}

#[test]
fn faults_of_trunks_name_their_line_and_what_is_allowed() {
    for (from, to, want) in [
        ("name = \"carrier\"", "name = \"a b\"", "x.toml:3: trunk[0].name: found \"a b\"; allowed: letters, digits, "),
        ("sip:sip.carrier.example", "sip:u@x", "x.toml:4: trunk[0].target: found \"sip:u@x\"; allowed: sip:host, "),
        ("192.0.2.0/24", "192.0.2.0/44", "x.toml:5: trunk[0].source: found \"192.0.2.0/44\"; allowed: an IP address"),
        (
            "\"PCMA\"",
            "\"iLBC\"",
            "x.toml:9: trunk[0].codecs: found \"iLBC\"; allowed: PCMU, PCMA, G722, opus, L16, L16/16000, G729",
        ),
        ("\"pai\"", "\"paid\"", "x.toml:12: trunk[0].identity: found \"paid\"; allowed: none, pai, ppi, rpid"),
        (
            "X-Inner",
            "Via",
            "x.toml:15: trunk[0].headers: found \"Via\"; allowed: a header that the stack does not need",
        ),
        ("\"info\"", "\"mail\"", "x.toml:16: trunk[0].keys_out: found \"mail\"; allowed: auto, rfc4733, info, inband"),
        (
            "trunk = \"carrier\"",
            "trunk = \"x\"",
            "x.toml:28: outbound.rule[0].trunk: found \"x\"; allowed: the name of a",
        ),
        ("0.015", "-1.0", "x.toml:29: outbound.rule[0].price: found -1; allowed: 0 to 1000000"),
        ("\"+49900*\"", "\"+*1\"", "x.toml:33: outbound.rule[1].number: found \"+*1\" (`*` may only stand at the end)"),
        ("spend = 20.5", "", "outbound.cap[0].calls: found neither calls nor spend; allowed: one of both, or both"),
        ("by = \"caller\"", "by = \"me\"", "x.toml:37: outbound.cap[0].by: found \"me\"; allowed: trunk, caller, all"),
        ("password = \"geheim7\"", "proves = true", "trunk[0].proves: found true without user and password"),
        ("trusted = true", "trust = true", "unknown key `trust`, expected one of"),
    ] {
        assert!(CARRIER.contains(from));
        let told = Conf::read("x.toml", &CARRIER.replace(from, to)).unwrap_err().to_string();
        assert!(told.contains(want), "{told}\n{want}");
    }
    let twice = format!("{CARRIER}\n[[trunk]]\nname = \"carrier\"\n");
    assert!(Conf::read("x.toml", &twice).unwrap_err().to_string().contains("allowed: each name once"));
}
