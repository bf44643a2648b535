//! What readers of events do to audio: gaps between the packets of 300 calls, without readers and with ten of them.
//! Short calls go on beside them all the time, so that there is something to read. The kernel dates the packets.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use nix::sys::{
    socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt},
    time::TimeSpec,
};

use crate::{
    api,
    phone::{Phone, Took},
    shared::{Failure, Server, now, wait},
};

const CALLS: usize = 300;
const READERS: usize = 10;
const PAIRS: usize = 5;
const WINDOW: Duration = Duration::from_secs(8);
/// Short calls a second: each has four events.
const SHORT: u32 = 50;

/// Reads events until the server is gone; gives how many bytes in all to `read`.
fn reader(at: SocketAddr, key: &str, read: &AtomicUsize) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(at)?;
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    read.fetch_add(head.len(), Ordering::Relaxed);
    Ok(stream)
}

/// The gaps between packets of each sender for a while, as ms beyond or short of 20, sorted.
fn gaps(sink: &UdpSocket, until: Duration) -> Result<Vec<f64>, Failure> {
    let mut last: HashMap<[u8; 4], Duration> = HashMap::new();
    let mut found = Vec::new();
    let mut packet = [0; 2048];
    let mut control = nix::cmsg_space!(TimeSpec);
    while let Some(left) = until.checked_sub(now()) {
        wait(&[sink], left.max(Duration::from_millis(1)))?;
        loop {
            let mut parts = [std::io::IoSliceMut::new(&mut packet)];
            let got = recvmsg::<SockaddrIn>(sink.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT);
            let got = match got {
                Ok(got) => got,
                Err(nix::errno::Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            };
            let at = got.cmsgs()?.find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                _ => None,
            });
            let (Some(at), true) = (at, got.bytes >= 12) else { continue };
            let ssrc = [packet[8], packet[9], packet[10], packet[11]];
            if let Some(before) = last.insert(ssrc, at) {
                found.push(((at.saturating_sub(before)).as_secs_f64() * 1e3 - 20.0).abs());
            }
        }
    }
    found.sort_by(f64::total_cmp);
    Ok(found)
}

/// p99.9 of the deviations in one window, with so many readers; and the bytes that these read.
fn window(
    (server, at, key): (&Server, SocketAddr, &str),
    (phone, short): (&mut Phone, &mut usize),
    sink: &UdpSocket,
    readers: usize,
) -> Result<(f64, usize), Failure> {
    let read = AtomicUsize::new(0);
    let streams: Vec<TcpStream> = (0..readers).map(|_| reader(at, key, &read)).collect::<Result<_, _>>()?;
    let until = now() + WINDOW;
    let found = thread::scope(|scope| -> Result<Vec<f64>, Failure> {
        for stream in &streams {
            scope.spawn(|| {
                let mut some = [0; 65_536];
                let mut stream: &TcpStream = stream;
                while let Ok(count @ 1..) = stream.read(&mut some) {
                    read.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
        let measured = scope.spawn(move || gaps(sink, until).map_err(|error| error.to_string()));
        let begun = *short;
        while let Some(left) = until.checked_sub(now()) {
            let due = (WINDOW - left).as_secs_f64() * f64::from(SHORT);
            while ((*short - begun) as f64) < due {
                phone.call(server.sip, "100", *short)?;
                *short += 1;
            }
            wait(&[&phone.socket], Duration::from_millis(5))?;
            while !matches!(phone.take()?, Took::Nothing) {}
        }
        let measured = measured.join().map_err(|_| "who measures died")??;
        for stream in &streams {
            stream.shutdown(std::net::Shutdown::Both)?;
        }
        Ok(measured)
    })?;
    let worst = found.get(found.len() * 999 / 1000).copied().ok_or("no packet came")?;
    Ok((worst, read.load(Ordering::Relaxed)))
}

pub fn run() -> Result<(), Failure> {
    let (server, at, key) = api::server()?;
    let sink = UdpSocket::bind("127.0.0.1:0")?;
    setsockopt(&sink, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&sink, sockopt::RcvBuf, &(8 << 20))?;
    let quiet = UdpSocket::bind("127.0.0.1:0")?;
    let mut long = Phone::new(sink.local_addr()?)?;
    let mut short = Phone::new(quiet.local_addr()?)?;
    let mut count = 0;
    for call in 0..CALLS {
        long.call(server.sip, "tone", call)?;
        wait(&[], Duration::from_millis(10))?;
        while !matches!(long.take()?, Took::Nothing) {}
    }
    wait(&[], Duration::from_secs(1))?;
    while !matches!(long.take()?, Took::Nothing) {}
    println!("{CALLS} calls with a tone, {SHORT} short calls a second beside them; p99.9 of |gap - 20 ms|:");
    let mut more = Vec::new();
    for _ in 0..PAIRS {
        let (without, _) = window((&server, at, &key), (&mut short, &mut count), &sink, 0)?;
        let (with, bytes) = window((&server, at, &key), (&mut short, &mut count), &sink, READERS)?;
        println!("  without {without:.2} ms, with {READERS} readers {with:.2} ms ({} KiB read)", bytes / 1024);
        more.push(with - without);
    }
    more.sort_by(f64::total_cmp);
    println!("  median of the differences: {:.2} ms (target: at most 1)", more[PAIRS / 2]);
    Ok(())
}
