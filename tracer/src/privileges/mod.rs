//! The rights of this process: what is lost without those that are missing, and giving up those that are done with.
//!
//! All of it is per thread, as the kernel has it: a thread that is started later begins with what its starter has left.

mod loss;
mod sandbox;
mod shed;

pub use loss::{Loss, losses};
pub use sandbox::{Sandbox, confine};
pub use shed::{Needs, Shed, raise_to_enter, renounce, shed};

use rustix::thread::{CapabilitySet, capabilities};

/// What this thread may do now; nothing where the kernel does not tell.
fn effective() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}
