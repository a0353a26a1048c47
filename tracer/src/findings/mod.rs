//! What the numbers mean: a verdict, and findings with their evidence, their advice and what will not help.
//!
//! Pure: everything comes in as a [`Case`]. Nothing here asks the host, and nothing here prints.

mod case;
mod catalogue;
mod finding;
mod judge;

pub use case::{Case, Flow, HeldPools, Holding, Refusal, Victim};
pub use catalogue::{Explanation, catalogue, explain};
pub use finding::{Advice, Command, Finding, Id, Line, Severity, Verdict, Word};
pub use judge::{Judgement, judge};
