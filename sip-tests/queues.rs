//! Queues and agents of the configuration and of the API, as a flow uses them in a call.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    api::post,
    doors::pass,
    endings::Bench,
    records::{api, get, program},
    sipp::{caller, numbers, passes, phone, scenario},
};

/// Rings the agents of a queue, one after another.
const QUEUE: &str = "call:answer()
for _, id in ipairs(queues.get('support').agents) do
  local agent = agents.get(id)
  local peer = call:dial { strategy = agent.strategy, timeout = 20, table.unpack(agent.addresses) }
  if peer then
    vars.agent = agent.name
    call:bridge(peer)
    break
  end
end
local ai = ai_agents.get('reception')
vars.ai = ai.model .. ' ' .. ai.prompt .. ' ' .. tostring(ai.key)
vars.nobody = tostring(agents.get('nobody'))
";

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn a_flow_rings_the_agents_of_a_queue_that_was_made_by_the_api_and_all_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (busy, anna, _) = phone(folder.path(), "uas_busy", &["-m", "3"]);
    let (there, bo, _) = phone(folder.path(), "uas_hangs_up", &["-m", "3"]);
    let conf = format!(
        "{}[[agent]]\nid = \"bo\"\nname = \"Bo\"\naddresses = [\"sip:bo@{bo}\"]\n\
         [[ai_agent]]\nid = \"reception\"\nmodel = \"openai.x\"\nprompt = \"Sell.\"\nkey = \"hidden\"\n",
        numbers(&[("100", "queue.lua")])
    );
    let mut bench = Bench::new(&conf, &[("queue.lua", QUEUE)]);
    let make = |what: &str, body: &Value| post(&bench.at, &bench.key, &format!("/v1/{what}"), &body.to_string());
    let queue = json!({"id": "support", "agents": ["anna", "bo"]});
    assert!(make("queues", &queue).starts_with("HTTP/1.0 422"), "anna is not there yet");
    let agent = json!({"id": "anna", "name": "Anna", "addresses": [format!("sip:anna@{anna}")]});
    assert!(make("agents", &agent).starts_with("HTTP/1.0 201"));
    assert!(make("queues", &queue).starts_with("HTTP/1.0 201"));
    let answered = scenario("answered").to_str().unwrap().to_owned();
    for round in 1..=2 {
        passes(caller(bench.server.sip, bench.folder(), "100", &["-sf", &answered, "-m", "1"]), bench.folder());
        let records = bench.server.wait_for_records(3 * round);
        let call = records.iter().rfind(|record| record["direction"] == "inbound").unwrap();
        assert_eq!((&call["vars"]["agent"], &call["error"]), (&json!("Bo"), &Value::Null), "{call:#}");
        assert_eq!((&call["vars"]["ai"], &call["vars"]["nobody"]), (&json!("openai.x Sell. nil"), &json!("nil")));
        let rung = records.iter().filter(|record| record["direction"] == "outbound" && record["status"] == "busy");
        assert_eq!(rung.count(), round, "anna comes first");
        if round == 1 {
            // The journal gathers for a tenth of a second: whatever is not on the disk would be reconciled.
            pass(Duration::from_millis(500));
            bench.server.restart("KILL");
            bench.at = api(&bench.server);
        }
    }
    // A reload is told in advance, and what flows find changes with it.
    let access = ["--api", &*bench.at, "--key", &*bench.key];
    let said = |what: &[&str]| program(&bench.server, &[what, &access[..]].concat());
    let file = bench.server.path("switchhook.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("name = \"Bo\"", "name = \"Robert\"")).unwrap();
    assert!(said(&["reload", "--plan"]).contains("~ agent bo: name"), "{}", said(&["reload", "--plan"]));
    assert!(said(&["agents"]).contains("Bo  "), "nothing is taken yet");
    assert!(said(&["reload"]).contains("reloaded: 1 changes"));
    assert!(said(&["agents"]).contains("Robert"));
    passes(caller(bench.server.sip, bench.folder(), "100", &["-sf", &answered, "-m", "1"]), bench.folder());
    let records = bench.server.wait_for_records(9);
    assert!(records.iter().any(|record| record["vars"]["agent"] == "Robert"), "{records:#?}");
    passes(busy, folder.path());
    passes(there, folder.path());
    assert_eq!(ids(&get(&bench.at, &bench.key, "/v1/agents")), ["anna", "bo"]);
    assert!(said(&["queues"]).contains("support") && said(&["agents"]).contains("Anna"), "{}", said(&["queues"]));
    let ai = said(&["ai-agents"]);
    assert!(ai.contains("openai.x") && !ai.contains("hidden"), "{ai}");
    assert!(bench.server.stop().success());
}
