use super::*;
use crate::verbs::{Agent, AiAgent, Failure, KeepOp, Queue, Reply, Resource, ResourceKind};

fn asks(kind: ResourceKind, id: &str) -> Step {
    Step::Keep(KeepOp::Resource { kind, id: id.into() })
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

/// One of each kind, for scripts that are run as they are.
pub(super) fn there(kind: ResourceKind) -> Reply {
    let (id, list) = ("anna".to_owned(), texts(&["anna"]));
    let resource = match kind {
        ResourceKind::Queue => Resource::Queue(Queue { id, agents: list, ..Queue::default() }),
        ResourceKind::Agent => Resource::Agent(Agent { id, addresses: list, ..Agent::default() }),
        ResourceKind::AiAgent => Resource::AiAgent(AiAgent { id, ..AiAgent::default() }),
    };
    Reply::Resource(Some(Box::new(resource)))
}

#[test]
fn a_script_gets_a_queue_and_rings_its_agents() {
    let mut run = Run::new(
        "local queue = queues.get('support')
         print(queue.id, queue.name, queue.notes, queue.tags[1], queue.wait_script, queue.wait_limit, queue.talk_limit)
         local agent = agents.get(queue.agents[1])
         print(agent.id, agent.name, agent.strategy, agent.tags[1], #agent.addresses)
         call:dial {agent.addresses[1], agent.addresses[2], strategy = agent.strategy}",
    );
    assert_eq!(run.step, asks(ResourceKind::Queue, "support"));
    let queue = Queue {
        id: "support".into(),
        name: "Support".into(),
        notes: "n".into(),
        agents: texts(&["anna"]),
        tags: texts(&["german"]),
        wait_limit_s: 60,
        ..Queue::default()
    };
    run.reply(Reply::Resource(Some(Box::new(Resource::Queue(queue)))));
    assert_eq!(run.step, asks(ResourceKind::Agent, "anna"));
    let addresses = texts(&["201", "sip:anna@example.com"]);
    let agent = Agent {
        id: "anna".into(),
        name: "Anna".into(),
        addresses: addresses.clone(),
        in_turn: true,
        tags: texts(&["german"]),
        ..Agent::default()
    };
    run.reply(Reply::Resource(Some(Box::new(Resource::Agent(agent)))));
    let Verb::Dial(dial) = run.verb() else { panic!("{:?}", run.step) };
    assert_eq!((&dial.targets, dial.strategy), (&addresses, crate::verbs::Strategy::InTurn));
    assert_eq!(run.lines(), ["support\tSupport\tn\tgerman\tnil\t60\tnil", "anna\tAnna\tin_turn\tgerman\t2"]);
}

#[test]
fn a_script_gets_an_ai_agent_without_its_key() {
    let mut run = Run::new(
        "local ai = ai_agents.get('shop')
         for name, value in pairs(ai) do if value == 'hidden' then print(name) end end
         print(ai.id, ai.model, ai.prompt, ai.parameters.temperature, ai.tools[1], ai.language, ai.key)
         print(ai_agents.get('other'))
         print(ai_agents.get('away'))
         queues.get()",
    );
    assert_eq!(run.step, asks(ResourceKind::AiAgent, "shop"));
    let ai = AiAgent {
        id: "shop".into(),
        model: "openai.x".into(),
        key: Some("hidden".into()),
        prompt: "Sell.".into(),
        parameters: [("temperature".into(), "0.3".into())].into(),
        language: "en-US".into(),
        tools: texts(&["all"]),
        ..AiAgent::default()
    };
    run.reply(Reply::Resource(Some(Box::new(Resource::AiAgent(ai)))));
    run.reply(Reply::Resource(None));
    run.reply(Reply::Failed(Failure::Store("the database does not answer".into())));
    let want = ["shop\topenai.x\tSell.\t0.3\tall\ten-US\tnil", "nil", "nil\tstore\tthe database does not answer"];
    assert_eq!(run.lines(), want);
    assert!(run.error().contains("queues.get"), "{}", run.error());
}
