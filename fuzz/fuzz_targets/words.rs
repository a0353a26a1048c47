//! Any bytes, read as the words of a command line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| portscope::cli::fuzzing::words(bytes));
