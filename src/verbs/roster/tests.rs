use super::*;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

fn agent() -> Agent {
    Agent { id: "anna".into(), addresses: texts(&["201"]), ..Agent::default() }
}

#[test]
fn readable_ids_and_uuids_name_things_and_what_a_path_would_change_does_not() {
    for id in ["support-queue-id", "a", "A.b_c-9", "6f1c2a34-8a4e-4a5d-9b9a-5d5f0a1f7c11", &"x".repeat(64)] {
        assert!(is_id(id), "{id}");
    }
    for id in ["", ".", "..", ".a", "a b", "a/b", "\u{e4}", "a%", &"x".repeat(65)] {
        assert!(!is_id(id), "{id}");
        assert_eq!(agent().with_id(id.to_owned()).unfit().map(|unfit| unfit.0), Some("id"), "{id}");
    }
}

#[test]
fn a_queue_names_what_does_not_fit_in_it() {
    let queue = Queue { id: "q".into(), ..Queue::default() };
    assert_eq!(queue.unfit(), None);
    let full = Queue {
        agents: texts(&["anna", "bo"]),
        tags: texts(&["german", "on duty"]),
        wait_script: "shop/wait.lua".into(),
        wait_limit_s: 86_400,
        ..queue
    };
    assert_eq!(full.unfit(), None);
    let wrong = [
        ("name", Queue { name: "a\nb".into(), ..full.clone() }),
        ("notes", Queue { notes: "\0".into(), ..full.clone() }),
        ("agents", Queue { agents: texts(&["anna", "anna"]), ..full.clone() }),
        ("agents", Queue { agents: texts(&["a b"]), ..full.clone() }),
        ("tags", Queue { tags: texts(&[""]), ..full.clone() }),
        ("tags", Queue { tags: (0..51).map(|at| at.to_string()).collect(), ..full.clone() }),
        ("wait_script", Queue { wait_script: "../x.lua".into(), ..full.clone() }),
        ("wait_script", Queue { wait_script: "/x.lua".into(), ..full.clone() }),
        ("wait_limit_s", Queue { wait_limit_s: 86_401, ..full.clone() }),
        ("talk_limit_s", Queue { talk_limit_s: 86_401, ..full }),
    ];
    for (field, queue) in wrong {
        assert_eq!(queue.unfit().map(|unfit| unfit.0), Some(field), "{queue:?}");
    }
}

#[test]
fn an_agent_has_what_a_script_can_dial() {
    for address in ["201", "+49301234", "*98#", "sip:anna@example.com", "SIPS:a@b;x=1", "tel:+49-30-1"] {
        assert_eq!(Agent { addresses: texts(&[address]), ..agent() }.unfit(), None, "{address}");
    }
    for address in ["", "a b", "sip:", "http://x", "sip:a@b>", "sip:\u{e4}@b", &"1".repeat(65)] {
        let found = Agent { addresses: texts(&[address]), ..agent() }.unfit();
        assert_eq!(found.map(|unfit| unfit.0), Some("addresses"), "{address}");
    }
    for addresses in [texts(&[]), texts(&["1", "1"]), (0..11).map(|at| at.to_string()).collect()] {
        assert!(Agent { addresses, ..agent() }.unfit().is_some());
    }
}

#[test]
fn an_ai_agent_names_what_does_not_fit_and_its_key_is_in_no_log() {
    let ai = AiAgent { id: "shop".into(), key: Some("hidden".into()), ..AiAgent::default() };
    assert_eq!(ai.unfit(), None);
    assert!(!format!("{ai:?} {:?}", ai.clone().into_resource()).contains("hidden"));
    let wrong = [
        ("key", AiAgent { key: Some("a\nb".into()), ..ai.clone() }),
        ("prompt", AiAgent { prompt: "x".repeat(10_001), ..ai.clone() }),
        ("language", AiAgent { language: "en_US".into(), ..ai.clone() }),
        ("tools", AiAgent { tools: texts(&["send mail"]), ..ai.clone() }),
        ("parameters", AiAgent { parameters: [("a".into(), "\0".into())].into(), ..ai }),
    ];
    for (field, ai) in wrong {
        assert_eq!(ai.unfit().map(|unfit| unfit.0), Some(field), "{ai:?}");
    }
}

#[test]
fn one_of_the_configuration_is_found_by_its_kind_and_id() {
    let roster = Roster { agents: [("anna".to_owned(), agent())].into(), ..Roster::default() };
    assert_eq!(roster.find(ResourceKind::Agent, "anna"), Some(agent().into_resource()));
    assert_eq!(roster.find(ResourceKind::Queue, "anna"), None);
    assert_eq!(Agent::of(&roster).len(), 1);
}
