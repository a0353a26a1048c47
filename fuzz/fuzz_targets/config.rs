//! Any bytes, read as a configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| portscope::cli::fuzzing::config(bytes));
