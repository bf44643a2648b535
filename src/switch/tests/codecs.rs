//! What legs speak: formats that are only passed on.

use super::*;

const B: &str = "203.0.113.1:5060";
const G729: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 18 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:18 annexb=no\r\n";

fn streams(world: &World) -> Vec<media::Stream> {
    let updates = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Update { stream, .. } => Some((**stream).clone()),
        _ => None,
    });
    updates.collect()
}

#[test]
fn what_only_the_two_parties_speak_is_offered_to_the_second_and_passed_on() {
    let mut world = World::with(|config| config.relayed = vec!["G729".into()]);
    let mut caller = Caller::new();
    let text = caller.text("INVITE", Some(("application/sdp", G729)), "");
    world.say(caller.at, text);
    world.settle();
    let start = world.node().starts[0].clone();
    let dial = ringing(&format!("sip:b@{B}"), 20);
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let answered = world.response_at(caller.at, 200);
    assert!(String::from_utf8_lossy(&answered.body).contains("RTP/AVP 18 101\r\n"));
    caller.ack(&mut world, &answered, None);
    world.settle();
    world.ask(start.flow, start.call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(address(B), Method::Invite);
    let offer = String::from_utf8_lossy(&invite.body).into_owned();
    assert!(offer.contains("RTP/AVP 18 101\r\n") && offer.contains("a=fmtp:18 annexb=no\r\n"), "{offer}");
    let theirs = G729.replace("198.51.100.7", "203.0.113.1");
    world.say(address(B), answer(&invite, 200, "b", Some(&theirs)));
    world.settle();
    let streams = streams(&world);
    assert_eq!(streams.len(), 2);
    for stream in &streams {
        assert_eq!((stream.send, stream.receive.len()), (None, 0));
        assert_eq!((&*stream.foreign[0].format, stream.foreign[0].send), ("G729/8000/1", 18));
    }
}

#[test]
fn without_the_operators_word_such_a_call_is_refused() {
    let (mut world, mut caller) = (World::new(), Caller::new());
    let text = caller.text("INVITE", Some(("application/sdp", G729)), "");
    world.say(caller.at, text);
    world.settle();
    assert!(world.response_at(caller.at, 488).headers.get("Warning").is_some_and(|warning| warning.contains("G729")));
}
