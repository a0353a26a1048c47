//! Any bytes, read as a name of a process, a control group or a namespace.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| portscope::cli::fuzzing::names(bytes));
