//! A new configuration for a server that runs: what changes is printed first, then it is taken as a whole or not at all.

use super::{Server, scripts};
use crate::{conf::Conf, io::Order, switch};

/// What a new configuration would change.
struct Plan {
    /// Changes that are taken at once, for what comes from now on.
    now: Vec<String>,
    /// Keys whose change needs a restart.
    restart: Vec<&'static str>,
}

fn plan(old: &Conf, new: &Conf) -> Plan {
    let mut now = Vec::new();
    let mut say = |changed: bool, what: String| {
        if changed {
            now.push(what);
        }
    };
    let names = |conf: &Conf| -> Vec<String> {
        conf.routes.iter().map(|route| format!("{} -> {}", route.number, route.service)).collect()
    };
    let (before, after) = (names(old), names(new));
    for gone in before.iter().filter(|one| !after.contains(one)) {
        say(true, format!("- number {gone}"));
    }
    for come in after.iter().filter(|one| !before.contains(one)) {
        say(true, format!("+ number {come}"));
    }
    say(before == after && old.routes != new.routes, "~ numbers: other order or variables".into());
    let carriers = |conf: &Conf| -> Vec<String> { conf.trunking.trunks.iter().map(|t| t.name.to_string()).collect() };
    let (before, after) = (carriers(old), carriers(new));
    for gone in before.iter().filter(|one| !after.contains(one)) {
        say(true, format!("- trunk {gone}"));
    }
    for come in after.iter().filter(|one| !before.contains(one)) {
        say(true, format!("+ trunk {come}"));
    }
    say(before == after && old.trunking != new.trunking, "~ trunks or outbound rules".into());
    say(old.phones != new.phones, "~ phones".into());
    say(old.messages != new.messages, "~ messages".into());
    say(old.rules != new.rules, "~ call".into());
    say(old.guard != new.guard, "~ guard".into());
    say(old.stir != new.stir, "~ stir".into());
    say(old.codecs != new.codecs || old.ptime != new.ptime, "~ media.codecs, media.ptime_ms".into());
    say(old.country != new.country, "~ media.country".into());
    say(limits(old) != limits(new), "~ limits of calls".into());
    let fixed = [
        ("interface", old.interfaces != new.interfaces),
        ("folders", old.folders != new.folders),
        ("store, api", old.store != new.store),
        ("media.workers, driver, rtp_ports, dscp, gather_us", media(old) != media(new)),
        ("script.threads, pool", (old.script_threads, old.script_pool) != (new.script_threads, new.script_pool)),
        ("script", old.script != new.script),
        ("tls", old.tls != new.tls || old.tls_reload != new.tls_reload),
        ("dns", old.dns != new.dns),
        ("stream", old.stream != new.stream),
        ("speech", old.speech != new.speech),
        ("sip", stack(old) != stack(new)),
    ];
    Plan { now, restart: fixed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect() }
}

fn limits(conf: &Conf) -> impl PartialEq {
    (conf.sip.max_calls, conf.max_legs, conf.sip.failover, conf.sip.avoid, conf.sip.ring_limit)
}

fn media(conf: &Conf) -> impl PartialEq {
    (conf.workers, conf.driver, conf.rtp_ports.clone(), conf.rtp_dscp, conf.gather)
}

fn stack(conf: &Conf) -> impl PartialEq {
    let sip = &conf.sip;
    let limits = (sip.max_message, sip.max_headers, sip.max_transactions, sip.max_connections);
    (sip.agent.clone(), sip.tcp, [sip.t1, sip.t2, sip.t4], limits, sip.dscp)
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
    Err(restart.into_iter().map(|key| format!("{key}: a change here needs a restart")).collect())
}

impl Server {
    /// Take `new` in the place of `old`, as far as that can be done while calls go on. Gives what was done, line by line;
    /// else why nothing was.
    pub async fn reload(&self, old: &Conf, new: &Conf) -> Result<Vec<String>, Vec<String>> {
        let now = planned(old, new)?;
        if !now.is_empty() {
            let config = Box::new(self.changed(new));
            self.ask(Order::Input(Box::new(switch::Input::Configure(config)))).await;
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
                    *conf = new;
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

    /// What the switch was started with, with what may change.
    fn changed(&self, new: &Conf) -> switch::Config {
        let old = &self.config;
        switch::Config {
            routes: new.routes.clone(),
            trunking: new.trunking.clone(),
            messages: new.messages.clone(),
            phones: switch::Phones { key: old.phones.key, ..new.phones.clone() },
            codecs: new.codecs.clone(),
            relayed: super::start::relayed(new),
            ptime: new.ptime,
            country: new.country.clone(),
            ring_limit: new.sip.ring_limit,
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::DEFAULTS;

    #[test]
    fn a_plan_names_what_comes_and_goes_and_what_needs_a_restart() {
        let old = Conf::read("x", DEFAULTS).unwrap();
        let none = plan(&old, &old.clone());
        assert!(none.now.is_empty() && none.restart.is_empty());
        let text = "[[number]]\nnumber = \"100\"\nscript = \"menu.lua\"\n[[number]]\nnumber = \"7\"\nscript = \"echo.lua\"\n\
                    [call]\ntransfer = \"nobody\"\n[[trunk]]\nname = \"new\"\n";
        let new = Conf::read("x", text).unwrap();
        let found = plan(&old, &new);
        assert!(found.restart.is_empty(), "{:?}", found.restart);
        for line in ["- number 101 -> echo.lua", "+ number 7 -> echo.lua", "+ trunk new", "~ call"] {
            assert!(found.now.iter().any(|one| one == line), "{line} in {:?}", found.now);
        }
        assert!(!found.now.iter().any(|one| one.contains("number 100")));
        let new = Conf::read("x", "[media]\nworkers = 3\n[sip]\nt1_ms = 400\n").unwrap();
        assert_eq!(plan(&old, &new).restart, ["media.workers, driver, rtp_ports, dscp, gather_us", "sip"]);
    }
}
