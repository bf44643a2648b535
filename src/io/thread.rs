//! What a media thread asks of the scheduler: a core of its own, precedence, exact timers. All of it is a wish; a
//! container that forbids it costs some latency, nothing else.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::prctl,
    unistd::Pid,
};

/// Fewer cores than this are shared by all threads as the scheduler likes.
const CORES_TO_PIN: usize = 4;
/// The niceness asked for: before ordinary threads, behind real-time ones.
const NICENESS: i32 = -10;

/// Prepare the calling thread for being media thread number `index`.
pub(super) fn settle(index: u8) {
    // Timers on the nanosecond instead of 50 µs late.
    let _ = prctl::set_timerslack(1);
    set_niceness(NICENESS);
    if let Some(core) = core_for(index, &allowed_cores()) {
        let mut only = CpuSet::new();
        let _ = only.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
    }
}

/// The cores this process may run on.
fn allowed_cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

/// Media threads fill the cores from the last one down; the first is left to control.
fn core_for(index: u8, cores: &[usize]) -> Option<usize> {
    let (_, media) = cores.split_first().filter(|_| cores.len() >= CORES_TO_PIN)?;
    media.iter().rev().nth(usize::from(index) % media.len()).copied()
}

#[expect(unsafe_code, reason = "no safe wrapper of setpriority(2) in the crates at hand")]
fn set_niceness(niceness: i32) {
    // SAFETY: a system call on plain numbers; 0 means the calling thread. Not being allowed to is fine.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
}

/// Let all threads allocate from one heap that grows and shrinks in steps of a megabyte. glibc gives each thread a heap
/// of its own, and grows and trims those by the page: making and freeing one virtual machine cost 25 calls of mprotect(2).
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no safe wrapper of mallopt(3) in the crates at hand")]
pub fn allocate_in_steps() {
    const STEP: libc::c_int = 1 << 20;
    // SAFETY: plain numbers; what is not understood is ignored.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, STEP);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 * STEP);
    }
}

/// Other C libraries have other habits.
#[cfg(not(target_env = "gnu"))]
pub fn allocate_in_steps() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_pinned_from_the_last_core_down_and_never_to_the_first() {
        let cores = [0, 1, 2, 5];
        let chosen: Vec<_> = (0..5).map(|index| core_for(index, &cores)).collect();
        assert_eq!(chosen, [Some(5), Some(2), Some(1), Some(5), Some(2)]);
    }

    #[test]
    fn on_few_cores_nothing_is_pinned() {
        assert_eq!(core_for(0, &[0, 1, 2]), None);
        assert_eq!(core_for(0, &[]), None);
    }
}
