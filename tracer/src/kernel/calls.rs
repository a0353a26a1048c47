//! Callers and their stacks (`--stack`), as the kernel half counted them.

use std::io;

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError, StackTraceMap},
};
use tracer_ebpf::abi::{CallKey, CallValue, names};
use zerocopy::FromBytes as _;

use super::{
    KernelError,
    counts::{broken, map},
};

/// Whose stacks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stacks {
    /// Of all who asked for a port, and of those that were refused one that they had named.
    All,
    /// Of those that were refused alone.
    Failures,
}

/// A caller, and how often it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Kernel thread-group id.
    pub pid: u32,
    /// When the process started; 0 where that is not known.
    pub start: u32,
    /// Name of the thread that called first.
    pub comm: [u8; 16],
    /// A value of [`tracer_ebpf::abi::kind`].
    pub kind: u8,
    /// A positive errno; 0 of a success.
    pub error: u8,
    /// The number of its stack, or the errno for which the kernel gave none.
    pub stack: Result<u32, u8>,
    /// How often.
    pub count: u64,
}

impl Call {
    fn new(key: CallKey, value: CallValue) -> Self {
        let CallKey { pid, start, kind, error, .. } = key;
        let errno = u8::try_from(key.stack.unsigned_abs()).unwrap_or(u8::MAX);
        let stack = u32::try_from(key.stack).map_err(|_negative| errno);
        Self { pid, start, comm: value.comm, kind, error, stack, count: value.count }
    }
}

/// Reads who called.
pub(super) fn read(ebpf: &Ebpf) -> Result<Vec<Call>, KernelError> {
    let map: HashMap<&MapData, [u8; size_of::<CallKey>()], [u8; size_of::<CallValue>()]> =
        map(ebpf, names::CALLS)?.try_into().map_err(|error| broken(names::CALLS, &error))?;
    let mut calls = Vec::new();
    for entry in &map {
        let (key, value) = entry.map_err(|error| broken(names::CALLS, &error))?;
        let key = CallKey::read_from_bytes(&key).unwrap_or_default();
        calls.push(Call::new(key, CallValue::read_from_bytes(&value).unwrap_or_default()));
    }
    Ok(calls)
}

/// The addresses of a stack, from the call outwards; none where it is not there.
pub(super) fn stack(ebpf: &Ebpf, number: u32) -> Result<Vec<u64>, KernelError> {
    let map: StackTraceMap<&MapData> =
        map(ebpf, names::STACKS)?.try_into().map_err(|error| broken(names::STACKS, &error))?;
    match map.get(&number, 0) {
        Ok(stack) => Ok(stack.frames().iter().map(|frame| frame.ip).collect()),
        Err(MapError::KeyNotFound) => Ok(Vec::new()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        Err(error) => Err(broken(names::STACKS, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_the_kernel_did_not_give_is_its_errno() {
        let call = |stack| Call::new(CallKey { stack, ..CallKey::default() }, CallValue::default()).stack;
        assert_eq!([0, 8191, -14, -17].map(call), [Ok(0), Ok(8191), Err(14), Err(17)]);
        assert_eq!(call(i32::MIN), Err(255));
    }
}
