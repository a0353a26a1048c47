//! Who asked for a port from where in its code, counted: with `--stack` only.

use core::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many different stacks are kept, and how many different [`CallKey`]s.
pub const CALLS: u32 = 8192;

/// How many frames of a stack are kept, from the call outwards.
pub const FRAMES: usize = 64;

/// The key of [`super::names::CALLS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct CallKey {
    /// Thread-group id.
    pub pid: u32,
    /// When that process started, as in [`super::Record::start`]; 0 where that is not known.
    pub start: u32,
    /// Its place in [`super::names::STACKS`]; a negative errno where the kernel gave none.
    pub stack: i32,
    /// A value of [`super::kind`].
    pub kind: u8,
    /// A positive errno, 0 of a success.
    pub error: u8,
    /// Always 0.
    pub reserved: u16,
}

/// The value of [`super::names::CALLS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct CallValue {
    /// How often.
    pub count: u64,
    /// Name of the thread that was counted first.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<CallKey>() == 16);
const _: () = assert!(size_of::<CallValue>() == 24);
