use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn cap(number: &str, by: CapBy) -> Cap {
    let number = Pattern::parse(number).unwrap();
    Cap { number, by, calls: None, spend: None, period: secs(3600), alarm: 80 }
}

const CALL: Counted<'static> = Counted { number: "+4930", trunk: "a", caller: "anna", price: 60_000_000 };

struct Bench {
    caps: Vec<Cap>,
    counts: Counts,
    now: Time,
    alarms: Vec<Alarm>,
}

impl Bench {
    fn new(caps: Vec<Cap>) -> Bench {
        Bench { caps, counts: Counts::default(), now: Time::START + secs(5), alarms: vec![] }
    }

    fn admit(&mut self, call: Counted<'_>) -> Result<Ticket, usize> {
        self.counts.admit(&self.caps, self.now, call, &mut self.alarms)
    }

    fn answered(&mut self, call: Counted<'_>) -> Ticket {
        let mut ticket = self.admit(call).unwrap();
        self.counts.answered(&self.caps, self.now, &mut ticket);
        ticket
    }

    fn ended(&mut self, ticket: Ticket) -> u64 {
        self.counts.ended(&self.caps, self.now, ticket, &mut self.alarms)
    }
}

#[test]
fn a_cap_on_calls_stops_the_next_one_till_the_period_is_over_and_warns_before() {
    let mut bench = Bench::new(vec![Cap { calls: Some(5), ..cap("+49*", CapBy::All) }]);
    for at in 1..=5 {
        bench.admit(CALL).unwrap();
        assert_eq!(bench.alarms.len(), usize::from(at >= 4), "one warning, at 80 of 100");
    }
    assert_eq!(bench.admit(CALL).err(), Some(0));
    assert!(bench.alarms[1].denied);
    assert!(bench.admit(Counted { number: "+1", ..CALL }).is_ok(), "other numbers are not capped");
    bench.now += secs(3599);
    assert!(bench.admit(CALL).is_err());
    bench.now += secs(1);
    assert!(bench.admit(CALL).is_ok());
}

#[test]
fn each_carrier_and_each_caller_has_a_count_of_its_own() {
    let by = |by| vec![Cap { calls: Some(1), ..cap("*", by) }];
    let mut bench = Bench::new(by(CapBy::Trunk));
    assert!(bench.admit(CALL).is_ok());
    assert!(bench.admit(Counted { caller: "bert", ..CALL }).is_err());
    assert!(bench.admit(Counted { trunk: "b", ..CALL }).is_ok());
    let mut bench = Bench::new(by(CapBy::Caller));
    assert!(bench.admit(CALL).is_ok());
    assert!(bench.admit(Counted { trunk: "b", ..CALL }).is_err());
    assert!(bench.admit(Counted { caller: "bert", ..CALL }).is_ok());
}

#[test]
fn calls_in_progress_cost_what_they_cost_so_far() {
    // A call costs 1 a second; the cap is 100.
    let mut bench = Bench::new(vec![Cap { spend: Some(100_000_000), ..cap("*", CapBy::All) }]);
    let first = bench.answered(CALL);
    bench.now += secs(40);
    let second = bench.answered(CALL);
    bench.now += secs(29);
    assert!(bench.admit(CALL).is_ok(), "69 + 29");
    assert_eq!(bench.alarms.len(), 1, "80 are used up: {:?}", bench.alarms);
    bench.now += secs(1);
    assert!(bench.admit(CALL).is_err(), "70 + 30");
    assert_eq!((bench.ended(first), bench.ended(second)), (70_000_000, 30_000_000));
    bench.now += secs(600);
    assert!(bench.admit(CALL).is_err(), "it costs no more, but no less either");
}

#[test]
fn a_long_call_counts_in_each_period_with_its_own_part() {
    let mut bench = Bench::new(vec![Cap { spend: Some(100_000_000), period: secs(60), ..cap("*", CapBy::All) }]);
    let ticket = bench.answered(CALL);
    bench.now += secs(65);
    assert!(bench.admit(CALL).is_ok(), "a new period began with this look");
    bench.now += secs(50);
    let ended = bench.ended(ticket);
    assert_eq!(ended, 115_000_000, "the call's own price is whole");
    assert_eq!(bench.counts.counts[&(0, String::new())].spent(bench.now), 50_000_000);
}

#[test]
fn what_nobody_answered_costs_nothing_and_what_went_elsewhere_does_not_count() {
    let mut bench = Bench::new(vec![Cap { calls: Some(1), spend: Some(1), ..cap("*", CapBy::All) }]);
    let ticket = bench.admit(CALL).unwrap();
    bench.counts.withdrawn(ticket);
    let ticket = bench.admit(CALL).unwrap();
    bench.now += secs(30);
    assert_eq!(bench.ended(ticket), 0);
    assert!(bench.admit(CALL).is_err(), "but the attempt counts");
}

#[test]
fn a_call_that_one_cap_stops_does_not_count_for_another() {
    let caps = vec![Cap { calls: Some(5), ..cap("*", CapBy::All) }, Cap { calls: Some(1), ..cap("+4930", CapBy::All) }];
    let mut bench = Bench::new(caps);
    bench.admit(CALL).unwrap();
    for _ in 0..10 {
        assert_eq!(bench.admit(CALL).err(), Some(1));
    }
    assert_eq!(bench.counts.counts[&(0, String::new())].calls, 1);
}

#[test]
fn the_counts_do_not_grow_without_a_limit() {
    let mut bench = Bench::new(vec![Cap { calls: Some(1), ..cap("*", CapBy::Caller) }]);
    for caller in 0..COUNTS {
        bench.admit(Counted { caller: &caller.to_string(), ..CALL }).unwrap();
    }
    assert!(bench.admit(Counted { caller: "one more", ..CALL }).is_err());
    bench.now += secs(3600);
    assert!(bench.admit(Counted { caller: "one more", ..CALL }).is_ok());
    assert_eq!(bench.counts.counts.len(), 1);
}
