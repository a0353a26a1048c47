//! What the numbers mean: a verdict, and findings with their evidence, their advice and what will not help.
//!
//! Pure: everything comes in as a [`Case`]. Nothing here asks the host, and nothing here prints.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod bind_before_connect;
mod case;
mod catalogue;
mod conflict;
mod draft;
mod exhaustion;
mod finding;
mod forecast;
mod judge;
mod kernel_limits;
mod leaks;
mod lint;
mod not_ports;
mod occupancy;
mod place;
mod prospect;
mod relief;
mod reuse;
mod search;
mod seen;
mod verdict;
mod wording;

pub use case::{Case, Descriptors, Flow, HeldPools, Holding, Listening, Refusal, Victim, Worst};
pub use catalogue::{Explanation, catalogue, explain};
pub use finding::{Advice, Command, Finding, Id, Line, Severity, UnknownId, Verdict, Word};
pub use judge::{Judgement, judge};
pub use occupancy::{Occupancy, WONT_HELP, occupancy};
pub use prospect::{Prospect, prospects};
pub use seen::{is_exhaustion, key_of};
pub use wording::count;

#[cfg(test)]
mod tests;
