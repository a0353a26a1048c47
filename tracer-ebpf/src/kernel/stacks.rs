//! From where in its code a process asks for ports, counted: with `--stack` only.
//!
//! A stack is taken where a choice has ended, on the thread that asked, and only of what passed the filters. Nothing of it
//! goes through the ring: userspace reads who called from where, and how often, now and then.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_F_USER_STACK, BPF_NOEXIST},
    helpers::generated::bpf_get_stackid,
};
use tracer_ebpf::abi::{CallKey, CallValue, Record, kind};

use super::{
    globals::{opaque, ruled_out, tuned},
    maps::{CALLS, Counters, STACKS, add},
};

/// Counts the caller of a choice that has ended. `context` is that of the running program, which must be one of those
/// whose type may look at stacks: trampolines, probes, tracepoints.
#[inline(always)]
pub(crate) fn note(context: *mut c_void, record: &Record) {
    if !tuned!(STACKS) {
        return ruled_out();
    }
    // A port that the caller named is none that it asked for, unless it was refused.
    let is_wanted = record.error != 0 || record.kind < kind::FIXED_CONNECT && !tuned!(FAILED_STACKS);
    if is_wanted {
        count(context, record);
    }
}

#[inline(always)]
fn count(context: *mut c_void, record: &Record) {
    let stacks = (&raw const STACKS).cast_mut();
    // SAFETY: the map is a table of stacks, and the context that of the running program.
    let stack = unsafe { bpf_get_stackid(context, stacks.cast(), u64::from(BPF_F_USER_STACK)) };
    let key = CallKey {
        pid: record.pid,
        start: record.start,
        stack: stack as i32,
        kind: record.kind,
        error: record.error,
        reserved: 0,
    };
    let value = if let Some(value) = CALLS.get_ptr_mut(&key) {
        value
    } else {
        let fresh = CallValue { count: opaque(0), comm: record.comm };
        let inserted = CALLS.insert(&key, &fresh, u64::from(BPF_NOEXIST)).is_ok();
        // Another CPU may have been first: then this finds its entry.
        let Some(value) = CALLS.get_ptr_mut(&key) else {
            if !inserted {
                Counters::here().calls_full();
            }
            return;
        };
        value
    };
    // SAFETY: the pointer is the non-null result of a map lookup.
    let count = unsafe { &raw mut (*value).count };
    // SAFETY: it points into that map value.
    unsafe { add(count, 1) };
}
