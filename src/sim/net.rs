//! The network between simulated hosts: latency, jitter, loss, duplicates, all from one seed.

use std::{cmp::Reverse, collections::BinaryHeap, net::SocketAddr, time::Duration};

use crate::{chance::Chance, sip::Transport, time::Time};

/// How bad the network is, each way.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Least time that a datagram takes.
    pub latency: Duration,
    /// Most time beyond that; evenly spread, so datagrams overtake each other.
    pub jitter: Duration,
    /// Share of datagrams that is lost, 0 to 1.
    pub loss: f64,
    /// Share of datagrams that comes twice, 0 to 1.
    pub duplicated: f64,
}

impl Weather {
    /// 1 ms, nothing lost.
    pub const CALM: Weather =
        Weather { latency: Duration::from_millis(1), jitter: Duration::ZERO, loss: 0.0, duplicated: 0.0 };
}

/// One datagram, or one message on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// What it goes over. Streams lose nothing, double nothing, and keep their order.
    pub transport: Transport,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it goes to.
    pub to: SocketAddr,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl Datagram {
    /// Over UDP.
    pub fn udp(from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) -> Datagram {
        Datagram { transport: Transport::Udp, from, to, bytes }
    }
}

/// Datagrams under way.
pub struct Net {
    weather: Weather,
    chance: Chance,
    under_way: BinaryHeap<Reverse<(Time, u64)>>,
    datagrams: std::collections::BTreeMap<u64, Datagram>,
    serial: u64,
    /// When the newest message of each stream arrives.
    streams: std::collections::BTreeMap<(Transport, SocketAddr, SocketAddr), Time>,
}

impl Net {
    /// With this weather, decided by `seed`.
    pub fn new(weather: Weather, seed: u64) -> Net {
        Net {
            weather,
            chance: Chance::new(seed),
            under_way: BinaryHeap::new(),
            datagrams: Default::default(),
            serial: 0,
            streams: Default::default(),
        }
    }

    /// Change the weather for what is sent from now on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Send a datagram.
    pub fn send(&mut self, now: Time, datagram: Datagram) {
        if datagram.transport.is_reliable() {
            return self.launch(now, datagram);
        }
        if self.chance.share() < self.weather.loss {
            return;
        }
        if self.chance.share() < self.weather.duplicated {
            self.launch(now, datagram.clone());
        }
        self.launch(now, datagram);
    }

    fn launch(&mut self, now: Time, datagram: Datagram) {
        let mut at = now + self.weather.latency + self.weather.jitter.mul_f64(self.chance.share());
        if datagram.transport.is_reliable() {
            let newest = self.streams.entry((datagram.transport, datagram.from, datagram.to)).or_insert(at);
            at = at.max(*newest);
            *newest = at;
        }
        self.serial += 1;
        self.under_way.push(Reverse((at, self.serial)));
        self.datagrams.insert(self.serial, datagram);
    }

    /// When the next datagram arrives.
    pub fn timeout(&self) -> Option<Time> {
        self.under_way.peek().map(|Reverse((at, _))| *at)
    }

    /// A datagram that has arrived by `now`.
    pub fn poll(&mut self, now: Time) -> Option<Datagram> {
        let Reverse((at, serial)) = *self.under_way.peek()?;
        if at > now {
            return None;
        }
        self.under_way.pop();
        self.datagrams.remove(&serial)
    }
}
