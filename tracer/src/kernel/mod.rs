//! The only room that knows aya: what this host can do, which hooks to use, attaching them, and the ring.
//!
//! Facts about the host ([`facts`]) and the user's wish make a plan ([`plan`], a pure function); arming
//! ([`armed`]) tries the plan for real, tests itself, and says hook by hook what became of it.

pub mod armed;
pub mod attach;
pub mod backend;
pub mod blanks;
pub mod btf;
pub mod calls;
pub mod cgroup;
pub mod counts;
pub mod error;
pub mod facts;
pub mod hooks;
mod host;
mod meter;
pub mod object;
pub mod plan;
mod preemption;
mod private;
pub mod selftest;
mod sets;
pub mod settings;
mod skips;
mod told;

pub use armed::{Armed, arm};
pub use backend::{Backend, Choice};
pub use error::KernelError;
pub use settings::Settings;
