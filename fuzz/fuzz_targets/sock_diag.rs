//! Any bytes, read as an answer of `sock_diag`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| portscope::cli::fuzzing::sock_diag(bytes));
