//! portscope records every local port that Linux chooses, or fails to choose, and explains it.
//!
//! The rooms, in the order in which an event passes them; each knows those before it, never one behind it.
#![forbid(unsafe_code)]

pub mod cli;
pub mod diff;
pub mod enrich;
pub mod event;
pub mod findings;
pub mod kernel;
pub mod load;
pub mod output;
pub mod pipeline;
pub mod privileges;
pub mod recording;
pub mod serve;
pub mod stats;
pub mod stock;
pub mod symbols;
pub mod tui;
pub mod whatif;
