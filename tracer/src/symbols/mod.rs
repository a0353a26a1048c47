//! From addresses in a process to the names of its functions.
//!
//! A process is asked while it lives: its mappings go with it. Files are reached through its own root, so that those of
//! containers are found, and only ones that it has mapped are read.

mod maps;
mod namer;
mod process;

pub use maps::{Mapping, Mappings};
pub use namer::{Named, Namer};
pub use process::Addresses;

/// A frame of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The address, as the process has it.
    pub address: u64,
    /// The file that it lies in, as the process sees it.
    pub module: Option<String>,
    /// Bytes from the start of that file.
    pub module_offset: Option<u64>,
    /// The function, demangled; that of an outer frame is the one that the call was made from.
    pub symbol: Option<String>,
    /// Bytes from the start of that function.
    pub symbol_offset: Option<u64>,
    /// Source file, where the executable has such information.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
    /// The compiler has put this function into the one that follows: both have one address.
    pub inlined: bool,
}

/// What became of the names of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// They were looked for while the process lived.
    Looked,
    /// The process had gone before.
    Gone,
    /// It is not to be looked at: for want of rights, most of the time.
    Denied,
    /// Nobody has got round to it.
    #[default]
    Pending,
}
