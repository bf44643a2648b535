//! Whether io_uring is to be had, and how it is set up.

use std::io;

use io_uring::{IoUring, Probe, opcode};
use nix::sys::resource::{Resource, getrlimit};

use super::buffers;

/// Sends that go to the kernel at once; each needs an address that stays in its place until then.
pub(super) const SENDS: usize = 256;
/// Room for submissions: all sends, and what goes with opening and closing.
const SUBMISSIONS: u32 = 512;
/// Places beyond two for each port: of ports that are being closed.
const SPARE_PLACES: usize = 64;
const MOST_PLACES: usize = 1 << 20;

/// A ring for the calling thread alone, and how many sockets it can hold.
pub(super) fn ring(max_ports: usize) -> io::Result<(IoUring, usize)> {
    // The kernel refuses a table that is larger than the number of files we may open.
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft as usize);
    let places = (2 * max_ports + SPARE_PLACES).min(files).min(MOST_PLACES);
    // Every receive may end and every buffer be filled before we read one completion.
    let completions = (places + buffers::COUNT as usize + SENDS).next_power_of_two() as u32;
    let ring = IoUring::builder()
        .setup_single_issuer()
        // Linux 6.1, hence also multishot recvmsg (6.0) and buffer rings (5.19).
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(completions)
        .build(SUBMISSIONS)?;
    check_operations(&ring)?;
    ring.submitter().register_files_sparse(places as u32)?;
    Ok((ring, places))
}

/// The kernel may be new enough, and still forbid some.
fn check_operations(ring: &IoUring) -> io::Result<()> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let needed = [opcode::RecvMsgMulti::CODE, opcode::Send::CODE, opcode::PollAdd::CODE, opcode::AsyncCancel::CODE];
    if needed.iter().all(|code| probe.is_supported(*code)) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::Unsupported, "io_uring lacks an operation"))
    }
}
