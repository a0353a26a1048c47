//! Any bytes, cut at each NUL and read as the words of a command line.
#![no_main]

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let all: Vec<OsString> = std::iter::once("portscope".into()).chain(words).collect();
    portscope::cli::fuzzing::read_words(&all);
});
