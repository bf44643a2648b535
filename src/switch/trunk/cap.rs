//! How much may be called away before somebody looks: caps on calls and money, by carrier, by caller, or in all.
//!
//! A cap counts in periods: the first call opens one, and when it is over the count begins anew. What calls in progress
//! have cost so far counts, too.

use std::{collections::BTreeMap, time::Duration};

use crate::{switch::Pattern, time::Time};

/// Counts of one cap that are kept at a time.
const COUNTS: usize = 10_000;

/// No more than so much, for some numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Cap {
    /// Calls to which numbers count.
    pub number: Pattern,
    /// Who has a count of its own.
    pub by: CapBy,
    /// Most calls in a period; absent: no limit.
    pub calls: Option<u32>,
    /// Most money in a period, in millionths; absent: no limit.
    pub spend: Option<u64>,
    /// How long a period is.
    pub period: Duration,
    /// The operator is warned when so many hundredths are used up.
    pub alarm: u8,
}

/// Who has a count of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapBy {
    /// Each carrier.
    Trunk,
    /// Each caller.
    Caller,
    /// All calls together.
    All,
}

/// A cap has been used up so far, or altogether.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The cap, counted from 0 in the order of the file.
    pub cap: usize,
    /// Whose count: a carrier's name, a caller's number, or nothing.
    pub who: String,
    /// The calls of the period.
    pub calls: u32,
    /// The money of the period, in millionths.
    pub spent: u64,
    /// A call was denied; told once a period.
    pub denied: bool,
}

/// A call that is to be counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::switch) struct Counted<'a> {
    /// The number in the form that the rules know it.
    pub number: &'a str,
    pub trunk: &'a str,
    pub caller: &'a str,
    /// Of a minute, in millionths.
    pub price: u64,
}

/// A call's place in the counts.
#[derive(Debug, Default)]
pub(in crate::switch) struct Ticket {
    counts: Vec<(usize, String)>,
    price: u64,
    answered: Option<Time>,
}

/// The counts of all caps.
#[derive(Debug, Default)]
pub(in crate::switch) struct Counts {
    counts: BTreeMap<(usize, String), Count>,
}

#[derive(Debug)]
struct Count {
    since: Time,
    calls: u32,
    /// Millionths times milliseconds a minute: what ended calls of the period cost.
    ended: u128,
    /// The prices of the calls in progress, and each times the moment since when it counts.
    prices: u128,
    moments: u128,
    warned: bool,
    stopped: bool,
}

impl Count {
    fn new(since: Time) -> Count {
        Count { since, calls: 0, ended: 0, prices: 0, moments: 0, warned: false, stopped: false }
    }

    /// A new period where the old one is over; calls in progress count from now on.
    fn turn(&mut self, now: Time, period: Duration) {
        if now - self.since >= period {
            let prices = self.prices;
            *self = Count { prices, moments: prices * at(now), ..Count::new(now) };
        }
    }

    fn spent(&self, now: Time) -> u64 {
        let running = (self.prices * at(now)).saturating_sub(self.moments);
        u64::try_from((self.ended + running) / 60_000).unwrap_or(u64::MAX)
    }
}

fn at(time: Time) -> u128 {
    time.since_start().as_millis()
}

impl Counts {
    /// May this call begin? Else the cap that stops it; `alarms` takes what the operator should know either way.
    pub fn admit(
        &mut self,
        caps: &[Cap],
        now: Time,
        call: Counted<'_>,
        alarms: &mut Vec<Alarm>,
    ) -> Result<Ticket, usize> {
        let mut keys = Vec::new();
        for (index, cap) in caps.iter().enumerate().filter(|(_, cap)| cap.number.matches(call.number)) {
            let key = (index, who(cap.by, call).to_owned());
            let Some(count) = self.count(&key, cap, now) else { return Err(index) };
            let spent = count.spent(now);
            let full = cap.calls.is_some_and(|most| count.calls >= most) || cap.spend.is_some_and(|most| spent >= most);
            let (calls, who) = (count.calls, key.1.clone());
            if full {
                if !std::mem::replace(&mut count.stopped, true) {
                    alarms.push(Alarm { cap: index, who, calls, spent, denied: true });
                }
                return Err(index);
            }
            keys.push(key);
        }
        for key in &keys {
            let (cap, Some(count)) = (&caps[key.0], self.counts.get_mut(key)) else { continue };
            count.calls += 1;
            alarms.extend(count.warn(cap, key, now));
        }
        Ok(Ticket { counts: keys, price: call.price, answered: None })
    }

    /// The count of `key`, where there is room for one more.
    fn count(&mut self, key: &(usize, String), cap: &Cap, now: Time) -> Option<&mut Count> {
        if self.counts.len() >= COUNTS && !self.counts.contains_key(key) {
            let period = cap.period;
            self.counts.retain(|(cap, _), count| *cap != key.0 || count.prices > 0 || now - count.since < period);
            if self.counts.len() >= COUNTS {
                return None;
            }
        }
        let count = self.counts.entry(key.clone()).or_insert_with(|| Count::new(now));
        count.turn(now, cap.period);
        Some(count)
    }

    /// The call was answered: it costs from now on.
    pub fn answered(&mut self, caps: &[Cap], now: Time, ticket: &mut Ticket) {
        if ticket.answered.replace(now).is_some() {
            return;
        }
        for key in &ticket.counts {
            let (Some(cap), Some(count)) = (caps.get(key.0), self.counts.get_mut(key)) else { continue };
            count.turn(now, cap.period);
            count.prices += u128::from(ticket.price);
            count.moments += u128::from(ticket.price) * at(now);
        }
    }

    /// The call is over. What it cost, in millionths.
    pub fn ended(&mut self, caps: &[Cap], now: Time, ticket: Ticket, alarms: &mut Vec<Alarm>) -> u64 {
        let Some(answered) = ticket.answered else {
            return 0;
        };
        let price = u128::from(ticket.price);
        for key in &ticket.counts {
            let (Some(cap), Some(count)) = (caps.get(key.0), self.counts.get_mut(key)) else { continue };
            count.turn(now, cap.period);
            let since = answered.max(count.since);
            count.prices = count.prices.saturating_sub(price);
            count.moments = count.moments.saturating_sub(price * at(since));
            count.ended += price * (at(now) - at(since));
            alarms.extend(count.warn(cap, key, now));
        }
        u64::try_from(price * (now - answered).as_millis() / 60_000).unwrap_or(u64::MAX)
    }

    /// The call went elsewhere before anybody answered: it does not count here.
    pub fn withdrawn(&mut self, ticket: Ticket) {
        for key in &ticket.counts {
            if let Some(count) = self.counts.get_mut(key) {
                count.calls = count.calls.saturating_sub(1);
            }
        }
    }

    /// The counts of caps that no longer are what they were begin anew.
    pub fn forget(&mut self) {
        self.counts.clear();
    }
}

impl Count {
    fn warn(&mut self, cap: &Cap, key: &(usize, String), now: Time) -> Option<Alarm> {
        let spent = self.spent(now);
        let share = |used: u64, most: u64| used.saturating_mul(100) >= most.saturating_mul(cap.alarm.into());
        let near = cap.calls.is_some_and(|most| share(self.calls.into(), most.into()))
            || cap.spend.is_some_and(|most| share(spent, most));
        if !near || std::mem::replace(&mut self.warned, true) {
            return None;
        }
        Some(Alarm { cap: key.0, who: key.1.clone(), calls: self.calls, spent, denied: false })
    }
}

fn who(by: CapBy, call: Counted<'_>) -> &str {
    match by {
        CapBy::Trunk => call.trunk,
        CapBy::Caller => call.caller,
        CapBy::All => "",
    }
}

#[cfg(test)]
#[path = "cap_tests.rs"]
mod tests;
