use std::{fs, path::Path};

use toml::{Table, Value};

use super::*;
use crate::{conf::DEFAULTS, server::Wishes};

fn read(text: &str) -> Conf {
    Conf::read("x", text).unwrap()
}

#[test]
fn a_plan_names_what_comes_and_goes_and_what_needs_a_restart() {
    let old = read(DEFAULTS);
    let none = plan(&old, &old.clone());
    assert!(none.now.is_empty() && none.restart.is_empty());
    let text = "[[number]]\nnumber = \"100\"\nscript = \"menu.lua\"\n[[number]]\nnumber = \"7\"\nscript = \"echo.lua\"\n\
                [call]\ntransfer = \"nobody\"\n[[trunk]]\nname = \"new\"\n";
    let found = plan(&old, &read(text));
    assert!(found.restart.is_empty(), "{:?}", found.restart);
    for line in ["- number 101 -> echo.lua", "+ number 7 -> echo.lua", "+ trunk new", "~ call.transfer"] {
        assert!(found.now.iter().any(|one| one == line), "{line} in {:?}", found.now);
    }
    assert!(!found.now.iter().any(|one| one.contains("number 100")));
    let new = read("[media]\nworkers = 3\n[sip]\nt1_ms = 400\n");
    assert_eq!(plan(&old, &new).restart, ["media.workers", "sip.t1_ms"]);
}

#[test]
fn a_trunk_and_a_phone_that_change_are_named_without_their_secrets() {
    let text =
        "[[trunk]]\nname = \"a\"\nuser = \"u\"\npassword = \"1\"\n[[phone]]\nuser = \"anna\"\npassword = \"2\"\n";
    let other = text.replace("\"1\"", "\"hidden\"").replace("\"2\"", "\"hidden\"");
    assert_eq!(plan(&read(text), &read(&other)).now, ["~ phone anna: password", "~ trunk a: password"]);
}

#[test]
fn webhooks_come_and_go_by_a_reload_and_are_named_without_their_addresses() {
    let text = "[[webhook]]\nname = \"crm\"\nurl = \"http://h.example/hidden\"\n";
    let other = text.replace("hidden", "other");
    assert_eq!(plan(&read(text), &read(&other)).now, ["~ webhook crm: url"]);
    let found = plan(&read(text), &read(DEFAULTS));
    assert_eq!((found.now.as_slice(), found.restart.len()), (&["- webhook crm".to_owned()][..], 0));
}

#[test]
fn queues_and_agents_come_and_go_by_a_reload_and_are_named_without_their_keys() {
    let text = "[[queue]]\nid = \"support\"\nagents = [\"anna\"]\n[[agent]]\nid = \"anna\"\naddresses = [\"201\"]\n\
                [[ai_agent]]\nid = \"shop\"\nkey = \"hidden\"\n";
    let other = text.replace("hidden", "other").replace("201", "202").replace("\"support\"", "\"sales\"");
    let found = plan(&read(text), &read(&other));
    let want = ["~ agent anna: addresses", "~ ai_agent shop: key", "- queue support", "+ queue sales"];
    assert_eq!((found.now.as_slice(), found.restart.len()), (&want.map(str::to_owned)[..], 0));
}

#[test]
fn more_calls_than_there_was_room_for_at_the_start_need_a_restart_also_after_a_reload_to_fewer() {
    let calls = |most: u32| read(&format!("[sip]\nmax_calls = {most}\n"));
    let mut held = calls(100);
    assert_eq!(plan(&held, &calls(50)).restart, Vec::<String>::new());
    held.take(calls(50));
    assert_eq!(plan(&held, &calls(100)).restart, Vec::<String>::new());
    assert!(plan(&held, &calls(101)).restart[0].starts_with("sip.max_calls above 100"));
}

/// Values that some key or other takes; of each kind the first that fits is tried.
fn others(value: &Value) -> Vec<Value> {
    let words = [
        "off",
        "required",
        "error",
        "json",
        "epoll",
        "dtls",
        "de",
        "relay",
        "all",
        "asked",
        "webhook",
        "none",
        "allow",
        "mark",
        "127.0.0.1:9",
        "20000-29997",
        "7",
        "sip:other@example.com",
        "postgres://x@h/n",
        "https://h.example/x",
        "0f9d4c02-8a4e-4a5d-9b9a-5d5f0a1f7c11",
        "elsewhere",
    ];
    let word = |text: &&str| Value::String((*text).to_owned());
    match value {
        Value::Boolean(is) => vec![Value::Boolean(!is)],
        Value::Integer(number) => {
            let near = [number - 1, number + 1, number * 2, number / 2, 30, 60, 16_000, 90];
            near.into_iter().filter(|other| other != number).map(Value::Integer).collect()
        }
        Value::Array(_) => {
            let lists = ["10.0.0.1", "PCMA", "text/html", "SHA-256", "9*", "x.example"].map(|text| vec![word(&text)]);
            let rewrite: Table = "number = \"9*\"".parse().unwrap();
            let more = [vec![Value::Integer(404)], vec![Value::Table(rewrite)], vec![]];
            lists.into_iter().chain(more).map(Value::Array).filter(|other| other != value).collect()
        }
        Value::String(text) => words.iter().filter(|one| *one != text).map(word).collect(),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => Vec::new(),
    }
}

/// The paths of all keys of tables, each with its value; lists of tables are left to the test of their entries.
fn leaves(path: &[String], table: &Table, found: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        let path: Vec<String> = path.iter().chain([key]).cloned().collect();
        match value {
            Value::Table(below) => leaves(&path, below, found),
            Value::Array(list) if list.iter().any(Value::is_table) => {}
            _ => found.push((path, value.clone())),
        }
    }
}

fn with(whole: &Table, path: &[String], value: Value) -> Table {
    let mut changed = whole.clone();
    let (last, tables) = path.split_last().unwrap();
    let table = tables.iter().fold(&mut changed, |table, key| table.get_mut(key).unwrap().as_table_mut().unwrap());
    table.insert(last.clone(), value);
    changed
}

/// A configuration in which every key has a meaning.
fn everything(folder: &Path) -> Table {
    fs::create_dir_all(folder).unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let text = format!(
        "[stir]\ntrust = {certificate:?}\nkey = {key:?}\ncertificate_url = \"https://h.example/c\"\n\
         [tls]\ncertificate = {certificate:?}\n[siprec]\nrecorder = \"sip:r@example.com\"\n\
         [api]\nlisten = \"127.0.0.1:8088\"\n\
         [recording]\nupload = \"s3\"\nupload_url = \"https://h.example/b\"\n"
    );
    let mut whole: Table = DEFAULTS.parse().unwrap();
    for (name, over) in text.parse::<Table>().unwrap() {
        let under = whole.get_mut(&name).unwrap().as_table_mut().unwrap();
        under.extend(over.as_table().unwrap().clone());
    }
    whole
}

#[test]
fn every_key_of_the_configuration_is_either_taken_by_a_reload_or_said_to_need_a_restart() {
    let folder = std::env::temp_dir().join(format!("switchhook-reload-{}", std::process::id()));
    let whole = everything(&folder);
    let old = read(&whole.to_string());
    let started = super::super::start::switch_config(&old, &[], 1, (Wishes::default(), [0; 32]));
    let mut keys = Vec::new();
    leaves(&[], &whole, &mut keys);
    assert!(keys.len() > 130, "{}", keys.len());
    for (path, value) in keys {
        let name = path.join(".");
        // The files are there; others would have to be made.
        if ["stir.trust", "stir.key", "tls.certificate"].contains(&name.as_str()) {
            continue;
        }
        let fits = |other: Value| {
            let new = Conf::read("x", &with(&whole, &path, other).to_string()).ok()?;
            // Another word of the same meaning would prove nothing.
            (Conf { keys: old.keys.clone(), ..new.clone() } != old).then_some(new)
        };
        let new = others(&value).into_iter().find_map(fits).unwrap_or_else(|| panic!("no other value for {name}"));
        let Plan { now, restart } = plan(&old, &new);
        match (now.as_slice(), restart.as_slice()) {
            ([line], []) => {
                assert_eq!(*line, format!("~ {name}"));
                let taken = changed(&started, &new) != changed(&started, &old) || new.sip.drain != old.sip.drain;
                assert!(taken, "{name} is said to be taken, and is not");
            }
            ([], [key, ..]) => assert_eq!(key.split(' ').next(), Some(name.as_str())),
            ([line, ..], [key]) => assert!(*line == format!("~ {name}") && key.starts_with(&name), "{line} {key}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    fs::remove_dir_all(folder).unwrap();
}
