//! Typed events, decoded from the records of the kernel half, and what follows from one event alone.
//!
//! Numbers become enums here and nowhere else. This room knows the binary interface; it knows nothing of
//! processes, namespaces, statistics or output.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod asker;
mod candidates;
mod comm;
mod decode;
mod errno;
mod fields;
mod glimpse;
mod ids;
mod kind;
mod kinds;
mod likeness;
mod reserved;
mod row;
mod socket;
mod source;
mod walk;

pub use candidates::{Course, Search, SearchRules};
pub use comm::Comm;
pub use decode::{DecodeError, decode};
pub use errno::Errno;
pub use glimpse::{Choice, Glimpse};
pub use ids::{CgroupId, MonoNs, NetnsId, Pid, Port, SocketId, StartTime, Tid, Uid};
pub use kind::{Cause, Kind, Outcome, ReleaseState, Site};
pub use kinds::Kinds;
pub use reserved::{Reserved, Stride};
pub use row::{Column, Columns, FieldOf, KINDS, Row, Width};
pub use socket::{Family, OptionName, Options, PortRange, Protocol};
use tracer_ebpf::abi::Record;
pub use walk::{Examined, Step, examined, examined_in_vain};

/// One choice of a port, one check of a port, or one release: what the kernel half saw of it.
///
/// What is none was not seen, or does not apply; it is never a number that only looks real. An event keeps
/// the record that it came in (120 bytes) and reads it when asked: decoding is cheap where little is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event {
    record: Record,
    kind: Kind,
}
