//! MP3 (ISO 11172-3 layer III) by the system's libmp3lame, which is loaded when the first such file is begun.
//!
//! LAME is under the LGPL: it is no part of this program, and where it is missing only MP3 is. A constant bit rate
//! without a bit reservoir makes every frame complete in itself, so a file that was cut off plays up to there.

#![expect(unsafe_code, reason = "the functions of a C library are called by their addresses")]

use std::{
    ffi::{c_int, c_uchar, c_void},
    io,
    ptr::NonNull,
    sync::Arc,
};

use libloading::Library;

/// Where Debian, Ubuntu, Fedora and Arch have it; without the number where only its development files do.
const NAMES: [&str; 2] = ["libmp3lame.so.0", "libmp3lame.so"];
/// MPEG_mode of lame.h.
const STEREO: c_int = 0;
const MONO: c_int = 3;
/// The fast end of lame's qualities, 0 to 9: no difference is heard at these bit rates of speech.
const QUALITY: c_int = 7;

type Handle = *mut c_void;
type Set = unsafe extern "C" fn(Handle, c_int) -> c_int;
type Encode = unsafe extern "C" fn(Handle, *const i16, *const i16, c_int, *mut c_uchar, c_int) -> c_int;
type Interleaved = unsafe extern "C" fn(Handle, *mut i16, c_int, *mut c_uchar, c_int) -> c_int;

/// The library, and what is used of it.
pub(super) struct Lame {
    new: unsafe extern "C" fn() -> Handle,
    sets: [(Set, Setting); 8],
    ready: unsafe extern "C" fn(Handle) -> c_int,
    encode: Encode,
    interleaved: Interleaved,
    flush: unsafe extern "C" fn(Handle, *mut c_uchar, c_int) -> c_int,
    close: unsafe extern "C" fn(Handle) -> c_int,
    /// The addresses above are good as long as it is loaded.
    _library: Library,
}

#[derive(Clone, Copy)]
enum Setting {
    Rate,
    Channels,
    Mode,
    BitRate,
    Always(c_int),
}

impl Lame {
    /// Find it on this machine.
    pub(super) fn load() -> io::Result<Arc<Lame>> {
        let missing = |error: libloading::Error| {
            let text =
                format!("MP3 needs libmp3lame ({error}); install it (apt install libmp3lame0), or record wav or ogg");
            io::Error::new(io::ErrorKind::Unsupported, text)
        };
        // SAFETY: what runs at the loading of this well-known library makes tables of its own and touches nothing else.
        let opened = NAMES.iter().map(|name| unsafe { Library::new(*name) });
        let library = opened.reduce(Result::or).expect("there are names").map_err(missing)?;
        let set = |name: &str, what: Setting| -> Result<(Set, Setting), libloading::Error> {
            // SAFETY: all of lame's setters of whole numbers have this one signature (lame.h).
            Ok((unsafe { *library.get::<Set>(name.as_bytes())? }, what))
        };
        let sets = || {
            Ok([
                set("lame_set_in_samplerate", Setting::Rate)?,
                set("lame_set_out_samplerate", Setting::Rate)?,
                set("lame_set_num_channels", Setting::Channels)?,
                set("lame_set_mode", Setting::Mode)?,
                set("lame_set_brate", Setting::BitRate)?,
                set("lame_set_quality", Setting::Always(QUALITY))?,
                // No frame at the start that would have to be written again at the end.
                set("lame_set_bWriteVbrTag", Setting::Always(0))?,
                set("lame_set_disable_reservoir", Setting::Always(1))?,
            ])
        };
        let sets = sets().map_err(missing)?;
        // SAFETY: the signatures are those of lame.h, unchanged since its version 3.90 of 2001.
        unsafe {
            Ok(Arc::new(Lame {
                new: *library.get(b"lame_init").map_err(missing)?,
                sets,
                ready: *library.get(b"lame_init_params").map_err(missing)?,
                encode: *library.get::<Encode>(b"lame_encode_buffer").map_err(missing)?,
                interleaved: *library.get::<Interleaved>(b"lame_encode_buffer_interleaved").map_err(missing)?,
                flush: *library.get(b"lame_encode_flush").map_err(missing)?,
                close: *library.get(b"lame_close").map_err(missing)?,
                _library: library,
            }))
        }
    }
}

/// One file's encoder.
pub(super) struct Mp3 {
    lame: Arc<Lame>,
    handle: NonNull<c_void>,
    channels: u16,
    /// Interleaved samples, where the library wants to be able to write to them.
    scratch: Vec<i16>,
}

impl Mp3 {
    pub(super) fn new(lame: Arc<Lame>, channels: u16, rate: u32) -> io::Result<Mp3> {
        // SAFETY: it takes nothing, and gives an encoder or nothing.
        let handle = NonNull::new(unsafe { (lame.new)() });
        let handle = handle.ok_or_else(|| io::Error::other("libmp3lame makes no encoder"))?;
        let made = Mp3 { lame, handle, channels, scratch: Vec::new() };
        for (set, what) in made.lame.sets {
            let value = match what {
                Setting::Rate => c_int::try_from(rate).map_err(io::Error::other)?,
                Setting::Channels => c_int::from(channels),
                Setting::Mode if channels == 1 => MONO,
                Setting::Mode => STEREO,
                Setting::BitRate => kilobits(rate) * c_int::from(channels),
                Setting::Always(value) => value,
            };
            // SAFETY: the handle is this encoder's own, and still open.
            check(unsafe { set(made.handle.as_ptr(), value) })?;
        }
        // SAFETY: as above.
        check(unsafe { (made.lame.ready)(made.handle.as_ptr()) })?;
        Ok(made)
    }

    /// Encode interleaved samples; the bytes that are complete are added to `out`.
    pub(super) fn add(&mut self, samples: &[i16], out: &mut Vec<u8>) -> io::Result<()> {
        let each = samples.len() / usize::from(self.channels);
        let count = c_int::try_from(each).map_err(io::Error::other)?;
        // Of lame.h: the worst case.
        let room = each + each / 4 + 7200;
        let at = out.len();
        out.resize(at + room, 0);
        let (into, size) = (out[at..].as_mut_ptr(), room as c_int);
        let handle = self.handle.as_ptr();
        let written = if self.channels == 1 {
            // SAFETY: both channels point to `count` samples (of two the second is not read), `into` to `size` bytes.
            unsafe { (self.lame.encode)(handle, samples.as_ptr(), samples.as_ptr(), count, into, size) }
        } else {
            self.scratch.clear();
            self.scratch.extend_from_slice(samples);
            // SAFETY: there are twice `count` samples, and `size` bytes.
            unsafe { (self.lame.interleaved)(handle, self.scratch.as_mut_ptr(), count, into, size) }
        };
        keep(written, at, out)
    }

    /// The last bytes.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let at = out.len();
        out.resize(at + 7200, 0);
        // SAFETY: there are that many bytes.
        let written = unsafe { (self.lame.flush)(self.handle.as_ptr(), out[at..].as_mut_ptr(), 7200) };
        keep(written, at, out)
    }
}

impl Drop for Mp3 {
    fn drop(&mut self) {
        // SAFETY: the handle is closed once, here, and used no more.
        unsafe { (self.lame.close)(self.handle.as_ptr()) };
    }
}

/// Kilobits a second for one channel of speech.
fn kilobits(rate: u32) -> c_int {
    match rate {
        ..12_000 => 24,
        12_000..24_000 => 40,
        _ => 64,
    }
}

fn keep(written: c_int, at: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let count = usize::try_from(written).map_err(|_| io::Error::other(format!("libmp3lame fails with {written}")))?;
    out.truncate(at + count);
    Ok(())
}

fn check(code: c_int) -> io::Result<()> {
    if code < 0 { Err(io::Error::other(format!("libmp3lame refuses its settings with {code}"))) } else { Ok(()) }
}
