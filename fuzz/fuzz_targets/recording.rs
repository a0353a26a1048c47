//! Any bytes, read as a recording: no panic, and no more memory than the limits of the reader.
//!
//! Seals keep almost all mutations out. With the first byte odd, each message is sealed anew, so that what lies behind
//! them is met, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portscope::recording::{Reader, seal_anew};

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let sealed = if mode & 1 == 1 { seal_anew(bytes) } else { bytes.to_vec() };
    let Ok(reader) = Reader::open(sealed.as_slice()) else { return };
    for entry in reader {
        if entry.is_err() {
            return;
        }
    }
});
