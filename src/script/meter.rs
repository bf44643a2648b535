//! The limits of one VM: counts instructions in a hook, ends time slices, and ends flows.

use std::{
    cell::{Cell, RefCell},
    fmt::Write,
    rc::Rc,
    time::Duration,
};

use mlua::{HookTriggers, Lua, VmState};

use super::{Clock, Limits, hook};
use crate::time::Time;

/// Instructions between two calls of the hook, by the memory in use above which it is so: a single instruction may copy
/// all of it.
const EVERY: [(usize, u8); 3] = [(1 << 20, 5), (256 << 10, 20), (0, 50)];
/// The collector rests while a VM uses less than this: most flows end before it would have found anything.
const COLLECT_FROM: usize = 160 << 10;

/// What a flow has used, and may still use.
pub(super) struct Meter {
    limits: Limits,
    clock: Clock,
    /// Instructions left in all.
    left: Cell<i64>,
    /// Instructions left in this slice.
    slice_left: Cell<i64>,
    slice_from: Cell<Time>,
    /// How long it has run since its last wait, up to this slice.
    ran: Cell<Duration>,
    run_time: Cell<Duration>,
    /// The hook asked to yield in this slice, with so many instructions left then: if it is called again, Lua could not.
    asked: Cell<Option<(Time, i64)>>,
    /// The script has asked for something and yields by itself in a moment: if the slice's end yielded before that, the
    /// reply would go to that yield, and be lost.
    yields: Cell<bool>,
    collecting: Cell<bool>,
    doom: Cell<Option<&'static str>>,
    traceback: RefCell<String>,
    /// Where the script was when it last used much memory.
    place: RefCell<String>,
}

impl Meter {
    pub(super) fn new(limits: Limits, clock: Clock) -> Rc<Meter> {
        Rc::new(Meter {
            limits,
            left: Cell::new(i64::try_from(limits.instructions).unwrap_or(i64::MAX)),
            slice_left: Cell::new(limits.slice_instructions.into()),
            slice_from: Cell::new(clock()),
            clock,
            ran: Cell::default(),
            run_time: Cell::new(limits.run_time),
            asked: Cell::default(),
            yields: Cell::default(),
            collecting: Cell::default(),
            doom: Cell::default(),
            traceback: RefCell::default(),
            place: RefCell::default(),
        })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Count in `lua` from now on.
    pub(super) fn install(self: &Rc<Meter>, lua: &Lua) -> mlua::Result<()> {
        let meter = Rc::clone(self);
        let triggers = HookTriggers::new().every_nth_instruction(EVERY[2].1.into());
        lua.set_global_hook(triggers, move |lua, _| Ok(meter.hook(lua)))
    }

    /// A slice begins; after a wait also the time of uninterrupted running.
    pub(super) fn begin_slice(&self, waited: bool) {
        if waited {
            self.ran.set(Duration::ZERO);
        }
        self.slice_left.set(self.limits.slice_instructions.into());
        self.slice_from.set((self.clock)());
        self.asked.set(None);
        self.yields.set(false);
    }

    /// Whether the script is about to yield by itself.
    pub(super) fn set_yields(&self, yields: bool) {
        self.yields.set(yields);
    }

    /// The slice is over.
    pub(super) fn end_slice(&self) {
        self.ran.set(self.ran.get() + ((self.clock)() - self.slice_from.get()));
    }

    /// The script is over; its closing functions, and then its handlers, get limits of their own.
    pub(super) fn begin_ending(self: &Rc<Meter>, lua: &Lua) -> mlua::Result<()> {
        self.left.set(i64::try_from(self.limits.ending_instructions).unwrap_or(i64::MAX));
        self.run_time.set(self.limits.ending_time);
        self.ran.set(Duration::ZERO);
        if self.doom.take().is_some() { self.install(lua) } else { Ok(()) }
    }

    /// Work done outside Lua's instructions, in steps of about an instruction's cost. True: the slice is over.
    pub(super) fn charge(&self, steps: usize) -> bool {
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        self.left.set(self.left.get().saturating_sub(steps));
        self.slice_left.set(self.slice_left.get().saturating_sub(steps));
        self.slice_left.get() <= 0 || (self.clock)() - self.slice_from.get() >= self.limits.slice_time
    }

    /// The limit that was reached, if one was.
    pub(super) fn doom(&self) -> Option<&'static str> {
        self.doom.get()
    }

    /// Where the script was when the limit was reached.
    pub(super) fn traceback(&self) -> String {
        self.traceback.borrow().clone()
    }

    /// Where the script was, about, when memory ran out: Lua does not say.
    pub(super) fn place(&self) -> String {
        self.place.borrow().clone()
    }

    fn watch_memory(&self, lua: &Lua, count: u32) {
        let used = lua.used_memory();
        if !self.collecting.get() && used > COLLECT_FROM {
            self.collecting.set(true);
            lua.gc_restart();
        }
        let every = EVERY.iter().find(|(above, _)| used >= *above).map_or(EVERY[2].1, |(_, every)| *every);
        if u32::from(every) != count {
            hook::set_count(lua, every);
        }
        if used > self.limits.memory / 4 {
            lua.inspect_stack(0, |frame| {
                if let (Some(source), Some(line)) = (frame.source().short_src, frame.current_line()) {
                    let mut place = self.place.borrow_mut();
                    place.clear();
                    let _ = write!(place, "{source}:{line}");
                }
            });
        }
    }

    fn hook(&self, lua: &Lua) -> VmState {
        let count = hook::count(lua);
        self.left.set(self.left.get() - i64::from(count));
        self.slice_left.set(self.slice_left.get() - i64::from(count));
        if self.doom.get().is_some() {
            hook::arm(lua);
            return VmState::Continue;
        }
        self.watch_memory(lua, count);
        let now = (self.clock)();
        let in_slice = now - self.slice_from.get();
        if self.left.get() <= 0 {
            return self.condemn(lua, "instructions");
        }
        if self.ran.get() + in_slice > self.run_time.get() {
            return self.condemn(lua, "run_time");
        }
        if self.yields.get() || self.slice_left.get() > 0 && in_slice < self.limits.slice_time {
            return VmState::Continue;
        }
        match self.asked.get() {
            None => self.asked.set(Some((now, self.left.get()))),
            Some((from, left)) => {
                let stuck = left - self.left.get() > 20 * i64::from(self.limits.slice_instructions);
                if stuck || now - from > self.limits.stuck_time {
                    return self.condemn(lua, "uninterruptible");
                }
            }
        }
        VmState::Yield
    }

    /// The script ends here.
    fn condemn(&self, lua: &Lua, limit: &'static str) -> VmState {
        self.doom.set(Some(limit));
        let traceback = lua.traceback(None, 0).map(|text| text.to_string_lossy()).unwrap_or_default();
        *self.traceback.borrow_mut() = traceback;
        hook::arm(lua);
        VmState::Continue
    }
}
