//! A new configuration for a server that runs: what changes is printed first, then it is taken as a whole or not at all.

use super::{Server, keeping, scripts, start::TIMER_C};
use crate::{
    conf::{Change, Conf},
    io::Order,
    media, switch,
};

/// Keys whose change is taken at once, for what comes from now on, and with each all that is below it.
const NOW: [&str; 30] = [
    "agent",
    "ai_agent",
    "call",
    "guard",
    "media.codecs",
    "media.comfort_noise",
    "media.country",
    "media.keys",
    "media.ptime_ms",
    "media.relayed",
    "media.security",
    "message",
    "messages",
    "number",
    "outbound",
    "phone",
    "phones",
    "queue",
    "recording.max_rate",
    "recording.max_minutes",
    "script.max_legs",
    "sip.avoid_s",
    "sip.drain_s",
    "sip.failover_ms",
    "sip.max_calls",
    "sip.ring_limit_s",
    "siprec",
    "stir",
    "trunk",
    "webhook",
];
/// But these below them hold from the next start on, as all others do.
const FETCHING: [&str; 3] = ["stir.fetch_from", "stir.fetch_ms", "stir.fetch_trust"];

/// What a new configuration would change.
struct Plan {
    /// Changes that are taken at once, for what comes from now on.
    now: Vec<String>,
    /// What is different and needs a restart.
    restart: Vec<String>,
}

fn is_taken_now(key: &str) -> bool {
    let below = |top: &&str| key.strip_prefix(*top).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    NOW.iter().any(below) && !FETCHING.contains(&key)
}

/// Whatever is not known to be taken at once needs a restart: no key is forgotten.
fn plan(old: &Conf, new: &Conf) -> Plan {
    let changes = old.keys.changes(&new.keys);
    let (now, restart): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| is_taken_now(change.key()));
    let mut restart: Vec<String> = restart.iter().map(|change| change.key().to_owned()).collect();
    let room = old.media.max_ports;
    if new.sip.max_calls > room {
        restart.push(format!("sip.max_calls above {room}, for which there is room since the start"));
    }
    let longest = old.sip.ring_limit.max(TIMER_C);
    if new.sip.ring_limit > longest {
        restart.push(format!("sip.ring_limit_s above {}, which a timer has had since the start", longest.as_secs()));
    }
    let mut now: Vec<String> = now.iter().map(|change| told(change, old, new)).collect();
    if old.stir != new.stir && !now.iter().any(|line| line.starts_with("~ stir.")) {
        now.push("~ stir: what is in its files".to_owned());
    }
    Plan { now, restart }
}

/// A change in a line; of a number also what answers it.
fn told(change: &Change, old: &Conf, new: &Conf) -> String {
    let service = |conf: &Conf, wanted: &String| {
        let route = conf.routes.iter().find(|route| route.number.to_string() == *wanted);
        route.map_or_else(String::new, |route| format!(" -> {}", route.service))
    };
    let more = match change {
        Change::Come("number", number) => service(new, number),
        Change::Gone("number", number) => service(old, number),
        Change::Entry("number", number, _) => service(new, number),
        Change::Key(_) | Change::Come(..) | Change::Gone(..) | Change::Entry(..) | Change::Order(_) => String::new(),
    };
    format!("{change}{more}")
}

/// What would change; else why nothing can.
pub(super) fn planned(old: &Conf, new: &Conf) -> Result<Vec<String>, Vec<String>> {
    let faults = scripts::faults(new);
    if !faults.is_empty() {
        return Err(faults);
    }
    let Plan { now, restart } = plan(old, new);
    if restart.is_empty() {
        return Ok(now);
    }
    Err(restart.into_iter().map(|what| format!("{what}: a change here needs a restart")).collect())
}

impl Server {
    /// Take `new` in the place of `old`, as far as that can be done while calls go on. Gives what was done, line by line;
    /// else why nothing was.
    pub async fn reload(&self, old: &Conf, new: &Conf) -> Result<Vec<String>, Vec<String>> {
        let now = planned(old, new)?;
        if !now.is_empty() {
            let config = Box::new(changed(&self.config, new));
            self.ask(Order::Input(Box::new(switch::Input::Configure(config)))).await;
            let fixed = keeping::fixed(new);
            self.webhooks.send_if_modified(|old| {
                let other = *old != fixed;
                *old = fixed;
                other
            });
            self.roster.send_replace(new.roster.clone());
        }
        Ok(now)
    }

    /// As [`Server::reload`], told on standard output, too.
    pub(super) async fn reload_told(
        &self,
        conf: &mut Conf,
        new: Result<Conf, String>,
    ) -> Result<Vec<String>, Vec<String>> {
        let done = match new {
            Ok(new) => {
                let done = self.reload(conf, &new).await;
                if done.is_ok() {
                    conf.take(new);
                }
                done
            }
            Err(fault) => Err(vec![fault]),
        };
        let (Ok(lines) | Err(lines)) = &done;
        lines.iter().for_each(|line| println!("{line}"));
        match &done {
            Ok(lines) => println!("reloaded: {} changes", lines.len()),
            Err(_) => println!("not reloaded: all stays as it was"),
        }
        done
    }
}

impl Conf {
    /// From now on `new` holds; the room that was made at the start stays as it is.
    fn take(&mut self, new: Conf) {
        let media = media::Config { max_ports: self.media.max_ports, ..new.media };
        *self = Conf { media, ..new };
    }
}

/// What the switch was started with, with what may change.
fn changed(old: &switch::Config, new: &Conf) -> switch::Config {
    switch::Config {
        routes: new.routes.clone(),
        trunking: new.trunking.clone(),
        messages: new.messages.clone(),
        phones: switch::Phones { key: old.phones.key, ..new.phones.clone() },
        codecs: new.codecs.clone(),
        relayed: super::start::relayed(new),
        comfort_noise: new.comfort_noise,
        ptime: new.ptime,
        ring_limit: new.sip.ring_limit,
        country: new.country.clone(),
        security: switch::MediaSecurity {
            key: old.security.key,
            fingerprint: old.security.fingerprint,
            ..new.security.clone()
        },
        stir: new.stir.clone(),
        rules: new.rules.clone(),
        // Access lists belong to the interfaces, and those stay.
        guard: switch::GuardConfig { access: old.guard.access.clone(), ..new.guard.clone() },
        limits: switch::Limits {
            calls: new.sip.max_calls,
            legs_per_flow: new.max_legs,
            silent: new.sip.failover,
            avoid: new.sip.avoid,
            ..old.limits.clone()
        },
        ..old.clone()
    }
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
