//! The core that all hooks share: what happens at the entry and at the exit of a choice of port.
//!
//! A hook knows how its arguments arrive; this knows what they mean. Every read of kernel memory goes
//! through [`fields`], every event through [`emit`].

pub(crate) mod choice;
pub(crate) mod collisions;
pub(crate) mod control;
pub(crate) mod descriptor;
pub(crate) mod emit;
pub(crate) mod fields;
pub(crate) mod fill;
pub(crate) mod filter;
pub(crate) mod globals;
pub(crate) mod inflight;
pub(crate) mod live;
pub(crate) mod maps;
pub(crate) mod pending;
pub(crate) mod perturb;
pub(crate) mod release;
pub(crate) mod sock;
pub(crate) mod stacks;
pub(crate) mod syscall;
pub(crate) mod task;
pub(crate) mod unsearched;
