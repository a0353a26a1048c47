//! Numbers that must not be mixed up, each a type of its own; 0 means "none" wherever the kernel says so.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

/// Nanoseconds of `CLOCK_MONOTONIC`: since boot, suspend not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonoNs(pub u64);

impl MonoNs {
    /// Nanoseconds from `earlier` to this, 0 when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A process: thread-group id as the kernel's initial PID namespace numbers it; 0 for the kernel itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid(pub u32);

/// A thread, numbered as [`Pid`]s are: the leader's is the process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid(pub u32);

/// Real user id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub u32);

/// Start of a process since boot (`CLOCK_BOOTTIME`), in units of 2^20 ns, truncated to 32 bits (52 days).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StartTime(pub u32);

macro_rules! non_zero {
    ($($(#[$doc:meta])* $name:ident($inner:ident: $number:ident);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the number; 0 is none.
            #[must_use]
            pub const fn new(number: $number) -> Option<Self> {
                match $inner::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number, never 0.
            #[must_use]
            pub const fn get(self) -> $number {
                self.0.get()
            }
        }
    )*};
}

non_zero! {
    /// A port, host byte order.
    Port(NonZeroU16: u16);
    /// A network namespace, by its inode number.
    NetnsId(NonZeroU32: u32);
    /// A cgroup of the version 2 hierarchy, by its id (its inode number).
    CgroupId(NonZeroU64: u64);
    /// A socket, by a keyed hash of its kernel address: equal for one socket within one run, and nothing else.
    SocketId(NonZeroU64: u64);
}
