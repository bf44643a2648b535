//! G.729 (annexes A and B, 8 kbit/s) by the system's libbcg729. The library is under the GPL and is no part of this
//! program: whoever loads it gives us the addresses of its functions. Without them nothing is coded here, and G.729 is
//! relayed only.
#![expect(unsafe_code, reason = "the functions of a C library are called by their addresses")]

use std::{ffi::c_void, ptr::NonNull, sync::OnceLock};

/// Samples of one frame: 10 ms.
const FRAME: usize = 80;
/// Bytes of one frame.
const BYTES: usize = 10;
/// Bytes of a frame that describes silence (annex B), which a peer may send at the end of a packet.
const SILENCE: usize = 2;

type Handle = *mut c_void;

/// The functions of the library, as its headers of version 1.0.2 and later declare them.
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    /// `initBcg729DecoderChannel`.
    pub new_decoder: unsafe extern "C" fn() -> Handle,
    /// `closeBcg729DecoderChannel`.
    pub close_decoder: unsafe extern "C" fn(Handle),
    /// `bcg729Decoder`: bits and their bytes, lost, silence, RFC 3389, samples.
    pub decode: unsafe extern "C" fn(Handle, *const u8, u8, u8, u8, u8, *mut i16),
    /// `initBcg729EncoderChannel`: with annex B or without.
    pub new_encoder: unsafe extern "C" fn(u8) -> Handle,
    /// `closeBcg729EncoderChannel`.
    pub close_encoder: unsafe extern "C" fn(Handle),
    /// `bcg729Encoder`: samples, bits and their bytes.
    pub encode: unsafe extern "C" fn(Handle, *const i16, *mut u8, *mut u8),
}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// The library is there, for as long as the program runs.
///
/// # Safety
/// The functions are those of libbcg729 1.0.2 or later, and it is never unloaded.
pub unsafe fn provide(functions: Functions) {
    // A second time it is the same library.
    let _ = FUNCTIONS.set(functions);
}

/// Whether G.729 can be coded here.
pub fn is_there() -> bool {
    FUNCTIONS.get().is_some()
}

/// One direction of a call, decoding.
#[derive(Debug)]
pub struct Decoder {
    functions: &'static Functions,
    handle: NonNull<c_void>,
}

// SAFETY: a channel of the library has no thread of its own and shares nothing with other channels.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Takes its memory; absent: there is no library.
    pub fn new() -> Option<Decoder> {
        let functions = FUNCTIONS.get()?;
        // SAFETY: it takes nothing, and gives a channel or nothing.
        let handle = NonNull::new(unsafe { (functions.new_decoder)() })?;
        Some(Decoder { functions, handle })
    }

    /// Decode a payload into `out`, as many frames as fit. Returns how many samples were written.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let frames = payload.chunks(BYTES).filter(|bits| matches!(bits.len(), BYTES | SILENCE));
        let mut written = 0;
        for (bits, samples) in frames.zip(out.chunks_exact_mut(FRAME)) {
            let silence = u8::from(bits.len() == SILENCE);
            // SAFETY: the channel is our own; there are as many bytes as is said, and room for a frame.
            unsafe {
                let (from, count) = (bits.as_ptr(), bits.len() as u8);
                (self.functions.decode)(self.handle.as_ptr(), from, count, 0, silence, 0, samples.as_mut_ptr());
            }
            written += FRAME;
        }
        written
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the channel is closed once, here, and used no more.
        unsafe { (self.functions.close_decoder)(self.handle.as_ptr()) };
    }
}

/// One direction of a call, encoding; silence is sent as any other sound (no annex B).
#[derive(Debug)]
pub struct Encoder {
    functions: &'static Functions,
    handle: NonNull<c_void>,
}

// SAFETY: as of the decoder.
unsafe impl Send for Encoder {}

impl Encoder {
    /// Takes its memory; absent: there is no library.
    pub fn new() -> Option<Encoder> {
        let functions = FUNCTIONS.get()?;
        // SAFETY: as of the decoder.
        let handle = NonNull::new(unsafe { (functions.new_encoder)(0) })?;
        Some(Encoder { functions, handle })
    }

    /// Encode whole frames into `out`, as many as fit. Returns how many bytes were written.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let mut written = 0;
        for (samples, bits) in samples.chunks_exact(FRAME).zip(out.chunks_exact_mut(BYTES)) {
            let mut count = 0;
            // SAFETY: the channel is our own; there is a frame of samples, and room for its bits.
            unsafe {
                let (from, into) = (samples.as_ptr(), bits.as_mut_ptr());
                (self.functions.encode)(self.handle.as_ptr(), from, into, &raw mut count);
            }
            written += usize::from(count).min(BYTES);
        }
        written
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: as of the decoder.
        unsafe { (self.functions.close_encoder)(self.handle.as_ptr()) };
    }
}

/// How long a payload lasts, in samples at 8 kHz.
pub fn units(payload: &[u8]) -> usize {
    let rest = usize::from(payload.len() % BYTES == SILENCE);
    (payload.len() / BYTES + rest) * FRAME
}
