//! Staging for findings: namespaces, actors that take ports in them on demand, and what portscope told of it.
//!
//! A scenario is played by [`Actor`]s, processes of their own with names of their own, so that victims and holders
//! can be told apart. They live in a [`Space`]. What is asserted is what the actors themselves saw.

mod actor;
mod space;
mod task;
mod told;

pub use actor::Actor;
pub use space::{OFF_LOOPBACK, Plot, Space};
pub use task::{Done, Ending, Manner, Order, Sharing, Task, Way};
pub use told::{Told, shell, tools};
