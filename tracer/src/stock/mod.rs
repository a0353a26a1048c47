//! What is there now: network namespaces and their settings.
//!
//! This room asks the kernel; it never guesses from the flow of events.

mod enter;
mod error;
mod namespaces;
mod netns;
mod sysctl;

pub use enter::Netns;
pub use error::StockError;
pub use namespaces::{NAMED, Namespace, Namespaces, namespaces};
pub use netns::NetnsConfig;
pub use sysctl::{parse_range, parse_reserved, parse_step_width};
