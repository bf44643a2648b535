//! Who is in which bridge: lists threaded through one table, so that joining and leaving need no memory.
//!
//! A bridge of two is a conversation, one of more is a conference; the code is the same. Its audio is a sum of all who
//! speak; each hears the sum without itself, so the cost grows with the members, not with their pairs.

use std::collections::HashMap;

use super::{Frame, MAX_FRAME, Role, Slot, room::Salon};
use crate::{audio::mix, codec::Rate, ids::BridgeId};

/// Index of a bridge within its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BridgeSlot(usize);

/// One port's place in a bridge.
#[derive(Clone, Copy, Debug)]
struct Member {
    bridge: BridgeSlot,
    role: Role,
    next: Option<Slot>,
    previous: Option<Slot>,
}

struct Bridge {
    id: BridgeId,
    first: Option<Slot>,
    count: usize,
    /// Audio is decoded and added; false: packets are relayed, or nobody is there to hear them.
    mixed: bool,
    /// The tick for which `sum` was made.
    tick: u64,
    /// Of its sum.
    rate: Rate,
    salon: Salon,
}

impl Bridge {
    /// Without members.
    fn new(id: BridgeId) -> Bridge {
        Bridge { id, first: None, count: 0, mixed: false, tick: 0, rate: Rate::Narrow, salon: Salon::default() }
    }
}

/// All bridges of an engine.
pub(super) struct Bridges {
    bridges: Vec<Bridge>,
    /// [`MAX_FRAME`] for each bridge, of which its rate says how many are used. Pages that no bridge used take no memory.
    sums: Vec<i32>,
    free: Vec<usize>,
    names: HashMap<BridgeId, usize>,
    /// By port.
    members: Vec<Option<Member>>,
}

impl Bridges {
    /// Room for `ports` ports, each of which may have a bridge of its own.
    pub(super) fn new(ports: usize) -> Bridges {
        Bridges {
            bridges: (0..ports).map(|_| Bridge::new(BridgeId(0))).collect(),
            sums: vec![0; ports * MAX_FRAME],
            free: (0..ports).rev().collect(),
            // Twice the room: a hash table that is at most half full cleans up in place when names come and go.
            names: HashMap::with_capacity(2 * ports),
            members: vec![None; ports],
        }
    }

    /// Put a port into a bridge, out of the one it was in.
    pub(super) fn join(&mut self, id: BridgeId, port: Slot, role: Role) {
        let at = port.0 as usize;
        if self.is_in(port, id) {
            if let Some(member) = self.member_mut(port) {
                let before = std::mem::replace(&mut member.role, role);
                let bridge = member.bridge;
                self.count_role(bridge, before, -1);
                self.count_role(bridge, role, 1);
            }
            return;
        }
        self.leave(port);
        if at >= self.members.len() {
            self.members.resize(at + 1, None);
        }
        let index = match self.names.get(&id) {
            Some(index) => *index,
            None => self.open(id),
        };
        let bridge = &mut self.bridges[index];
        let next = bridge.first.replace(port);
        bridge.count += 1;
        self.count_role(BridgeSlot(index), role, 1);
        self.members[at] = Some(Member { bridge: BridgeSlot(index), role, next, previous: None });
        if let Some(next) = next.and_then(|next| self.member_mut(next)) {
            next.previous = Some(port);
        }
    }

    fn open(&mut self, id: BridgeId) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            // Only with more ports than the engine was made for.
            self.bridges.push(Bridge::new(id));
            self.sums.resize(self.bridges.len() * MAX_FRAME, 0);
            self.bridges.len() - 1
        });
        let bridge = &mut self.bridges[index];
        bridge.id = id;
        bridge.mixed = false;
        bridge.tick = 0;
        bridge.salon = Salon::default();
        self.names.insert(id, index);
        index
    }

    /// Take a port out of its bridge, which is told.
    pub(super) fn leave(&mut self, port: Slot) -> Option<BridgeSlot> {
        let member = self.members.get_mut(port.0 as usize)?.take()?;
        match member.previous.and_then(|previous| self.member_mut(previous)) {
            Some(previous) => previous.next = member.next,
            None => self.bridges[member.bridge.0].first = member.next,
        }
        if let Some(next) = member.next.and_then(|next| self.member_mut(next)) {
            next.previous = member.previous;
        }
        self.count_role(member.bridge, member.role, -1);
        let bridge = &mut self.bridges[member.bridge.0];
        bridge.count -= 1;
        if bridge.count == 0 {
            self.names.remove(&bridge.id);
            self.free.push(member.bridge.0);
        }
        Some(member.bridge)
    }

    fn count_role(&mut self, bridge: BridgeSlot, role: Role, by: i16) {
        let salon = &mut self.bridges[bridge.0].salon;
        if role.speaks() {
            salon.speakers = salon.speakers.saturating_add_signed(by);
        } else if matches!(role, Role::Whisper(_)) {
            salon.whisperers = salon.whisperers.saturating_add_signed(by);
        }
    }

    /// What a bridge keeps of its room.
    pub(super) fn salon(&mut self, bridge: BridgeSlot) -> &mut Salon {
        &mut self.bridges[bridge.0].salon
    }

    /// The bridge that a port is in, and its role there.
    pub(super) fn of(&self, port: Slot) -> Option<(BridgeSlot, Role)> {
        let member = self.members.get(port.0 as usize)?.as_ref()?;
        Some((member.bridge, member.role))
    }

    /// Whether a port is in the bridge of this name.
    pub(super) fn is_in(&self, port: Slot, id: BridgeId) -> bool {
        self.of(port).is_some_and(|(bridge, _)| self.bridges[bridge.0].id == id)
    }

    /// The bridge of this name.
    pub(super) fn named(&self, id: BridgeId) -> Option<BridgeSlot> {
        self.names.get(&id).copied().map(BridgeSlot)
    }

    /// Whether what its members say in this tick was added up.
    pub(super) fn is_added_up(&self, bridge: BridgeSlot, tick: u64) -> bool {
        self.bridges[bridge.0].tick == tick
    }

    /// How many ports are in a bridge.
    pub(super) fn count(&self, bridge: BridgeSlot) -> usize {
        self.bridges[bridge.0].count
    }

    /// The member that joined last, to begin a walk with.
    pub(super) fn first(&self, bridge: BridgeSlot) -> Option<Slot> {
        self.bridges[bridge.0].first
    }

    /// The next of a walk.
    pub(super) fn next(&self, port: Slot) -> Option<Slot> {
        self.members.get(port.0 as usize)?.as_ref()?.next
    }

    /// The two of a conversation, with their roles; `None` where there are fewer or more.
    pub(super) fn pair(&self, bridge: BridgeSlot) -> Option<[(Slot, Role); 2]> {
        let bridge = &self.bridges[bridge.0];
        let a = bridge.first.filter(|_| bridge.count == 2)?;
        let b = self.next(a)?;
        Some([(a, self.of(a)?.1), (b, self.of(b)?.1)])
    }

    /// The one other member that speaks to all: listeners and whisperers do not count.
    pub(super) fn partner(&self, port: Slot) -> Option<Slot> {
        let (bridge, _) = self.of(port)?;
        let mut others = None;
        let mut at = self.first(bridge);
        while let Some(slot) = at {
            if slot != port && self.of(slot).is_some_and(|(_, role)| role.speaks()) && others.replace(slot).is_some() {
                return None;
            }
            at = self.next(slot);
        }
        others
    }

    /// Whether a bridge is mixed.
    pub(super) fn mixed(&self, bridge: BridgeSlot) -> bool {
        self.bridges[bridge.0].mixed
    }

    /// Mix from now on, or leave it to the relay.
    pub(super) fn set_mixed(&mut self, bridge: BridgeSlot, mixed: bool) {
        self.bridges[bridge.0].mixed = mixed;
    }

    /// The rate at which a bridge adds up.
    pub(super) fn rate(&self, bridge: BridgeSlot) -> Rate {
        self.bridges[bridge.0].rate
    }

    /// Add up at this rate from now on.
    pub(super) fn set_rate(&mut self, bridge: BridgeSlot, rate: Rate) {
        self.bridges[bridge.0].rate = rate;
    }

    /// True once for each bridge and tick: its sum is to be made now.
    pub(super) fn begin(&mut self, bridge: BridgeSlot, tick: u64) -> bool {
        let due = self.bridges[bridge.0].tick != tick;
        self.bridges[bridge.0].tick = tick;
        if due {
            self.sum_mut(bridge).fill(0);
        }
        due
    }

    /// What one member says, at the bridge's rate.
    pub(super) fn add(&mut self, bridge: BridgeSlot, frame: &[i16]) {
        mix::accumulate(self.sum_mut(bridge), frame);
    }

    /// What one member hears: all but `own`, at the bridge's rate.
    pub(super) fn mix(&self, bridge: BridgeSlot, own: Option<&[i16]>, out: &mut Frame) {
        let (rate, start) = (self.rate(bridge), bridge.0 * MAX_FRAME);
        let sum = &self.sums[start..start + rate.frame()];
        mix::without(sum, own.unwrap_or_default(), out.reset(rate));
    }

    fn sum_mut(&mut self, bridge: BridgeSlot) -> &mut [i32] {
        let (rate, start) = (self.rate(bridge), bridge.0 * MAX_FRAME);
        &mut self.sums[start..start + rate.frame()]
    }

    fn member_mut(&mut self, port: Slot) -> Option<&mut Member> {
        self.members.get_mut(port.0 as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: BridgeId = BridgeId(7);

    fn members(bridges: &Bridges, bridge: BridgeSlot) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = bridges.first(bridge);
        while let Some(slot) = at {
            found.push(slot.0);
            at = bridges.next(slot);
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn members_come_and_go_in_any_order() {
        let mut bridges = Bridges::new(4);
        for slot in 0..4 {
            bridges.join(B, Slot(slot), Role::Both);
        }
        let (bridge, _) = bridges.of(Slot(0)).unwrap();
        assert_eq!(members(&bridges, bridge), [0, 1, 2, 3]);
        bridges.leave(Slot(1));
        assert_eq!(members(&bridges, bridge), [0, 2, 3]);
        bridges.leave(Slot(3));
        bridges.leave(Slot(3));
        assert_eq!(members(&bridges, bridge), [0, 2]);
        bridges.leave(Slot(0));
        assert_eq!(bridges.count(bridge), 1);
        bridges.leave(Slot(2));
        assert!(bridges.of(Slot(2)).is_none());
    }

    #[test]
    fn joining_another_bridge_leaves_the_first_and_joining_again_changes_the_role() {
        let mut bridges = Bridges::new(2);
        bridges.join(B, Slot(0), Role::Both);
        bridges.join(B, Slot(0), Role::Listen);
        let (bridge, role) = bridges.of(Slot(0)).unwrap();
        assert_eq!((bridges.count(bridge), role), (1, Role::Listen));
        bridges.join(BridgeId(8), Slot(0), Role::Both);
        let (other, _) = bridges.of(Slot(0)).unwrap();
        assert_eq!(bridges.count(other), 1);
        bridges.join(B, Slot(1), Role::Both);
        assert_eq!(bridges.count(bridges.of(Slot(1)).unwrap().0), 1);
    }

    #[test]
    fn each_hears_the_sum_without_itself_and_loud_sums_saturate() {
        let mut bridges = Bridges::new(3);
        for slot in 0..3 {
            bridges.join(B, Slot(slot), Role::Both);
        }
        let (bridge, _) = bridges.of(Slot(0)).unwrap();
        let frames = [[30000; 160], [20000; 160], [-5000; 160]];
        assert!(bridges.begin(bridge, 1));
        assert!(!bridges.begin(bridge, 1));
        for frame in &frames {
            bridges.add(bridge, frame);
        }
        let heard = |own: Option<&[i16]>| {
            let mut out = Frame::silent(Rate::Full);
            bridges.mix(bridge, own, &mut out);
            out.samples()[0]
        };
        assert_eq!(heard(Some(&frames[0])), 15000);
        assert_eq!(heard(Some(&frames[2])), i16::MAX);
        assert_eq!(heard(None), i16::MAX);
    }

    #[test]
    fn a_listener_is_nobodys_partner() {
        let mut bridges = Bridges::new(3);
        bridges.join(B, Slot(0), Role::Both);
        bridges.join(B, Slot(1), Role::Both);
        bridges.join(B, Slot(2), Role::Listen);
        assert_eq!(bridges.partner(Slot(0)), Some(Slot(1)));
        bridges.join(B, Slot(2), Role::Both);
        assert_eq!(bridges.partner(Slot(0)), None);
    }
}
