//! What crosses from the kernel to userspace, and back: records, configuration, offsets, counters, names.
//!
//! Every type is `repr(C)` and made of integers and byte arrays alone; numbers become enums in one place,
//! the decoder in userspace. Ports are in host byte order, addresses in network byte order.
#![expect(unnameable_types, reason = "the derives of zerocopy make hidden types for each field")]

mod calls;
mod config;
mod counters;
mod met;
mod offsets;
mod record;

pub mod blanks;
pub mod names;

pub use calls::{CALLS, CallKey, CallValue, FRAMES};
pub use config::{
    Config, Control, FilterConfig, MAX_NAMES, MAX_RANGES, Mode, NamePattern, PortRange, RemoteKey, filter,
    tune,
};
pub use counters::{
    CELLS, COUNTER_BLOCKS, CounterBlock, Lane, Protocol, ResultClass, TallyKey, TallyValue, cell,
};
pub use met::Met;
pub use offsets::{BitOffset, FIELDS, FieldKind, FieldNumber, FieldOffsets, FieldSpec, Need, POISON};
pub use record::{Record, flags, kind, option, present};
