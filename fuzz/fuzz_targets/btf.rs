//! Any bytes, read as the type information of a kernel: no panic, no endless loop through types that are each other's
//! members.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portscope::kernel::btf::KernelTypes;

fuzz_target!(|bytes: &[u8]| {
    KernelTypes::read_any(bytes);
});
