//! A world in virtual time: hosts with the real Exchange, Engine and Lua, and a network that loses what it is told to.
//!
//! An hour of calls passes in moments, and the same seed gives the same hour. What only a real machine can show
//! (sockets, threads, kernels) is not here; it is in `sip-tests/`.

mod flows;
mod host;
mod net;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

pub use host::{Host, Recording, SIP_PORT};
pub use net::{Datagram, Net, Weather};

use crate::{
    codec::Rate,
    media::Pcm,
    switch::{Config, Input},
    time::{Epoch, Time},
};

/// When the world begins: 2025-01-01 00:00 UTC.
const DAWN: Epoch = Epoch(Duration::from_secs(1_735_689_600));

/// Hosts and the network between them.
pub struct World {
    /// The present.
    pub now: Time,
    /// What is between the hosts.
    pub net: Net,
    hosts: BTreeMap<IpAddr, Host>,
    seed: u64,
    wire: Option<Vec<(Time, Datagram)>>,
}

impl World {
    /// Without hosts.
    pub fn new(weather: Weather, seed: u64) -> World {
        World { now: Time::START, net: Net::new(weather, seed), hosts: BTreeMap::new(), seed, wire: None }
    }

    /// Keep every datagram that arrives anywhere from now on, for [`World::wire`].
    pub fn tap(&mut self) {
        self.wire.get_or_insert_default();
    }

    /// The datagrams that arrived since [`World::tap`], also at addresses without a host: in order, with the time.
    pub fn wire(&self) -> &[(Time, Datagram)] {
        self.wire.as_deref().unwrap_or_default()
    }

    /// Add a host that runs `scripts` (name, text); `config` is made for its address by the caller.
    pub fn add(&mut self, ip: IpAddr, config: Config, scripts: &[(&str, &str)]) {
        self.seed = self.seed.wrapping_add(1);
        self.hosts.insert(ip, Host::new(ip, config, scripts, (DAWN, self.seed)));
    }

    /// The host at an address.
    pub fn host(&mut self, ip: IpAddr) -> &mut Host {
        self.hosts.get_mut(&ip).expect("the test added it")
    }

    /// Let something happen at a host.
    pub fn tell(&mut self, ip: IpAddr, input: Input) {
        let mut out = Vec::new();
        let now = self.now;
        self.host(ip).handle(now, input, &mut out);
        self.launch(out);
    }

    /// Let time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.step(at);
        }
        self.now = end;
    }

    /// Let time pass until `reached`, for at most `limit`; false: it was not reached.
    pub fn run_until(&mut self, limit: Duration, mut reached: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + limit;
        while !reached(self) {
            match self.next().filter(|at| *at <= end) {
                Some(at) => self.step(at),
                None => {
                    self.now = end;
                    return reached(self);
                }
            }
        }
        true
    }

    fn next(&self) -> Option<Time> {
        self.hosts.values().fold(self.net.timeout(), |soonest, host| Time::soonest(soonest, host.timeout()))
    }

    fn step(&mut self, at: Time) {
        self.now = self.now.max(at);
        let now = self.now;
        let mut out = Vec::new();
        while let Some(datagram) = self.net.poll(now) {
            let (transport, from, to) = (datagram.transport, datagram.from, datagram.to);
            if let Some(wire) = &mut self.wire {
                wire.push((now, datagram.clone()));
            }
            // An address without a host is a black hole; a host tells that nobody listens on a port.
            let Some(host) = self.hosts.get_mut(&to.ip()) else { continue };
            if !host.handle_datagram(now, datagram, &mut out)
                && let Some(host) = self.hosts.get_mut(&from.ip()).filter(|_| from.port() == SIP_PORT)
            {
                host.handle_unreachable(now, (transport, to), &mut out);
            }
        }
        for host in self.hosts.values_mut().filter(|host| host.timeout().is_some_and(|at| at <= now)) {
            host.handle_timeout(now, &mut out);
        }
        self.launch(out);
    }

    fn launch(&mut self, out: Vec<Datagram>) {
        for datagram in out {
            self.net.send(self.now, datagram);
        }
    }
}

/// A sine of `frequency` Hz, as loud as speech.
pub fn hum(frequency: f64, samples: usize) -> Arc<Pcm> {
    let wave = |n: usize| (8000.0 * (2.0 * std::f64::consts::PI * frequency * n as f64 / 8000.0).sin()) as i16;
    Arc::new(Pcm { rate: Rate::Narrow, samples: (0..samples).map(wave).collect(), looped: false })
}
