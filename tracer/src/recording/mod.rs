//! Recordings: a stream of events, and of all that is needed to understand them later, in one file.
//!
//! A recording is an Arrow IPC stream (`tracer/docs/007-recording.md` says what is in it). This room writes and reads
//! it; it knows events, processes, the stock and the records of a trace, nothing of the kernel half, of statistics or of
//! commands. What it reads is believed only as far as its seals go.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod account;
mod batch;
mod chain;
mod error;
mod folder;
mod format;
mod frame;
mod note;
mod parts;
mod reader;
mod socket_numbers;
#[cfg(test)]
mod tests;
mod writer;

pub use chain::{Chain, Part};
pub use error::ReadError;
pub use folder::{Bounds, Dumps, Folder, FolderError, Splice};
pub use format::VERSION;
pub use frame::{is_recording, seal_anew};
pub use note::{
    Account, End, Facts, LookNote, LostCount, MomentNote, Note, Opening, PoolLook, SceneNote, TellProcess,
};
pub use reader::{Ending, Entry, Reader};
pub use writer::{MOST_ROWS, Writer};
