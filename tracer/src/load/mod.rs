//! The command of `-- CMD`: its cgroup, its start, its descendants, its end.
//!
//! This room starts a process and waits for it; it knows nothing of tracing.

mod cgroup;
mod command;
mod descent;
mod forks;

pub use cgroup::OwnCgroup;
pub use command::{ENTER, Ended, Load, LoadError, Target, enter_and_run, unrunnable};
pub use descent::{Descent, ToldBy};
