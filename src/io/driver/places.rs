//! The table of sockets that io_uring knows, and which of them belong to which port.
//!
//! ```text
//! Free ──add──▶ Armed ──close──▶ Closing ──last completion──▶ Free
//!               │   ▲ └──stop──▶ Stopping ─last completion──▶ Stopped ──take──▶ Free
//!               ▼   └─ next turn
//!              Idle (no buffer was left, or the socket had an error)
//! ```

use std::net::UdpSocket;

use super::about::About;
use crate::media::{Channel, Slot};

/// Where the receive of a socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No socket.
    Free,
    /// It receives.
    Armed,
    /// It is to receive again from the next turn on.
    Idle,
    /// Cancelled; what still comes is thrown away, and the socket closed at the end.
    Closing,
    /// Cancelled; what still comes is given out.
    Stopping,
    /// It receives no more, and the socket may be taken.
    Stopped,
}

/// One place of the table.
pub(super) struct Place {
    pub(super) slot: Slot,
    pub(super) channel: Channel,
    pub(super) state: State,
    /// Tells the socket from an earlier one in this place.
    generation: u32,
    socket: Option<UdpSocket>,
}

/// The table.
pub(super) struct Places {
    places: Box<[Place]>,
    free: Vec<u32>,
    /// Places of RTP and RTCP.
    by_slot: Vec<Option<[u32; 2]>>,
    /// May be idle; or in another state since.
    idle: Vec<u32>,
}

impl Places {
    pub(super) fn new(count: usize, max_ports: usize) -> Places {
        let free = |_| Place { slot: Slot(0), channel: Channel::Rtp, state: State::Free, generation: 0, socket: None };
        Places {
            places: (0..count).map(free).collect(),
            free: (0..count as u32).rev().collect(),
            by_slot: Vec::with_capacity(max_ports),
            idle: Vec::with_capacity(count),
        }
    }

    /// The place that the next socket comes to.
    pub(super) fn next_free(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// Put a socket into the next free place.
    pub(super) fn fill(&mut self, slot: Slot, channel: Channel, socket: UdpSocket) -> Option<u32> {
        let index = self.free.pop()?;
        let place = &mut self.places[index as usize];
        place.slot = slot;
        place.channel = channel;
        place.state = State::Idle;
        place.generation = (place.generation + 1) & About::GENERATIONS;
        place.socket = Some(socket);
        Some(index)
    }

    /// Take the socket out.
    pub(super) fn empty(&mut self, index: u32) -> Option<UdpSocket> {
        self.places[index as usize].state = State::Free;
        self.free.push(index);
        self.places[index as usize].socket.take()
    }

    /// Say which places a slot's port has.
    pub(super) fn join(&mut self, slot: Slot, both: [u32; 2]) {
        let index = slot.0 as usize;
        if self.by_slot.len() <= index {
            self.by_slot.resize(index + 1, None);
        }
        self.by_slot[index] = Some(both);
    }

    /// The places of a slot: RTP, RTCP.
    pub(super) fn of(&self, slot: Slot) -> Option<[u32; 2]> {
        *self.by_slot.get(slot.0 as usize)?
    }

    /// As [`Places::of`], and the slot has none from now on.
    pub(super) fn leave(&mut self, slot: Slot) -> Option<[u32; 2]> {
        self.by_slot.get_mut(slot.0 as usize)?.take()
    }

    pub(super) fn state(&mut self, index: u32) -> &mut State {
        &mut self.places[index as usize].state
    }

    /// What a receive is named in this place.
    pub(super) fn receive(&self, index: u32) -> About {
        About::Receive { generation: self.places[index as usize].generation, place: index }
    }

    /// The place that a completion is about; none where it is of an earlier socket.
    pub(super) fn completed(&self, generation: u32, index: u32) -> Option<&Place> {
        self.places.get(index as usize).filter(|place| place.generation == generation)
    }

    /// The last completion of a receive is in. True: the place is to be emptied.
    pub(super) fn handle_end(&mut self, index: u32) -> bool {
        let state = self.state(index);
        match *state {
            State::Armed => {
                *state = State::Idle;
                self.idle.push(index);
            }
            State::Stopping => *state = State::Stopped,
            State::Closing => return true,
            State::Free | State::Idle | State::Stopped => {}
        }
        false
    }

    /// A place whose receive is to be armed again.
    pub(super) fn next_idle(&mut self) -> Option<u32> {
        while let Some(index) = self.idle.pop() {
            if *self.state(index) == State::Idle {
                return Some(index);
            }
        }
        None
    }
}
