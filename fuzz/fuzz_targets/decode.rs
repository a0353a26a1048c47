//! Any bytes, read as a record of the ring.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| portscope::cli::fuzzing::decode(bytes));
