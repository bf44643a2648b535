//! Queues, agents and AI agents: `[[queue]]`, `[[agent]]`, `[[ai_agent]]`.

use std::collections::BTreeMap;

use super::{Document, Fault, settings::At};
use crate::verbs::{Listed, Roster};

impl At<'_> {
    pub(super) fn roster(&self, document: &Document) -> Result<Roster, Fault> {
        let agents = self.listed(&document.agent)?;
        for (index, queue) in document.queue.iter().enumerate() {
            if let Some(unknown) = queue.agents.iter().find(|agent| !agents.contains_key(*agent)) {
                let found = format!("\"{unknown}\"");
                return Err(self.fault(&format!("queue[{index}].agents"), found, "ids of [[agent]] tables"));
            }
        }
        Ok(Roster { queues: self.listed(&document.queue)?, agents, ai_agents: self.listed(&document.ai_agent)? })
    }

    fn listed<R: Listed>(&self, tables: &[R]) -> Result<BTreeMap<String, R>, Fault> {
        let mut all = BTreeMap::new();
        for (index, entry) in tables.iter().enumerate() {
            let key = |field: &str| format!("{}[{index}].{field}", R::KIND.as_str());
            if let Some((field, allowed)) = entry.unfit() {
                let found = match field {
                    "key" => "something else".to_owned(),
                    _ => serde_json::to_value(entry).map(|entry| entry[field].to_string()).unwrap_or_default(),
                };
                return Err(self.fault(&key(field), found, allowed));
            }
            if all.insert(entry.id().to_owned(), entry.clone()).is_some() {
                return Err(self.fault(&key("id"), format_args!("\"{}\"", entry.id()), "an id of its own"));
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use crate::conf::Conf;

    #[test]
    fn queues_have_agents_and_flows_find_each_by_its_id() {
        let text = "[[queue]]\nid = \"support-queue-id\"\nname = \"Support\"\nagents = [\"anna\"]\ntags = [\"german\"]\n\
                    wait_limit_s = 300\n\
                    [[agent]]\nid = \"anna\"\naddresses = [\"201\", \"sip:anna@example.com\"]\nin_turn = true\n\
                    [[ai_agent]]\nid = \"your-ai-agent-id\"\nmodel = \"openai.x\"\nkey = \"k\"\nprompt = \"\"\"\nSell.\n\"\"\"\n\
                    parameters = { temperature = \"0.3\" }\n";
        let roster = Conf::read("x", text).unwrap().roster;
        let queue = &roster.queues["support-queue-id"];
        assert_eq!((&queue.agents[..], queue.wait_limit_s), (&["anna".to_owned()][..], 300));
        assert!(roster.agents["anna"].in_turn);
        let ai = &roster.ai_agents["your-ai-agent-id"];
        assert_eq!((ai.prompt.as_str(), ai.parameters["temperature"].as_str()), ("Sell.\n", "0.3"));
        assert!(Conf::read("x", "").unwrap().roster.queues.is_empty());
    }

    #[test]
    fn the_example_in_the_defaults_has_every_key_with_its_default() {
        let (_, text) = crate::conf::DEFAULTS.split_once("# [[queue]]").unwrap();
        let (text, _) = text.split_once("\n\n").unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("# ")).collect();
        let roster = Conf::read("x", &format!("[[queue]]{}", lines.join("\n"))).unwrap().roster;
        let least = "[[queue]]\nid = \"support\"\n[[agent]]\nid = \"anna\"\naddresses = [\"201\"]\n\
                     [[ai_agent]]\nid = \"reception\"\nkey = \"\"\n";
        assert_eq!(roster, Conf::read("x", least).unwrap().roster);
        assert_eq!(text.matches(" = ").count(), 8 + 6 + 12 + 1, "one more is within `parameters`");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_no_key_is_shown() {
        for (text, told) in [
            ("[[queue]]\nid = \"a b\"\n", "x:2: queue[0].id: found \"a b\"; allowed: 1 to 64 letters"),
            (
                "[[queue]]\nid = \"a\"\n[[queue]]\nid = \"a\"\n",
                "x:4: queue[1].id: found \"a\"; allowed: an id of its own",
            ),
            (
                "[[queue]]\nid = \"a\"\nagents = [\"bo\"]\n",
                "x:3: queue[0].agents: found \"bo\"; allowed: ids of [[agent]]",
            ),
            ("[[queue]]\nid = \"a\"\nwait_limit_s = 90000\n", "x:3: queue[0].wait_limit_s: found 90000"),
            ("[[queue]]\nid = \"a\"\nwait_script = \"../a.lua\"\n", "x:3: queue[0].wait_script: found \"../a.lua\""),
            ("[[agent]]\nid = \"a\"\naddresses = [\"a b\"]\n", "x:3: agent[0].addresses: found [\"a b\"]"),
            ("[[ai_agent]]\nid = \"a\"\nkey = \"hidden\\n\"\n", "x:3: ai_agent[0].key: found something else"),
            ("[[agent]]\nid = \"a\"\naddresses = [\"1\"]\nskills = []\n", "x:4: agent[0].skills: unknown key"),
        ] {
            let fault = Conf::read("x", text).unwrap_err().to_string();
            assert!(fault.starts_with(told), "{fault}");
        }
        let fault = Conf::read("x", "[[agent]]\nid = \"a\"\n").unwrap_err().to_string();
        assert!(fault.contains("agent[0]") && fault.contains("addresses"), "{fault}");
    }
}
