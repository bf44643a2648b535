//! Carriers: who they are, how many calls they get, and which of them a number goes over.

use std::collections::BTreeSet;

use super::*;

mod inbound;
mod links;
mod outbound;
mod patience;
mod proof;
mod queued;

pub(super) const CARRIER_A: &str = "203.0.113.1:5060";
pub(super) const CARRIER_B: &str = "203.0.113.2:5060";

/// A carrier at this address, for both ways.
fn carrier(name: &str, at: &str) -> Trunk {
    let at = address(at);
    let target = sip::Uri::parse(&format!("sip:{at}")).unwrap();
    Trunk { targets: vec![target], sources: vec![at.ip().to_string().parse().unwrap()], ..Trunk::new(name) }
}

fn rule(number: &str, trunk: &str, priority: u32) -> Rule {
    Rule {
        number: Pattern::parse(number).unwrap(),
        trunk: (!trunk.is_empty()).then(|| Arc::from(trunk)),
        strip: 0,
        prepend: String::new(),
        price: 0,
        priority,
        weight: 1,
    }
}

/// Carriers "a" and "b", and +49 goes over a, then b. The emergency number is 112.
pub(super) fn trunking() -> Trunking {
    Trunking {
        trunks: vec![Arc::new(carrier("a", CARRIER_A)), Arc::new(carrier("b", CARRIER_B))],
        outbound: Outbound {
            rules: vec![rule("+49*", "a", 1), rule("+49*", "b", 2)],
            emergency: BTreeSet::from(["112".into()]),
            ..Outbound::default()
        },
    }
}

fn world_with(change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        config.trunking = trunking();
        change(config);
    })
}

/// Change the first of the carriers.
fn first(config: &mut Config) -> &mut Trunk {
    Arc::make_mut(&mut config.trunking.trunks[0])
}

fn originate(world: &mut World, target: &str, from: &str) {
    let wish = Originate {
        request: RequestId(77),
        target: target.into(),
        from: from.into(),
        script: Some(Arc::from("out.lua")),
        vars: vec![],
        headers: vec![],
        timeout: secs(20),
    };
    world.input(0, Input::Originate(wish));
    world.settle();
}

fn invite_at(world: &mut World, at: &str) -> SipRequest {
    world.request_at(address(at), Method::Invite)
}

fn says(world: &mut World, at: &str, request: &SipRequest, code: u16, body: Option<&str>) {
    world.say(address(at), answer(request, code, "carrier", body));
    world.settle();
}

/// The operator's call failed like this.
#[track_caller]
fn assert_failed(world: &World, failure: Failure, code: Option<u16>) {
    let told = ConsoleReply::Failed { request: RequestId(77), failure, code };
    assert_eq!(world.node().console.last(), Some(&told));
}
