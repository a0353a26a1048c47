//! What a tracer that runs on tells over HTTP: metrics, findings, reports, health; and where it pushes metrics to.
//!
//! This room has a thread of its own and never asks the one that reads the ring for anything but a report that nobody has
//! yet: that puts down what it knows, and goes on. It knows reports and metrics, nothing of the kernel half.

mod board;
mod http;
mod listen;
mod push;
mod target;

pub use board::{Board, Question};
pub use http::{Server, ServerError};
pub use listen::{Address, Bound, ListenError};
pub use push::Push;
pub use target::Target;
