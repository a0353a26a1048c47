//! From where in their code processes asked for ports (`--stack`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Call sites: stacks and how often each was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallSitesRecord {
    /// Whose stacks were taken: `all` (who asked for a port, and who was refused one that was named) or `failures`.
    pub of: String,
    /// Calls that were counted, whether their stack is known or not.
    pub calls: u64,
    /// Of these, those for which the kernel gave no stack, by errno: `EEXIST` is another stack in its place, `EFAULT` none
    /// to be had.
    pub without_stack: BTreeMap<String, u64>,
    /// Calls of which nothing else is known, for the table of callers was full; they are not among `calls`.
    pub uncounted: u64,
    /// Calls of sites beyond those below.
    pub others: u64,
    /// The sites: those that were refused first, then those that were given ports; in each the busiest first.
    pub sites: Vec<CallSiteRecord>,
}

/// A process, a stack and a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallSiteRecord {
    /// The process.
    pub pid: u32,
    /// Name of the thread that called first.
    pub comm: String,
    /// Path of the executable; null where it was not to be had.
    pub exe: Option<String>,
    /// What was asked for: `connect`, `bind`, `listen`, `autobind`.
    pub site: String,
    /// Whether the caller had named the port.
    pub port_named: bool,
    /// Errno of a refusal by its name or number; null where a port was given.
    pub error: Option<String>,
    /// How often.
    pub count: u64,
    /// Its part of all calls with a stack that were refused, or of all that were given a port.
    pub share: f64,
    /// The stack from the call outwards, as far as frame pointers go.
    pub frames: Vec<FrameRecord>,
    /// Why no names were looked for: `gone` (the process had ended), `denied`, `pending` (the report came first); null
    /// where they were.
    pub unnamed: Option<String>,
}

/// A frame of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FrameRecord {
    /// Address in the process, hexadecimal.
    pub address: String,
    /// File that it lies in, as the process sees it; null where there is none.
    pub module: Option<String>,
    /// Bytes from the start of that file.
    pub module_offset: Option<u64>,
    /// Function.
    pub symbol: Option<String>,
    /// Bytes from its start.
    pub symbol_offset: Option<u64>,
    /// Source file; null without debug information.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
    /// Whether the compiler has put this function into the one that follows: both have one address.
    pub inlined: bool,
}
