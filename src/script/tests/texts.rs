//! Text messages and phones, as scripts see them.

use super::{samples::usual, *};
use crate::verbs::{Contact, Failure, Message, Messaging, Registration};

fn sent(run: &Run) -> &Message {
    match run.verb() {
        Verb::Messaging(Messaging::Send(message)) => message,
        verb => panic!("{verb:?}"),
    }
}

#[test]
fn a_script_that_a_message_started_has_it_and_no_call() {
    let mut run = Run::letter(
        "print(call, message.text, message.type, message.from, message.from_name, message.to, message.trunk)
         print(message.headers['x-account'], message.phone, message.source, vars.colour, vars.caller)
         print(message:accept())
         print(message:reject(486, 'Busy'))",
    );
    assert_eq!(run.lines()[0], "nil\tStop it\ttext/plain\t1001\tAnna\t200\tcarrier");
    assert_eq!(run.lines()[1], "gold\tnil\t192.0.2.1:5060\tblue\t1001");
    assert_eq!(*run.verb(), Verb::Messaging(Messaging::Answer { code: 200, reason: None }));
    run.reply(Reply::Done);
    assert_eq!(*run.verb(), Verb::Messaging(Messaging::Answer { code: 486, reason: Some("Busy".into()) }));
    run.reply(Reply::Failed(Failure::WrongState));
    assert_eq!(run.lines()[2..], ["true", "nil\twrong_state"]);
    assert_eq!(run.end(), &FlowEnd::Finished);
}

#[test]
fn a_script_sends_messages_and_hears_how_it_went() {
    let mut run = Run::new(
        "local function tell(...) print(...) end
         tell(messages.send { to = '201', text = 'hi', from = '100', type = 'Text/HTML', headers = { ['X-A'] = 'b' } })
         tell(messages.send { to = 'sip:a@b', text = 'hi' })
         tell(call:send_message('there'))",
    );
    assert!(matches!(&run.step, Step::Request(call, _) if *call == CALL));
    let message = sent(&run);
    assert_eq!((message.to.as_deref(), message.from.as_deref()), (Some("201"), Some("100")));
    assert_eq!((message.text.kind.as_str(), message.text.text.as_str()), ("text/html", "hi"));
    assert_eq!(message.headers, [("X-A".to_owned(), "b".to_owned())]);
    run.reply(Reply::Sent { code: 202 });
    assert_eq!((sent(&run).from.as_deref(), sent(&run).text.kind.as_str()), (None, "text/plain"));
    run.reply(Reply::Failed(Failure::Refused(413)));
    assert_eq!((sent(&run).to.as_deref(), sent(&run).text.text.as_str()), (None, "there"));
    run.reply(Reply::Sent { code: 200 });
    assert_eq!(run.lines(), ["accepted\t202", "nil\trefused\t413", "delivered\t200"]);
}

#[test]
fn a_script_waits_for_a_message_and_looks_for_a_phone() {
    let mut run = Run::new(
        "local text = call:wait_message(1.5)
         print(text.text, text.type)
         print(call:wait_message())
         local places = phones.registrations('201')
         print(#places, places[1].contact, places[1].source, places[1].transport, places[1].expires, places[1].answers)
         print(phones.registrations('999'))",
    );
    let waits = |time| Verb::Messaging(Messaging::Await { timeout: Duration::from_millis(time) });
    assert_eq!(*run.verb(), waits(1500));
    run.reply(Reply::Message(Text { kind: "text/plain".into(), text: "hello".into() }));
    assert_eq!(*run.verb(), waits(60_000));
    run.reply(Reply::Failed(Failure::NoAnswer));
    assert_eq!(*run.verb(), Verb::Registrations { phone: "201".into() });
    let place = Registration {
        contact: "sip:anna@10.0.0.1".into(),
        source: Some("192.0.2.9:1024".into()),
        transport: Some("tls"),
        agent: "Desk".into(),
        expires: Duration::from_secs(90),
        answers: true,
    };
    run.reply(Reply::Registrations(vec![place]));
    run.reply(Reply::Failed(Failure::NoSuchPhone));
    let want = [
        "hello\ttext/plain",
        "nil\tno_answer",
        "1\tsip:anna@10.0.0.1\t192.0.2.9:1024\ttls\t90\ttrue",
        "nil\tno_such_phone",
    ];
    assert_eq!(run.lines(), want);
}

#[test]
fn a_script_finds_whose_number_it_is() {
    let mut run = Run::new(
        "local who = contacts.find('+49 30 1')
         print(who.name, who.numbers[2], who.notes, who.vars.shop, who.id)
         print(contacts.find(''))
         print(contacts.find('7'))
         contacts.find(7)",
    );
    assert_eq!(run.step, Step::Keep(KeepOp::Contact { number: "+49 30 1".into() }));
    let contact = Contact {
        id: "a1".into(),
        name: "Anna".into(),
        numbers: vec!["+49301".into(), "201".into()],
        notes: "likes tea".into(),
        vars: vec![("shop".into(), "7".into())],
    };
    run.reply(Reply::Contact(Some(Box::new(contact))));
    assert_eq!(run.step, Step::Keep(KeepOp::Contact { number: String::new() }), "who hides is nobody");
    run.reply(Reply::Contact(None));
    run.reply(Reply::Failed(Failure::Store("the database does not answer".into())));
    assert_eq!(run.lines(), ["Anna\t201\tlikes tea\t7\ta1", "nil", "nil\tstore\tthe database does not answer"]);
    assert!(run.error().contains("contacts.find"), "{}", run.error());
}

#[test]
fn misuse_of_messages_names_what_is_wrong() {
    for (text, says) in [
        ("messages.send('x')", "messages.send"),
        ("messages.send { to = '201' }", "messages.send: 'text' is missing"),
        ("messages.send { text = 'x' }", "messages.send: 'to' is missing"),
        ("messages.send { to = 'a b', text = 'x' }", "a SIP URI"),
        ("messages.send { to = '1', text = 'x', type = 'plain' }", "a media type such as 'text/plain'"),
        ("messages.send { to = '1', text = 'x', headers = { Via = 'x' } }", "not the stack's own"),
        ("call:send_message(nil)", "call:send_message"),
        ("call:wait_message(-1)", "call:wait_message"),
        ("phones.registrations()", "phones.registrations"),
    ] {
        let run = Run::new(text);
        assert!(run.error().contains(says), "{text}: {}", run.error());
    }
    assert!(Run::letter("message:reject(200)").error().contains("300 to 699"));
    assert!(Run::letter("message.accept()").error().contains("colon"));
}

#[test]
fn the_sample_forwards_messages_to_phones_only() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/forward.lua")).unwrap();
    let story = |places: Reply, outcome: Reply| {
        let mut run = Run::letter(&text);
        let end = run.drive(|verb| match verb {
            Verb::Registrations { .. } => places.clone(),
            Verb::Messaging(Messaging::Send(_)) => outcome.clone(),
            verb => usual(verb),
        });
        assert_eq!(end, FlowEnd::Finished);
        match run.asked.last() {
            Some(Verb::Messaging(Messaging::Answer { code, .. })) => *code,
            verb => panic!("{verb:?}"),
        }
    };
    let (known, sent) = (Reply::Registrations(vec![]), Reply::Sent { code: 200 });
    assert_eq!(story(Reply::Failed(Failure::NoSuchPhone), sent.clone()), 404);
    assert_eq!(story(known.clone(), sent), 200);
    assert_eq!(story(known.clone(), Reply::Failed(Failure::Refused(486))), 486);
    assert_eq!(story(known, Reply::Failed(Failure::Unreachable)), 480);
}
