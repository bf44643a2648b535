use super::*;

fn fault(text: &str) -> String {
    Conf::read("x.toml", text).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_a_configuration() {
    let conf = Conf::read("defaults", DEFAULTS).unwrap();
    assert_eq!(conf, Conf::read("empty", "").unwrap(), "an empty file changes nothing");
    assert_eq!(conf.routes.len(), 5);
    assert_eq!(conf.sip.t1.as_millis(), 500);
}

#[test]
fn a_file_changes_only_what_it_names() {
    let conf = Conf::read("x.toml", "[sip]\nt1_ms = 250\n[[interface]]\nbind = \"127.0.0.1:0\"\n").unwrap();
    assert_eq!(conf.sip.t1.as_millis(), 250);
    assert_eq!(conf.sip.t2.as_millis(), 4000);
    assert_eq!(conf.interfaces.len(), 1);
    assert_eq!(conf.interfaces[0].bind, "127.0.0.1:0".parse().unwrap());
}

#[test]
fn every_default_has_its_line_of_why() {
    for line in DEFAULTS.lines().filter(|line| line.contains(" = ")) {
        let of_a_sample = ["number =", "script =", "vars ="].iter().any(|key| line.starts_with(key));
        assert!(of_a_sample || line.starts_with('#') || line.contains(" # "), "no why: {line}");
    }
}

#[test]
fn a_fault_names_file_line_key_what_was_found_and_what_is_allowed() {
    for (text, want) in [
        ("[sip]\n\nt1_ms = 5\n", "x.toml:3: sip.t1_ms: found 5; allowed: 10 to 10000"),
        ("[media]\ndriver = \"kqueue\"", "x.toml:2: media.driver: found \"kqueue\"; allowed: auto, io_uring, epoll"),
        ("[media]\nptime_ms = 25", "x.toml:2: media.ptime_ms: found 25; allowed: 10, 20, 30, 40 or 60"),
        (
            "[media]\nrtp_ports = \"9-1\"",
            "x.toml:2: media.rtp_ports: found \"9-1\"; allowed: FIRST-LAST, from 1024 to 65535, two or more ports",
        ),
        (
            "[media]\ncodecs = [\"iLBC\"]",
            "x.toml:2: media.codecs: found \"iLBC\"; allowed: PCMU, PCMA, G722, opus, L16, L16/16000, G729",
        ),
        (
            "[[interface]]\nbind = \"here\"",
            "x.toml:2: interface[0].bind: found \"here\"; allowed: address:port, such as 192.0.2.1:5060 or [::]:5060",
        ),
        (
            "[[interface]]\nbind = \"[::]:5060\"\ntls = 70000",
            "x.toml:3: interface[0].tls: found 70000; allowed: a port, 0 to 65535, or \"off\"",
        ),
        (
            "[tls]\nclient_certificates = \"maybe\"",
            "x.toml:2: tls.client_certificates: found \"maybe\"; allowed: off, asked, required",
        ),
        (
            "[dns]\nservers = [\"here\"]",
            "x.toml:2: dns.servers: found \"here\"; allowed: address or address:port, such as 192.0.2.53",
        ),
        ("[tls]\nkey = \"k.pem\"", "x.toml:2: tls.key: found \"k.pem\"; allowed: a file beside tls.certificate"),
    ] {
        assert_eq!(fault(text), want);
    }
}

#[test]
fn ports_of_transports_and_name_servers_are_read() {
    let text =
        "[[interface]]\nbind = \"[::]:5060\"\ntls = 5061\nwss = 0\n[dns]\nservers = [\"192.0.2.53\", \"[::1]:54\"]";
    let conf = Conf::read("x", text).unwrap();
    assert_eq!(conf.interfaces[0].ports.map(|(_, port)| port), [Some(5061), None, Some(0)]);
    assert_eq!(conf.dns.servers, ["192.0.2.53:53".parse().unwrap(), "[::1]:54".parse().unwrap()]);
}

#[test]
fn the_second_table_of_a_list_is_found_too() {
    let text = "[[number]]\nnumber = \"1\"\nscript = \"a.lua\"\n\n[[number]]\nnumber = \"1*2\"\nscript = \"b.lua\"\n";
    assert!(fault(text).starts_with("x.toml:6: number[1].number: found \"1*2\""), "{}", fault(text));
}

#[test]
fn an_unknown_key_is_told_with_those_that_are_known() {
    let told = fault("[sip]\nt1_millis = 5\n");
    assert!(told.starts_with("x.toml:2: sip.t1_millis: unknown key `t1_millis`, expected one of"), "{told}");
    assert!(told.contains("`t1_ms`"), "{told}");
    let told = fault("[sipp]\n");
    assert!(told.starts_with("x.toml:1: sipp: unknown key `sipp`"), "{told}");
}

#[test]
fn a_value_of_the_wrong_type_is_told() {
    let told = fault("[sip]\nagent = 5\n");
    assert!(told.starts_with("x.toml:2: sip.agent: invalid type: integer `5`, expected a string"), "{told}");
    let told = fault("[sip]\nt1_ms = -5\n");
    assert!(told.starts_with("x.toml:2: sip.t1_ms: invalid value: integer `-5`"), "{told}");
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let told = fault("[sip]\nagent = \n");
    assert!(told.starts_with("x.toml:2: "), "{told}");
}

#[test]
fn a_script_outside_the_folder_is_refused() {
    let told = fault("[[number]]\nnumber = \"1\"\nscript = \"../secret.lua\"\n");
    assert!(told.contains("number[0].script") && told.contains("allowed: a path below scripts"), "{told}");
}
