use super::*;

const ONE: &str = "203.0.113.1";

fn at(ms: u64) -> Time {
    Time::START + Duration::from_millis(ms)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn guard(change: impl FnOnce(&mut GuardConfig)) -> Guard {
    let mut config = GuardConfig::default();
    change(&mut config);
    Guard::new(config)
}

fn admit(guard: &mut Guard, now: Time, from: &str) -> Verdict {
    guard.admit(now, InterfaceId(0), ip(from), true)
}

fn note(guard: &mut Guard, now: Time, from: &str, offence: Offence, times: usize) {
    (0..times).for_each(|_| guard.note(now, ip(from), offence));
}

#[test]
fn the_tenth_wrong_password_in_a_minute_bans_and_the_ban_ends_by_itself() {
    let mut guard = guard(|_| {});
    note(&mut guard, at(0), ONE, Offence::FailedAuth, 9);
    assert_eq!(admit(&mut guard, at(0), ONE), Verdict::Admitted);
    note(&mut guard, at(0), ONE, Offence::FailedAuth, 1);
    assert_eq!(admit(&mut guard, at(1), ONE), Verdict::Banned);
    assert_eq!(admit(&mut guard, at(299_999), ONE), Verdict::Banned);
    assert_eq!(admit(&mut guard, at(300_000), ONE), Verdict::Admitted);
    let counted = guard.counters();
    assert_eq!((counted.bans, counted.banned, counted.in_force), (1, 2, 0));
}

#[test]
fn offences_are_forgotten_at_a_steady_rate() {
    let mut guard = guard(|_| {});
    for minute in 0..60 {
        // Ten a minute, one every six seconds: each is forgotten when the next one comes.
        for six in 0..10 {
            guard.note(at(minute * 60_000 + six * 6000), ip(ONE), Offence::UnknownNumber);
        }
    }
    assert_eq!(guard.counters().bans, 0);
    for three in 0..60 {
        guard.note(at(3_600_000 + three * 3000), ip(ONE), Offence::UnknownNumber);
    }
    assert!(guard.counters().bans > 0, "twice as many are too many");
}

#[test]
fn each_further_ban_is_twice_as_long_up_to_the_longest() {
    let mut guard = guard(|config| config.ban_max = Duration::from_secs(1000));
    let mut now = at(0);
    for seconds in [300, 600, 1000, 1000] {
        note(&mut guard, now, ONE, Offence::Malformed, 10);
        let almost = now + Duration::from_millis(seconds * 1000 - 1);
        assert_eq!(admit(&mut guard, almost, ONE), Verdict::Banned, "{seconds}");
        now += Duration::from_secs(seconds);
        assert_eq!(admit(&mut guard, now, ONE), Verdict::Admitted, "{seconds}");
    }
}

#[test]
fn a_scanner_is_banned_at_once() {
    let mut guard = guard(|_| {});
    note(&mut guard, at(0), ONE, Offence::Scanner, 1);
    assert_eq!(admit(&mut guard, at(0), ONE), Verdict::Banned);
}

#[test]
fn one_who_answers_its_challenges_is_never_banned_for_them() {
    let mut guard = guard(|_| {});
    for _ in 0..10_000 {
        guard.note(at(0), ip(ONE), Offence::Challenged);
        guard.forgive(ip(ONE));
    }
    assert_eq!(guard.counters().bans, 0);
    note(&mut guard, at(0), ONE, Offence::Challenged, 100);
    assert_eq!(guard.counters().bans, 1, "one who never answers is looking for users");
}

#[test]
fn what_belongs_to_a_call_is_taken_also_from_a_banned_source() {
    let mut guard = guard(|_| {});
    note(&mut guard, at(0), ONE, Offence::Scanner, 1);
    assert_eq!(guard.admit(at(0), InterfaceId(0), ip(ONE), false), Verdict::Admitted);
}

#[test]
fn a_burst_is_taken_and_what_is_above_the_rate_is_not() {
    let mut guard = guard(|_| {});
    let taken = (0..300).filter(|_| admit(&mut guard, at(0), ONE) == Verdict::Admitted).count();
    assert_eq!(taken, 200);
    // A second later, a second's worth.
    let taken = (0..300).filter(|_| admit(&mut guard, at(1000), ONE) == Verdict::Admitted).count();
    assert_eq!(taken, 50);
    assert_eq!(admit(&mut guard, at(1000), "203.0.113.2"), Verdict::Admitted, "another source has its own rate");
}

#[test]
fn a_storm_that_goes_on_is_banned() {
    let mut guard = guard(|_| {});
    let banned = (0..2000).position(|n| admit(&mut guard, at(n), ONE) == Verdict::Banned);
    assert!(banned.is_some_and(|n| n < 1500), "{banned:?}");
}

#[test]
fn the_trusted_are_neither_limited_nor_banned_and_zero_switches_off() {
    let mut trusting = guard(|config| config.trusted = vec!["203.0.113.0/24".parse().unwrap()]);
    note(&mut trusting, at(0), ONE, Offence::Scanner, 5);
    assert!((0..1000).all(|_| admit(&mut trusting, at(0), ONE) == Verdict::Admitted));
    let mut off = guard(|config| (config.rate, config.ban_after) = (0, 0));
    note(&mut off, at(0), ONE, Offence::Scanner, 5);
    assert!((0..1000).all(|_| admit(&mut off, at(0), ONE) == Verdict::Admitted));
    assert_eq!(off.counters().sources, 0);
}

#[test]
fn one_who_becomes_trusted_is_free() {
    let mut guard = guard(|_| {});
    note(&mut guard, at(0), ONE, Offence::Scanner, 1);
    let trusted = vec![ip(ONE).into()];
    guard.configure(GuardConfig { trusted, ..GuardConfig::default() });
    assert_eq!(admit(&mut guard, at(0), ONE), Verdict::Admitted);
    assert_eq!(guard.counters().in_force, 0);
}

#[test]
fn an_ipv6_customer_is_its_64_and_a_mapped_address_is_ipv4() {
    let mut guard = guard(|_| {});
    note(&mut guard, at(0), "2001:db8:0:1::1", Offence::Scanner, 1);
    assert_eq!(admit(&mut guard, at(0), "2001:db8:0:1:ffff::2"), Verdict::Banned);
    assert_eq!(admit(&mut guard, at(0), "2001:db8:0:2::1"), Verdict::Admitted);
    note(&mut guard, at(0), "::ffff:203.0.113.1", Offence::Scanner, 1);
    assert_eq!(admit(&mut guard, at(0), ONE), Verdict::Banned);
}

#[test]
fn an_access_list_holds_for_its_interface_and_for_the_trusted_too() {
    let lists = Access { allow: vec!["192.0.2.0/24".parse().unwrap()], deny: vec!["192.0.2.66".parse().unwrap()] };
    let mut guard = guard(|config| config.access = vec![Access::default(), lists]);
    for (interface, from, verdict) in [
        (0, ONE, Verdict::Admitted),
        (1, ONE, Verdict::Denied),
        (1, "127.0.0.1", Verdict::Denied),
        (1, "192.0.2.1", Verdict::Admitted),
        (1, "192.0.2.66", Verdict::Denied),
        (2, ONE, Verdict::Admitted),
    ] {
        assert_eq!(guard.admit(at(0), InterfaceId(interface), ip(from), true), verdict, "{interface} {from}");
        let within = if verdict == Verdict::Denied { Verdict::Denied } else { Verdict::Admitted };
        assert_eq!(guard.admit(at(0), InterfaceId(interface), ip(from), false), within, "no call gets round a list");
    }
}

#[test]
fn the_tables_stay_within_their_limits_whoever_comes() {
    let mut guard = guard(|config| config.max_sources = 100);
    for n in 0..10_000u32 {
        let from = IpAddr::from(n.to_be_bytes());
        let now = at(u64::from(n) * 10);
        guard.admit(now, InterfaceId(0), from, true);
        guard.note(now, from, if n.is_multiple_of(2) { Offence::Scanner } else { Offence::Malformed });
        let counted = guard.counters();
        assert!(counted.sources <= 100 && counted.in_force <= 100, "{counted:?}");
        assert_eq!((guard.order.len(), guard.ends.len()), (counted.sources, counted.in_force));
    }
    let newest = IpAddr::from(9998u32.to_be_bytes());
    assert_eq!(guard.admit(at(99_999), InterfaceId(0), newest, true), Verdict::Banned);
}
