//! Any text, read as a configuration file: what it may say, the command line may.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    portscope::cli::fuzzing::read_any(text);
});
