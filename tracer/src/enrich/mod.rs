//! Who asked, and when: processes, containers, units, time.
//!
//! This room knows events; it knows nothing of statistics, output or commands.

mod cgroup;
mod clock;
mod digits;
mod proc;
mod process;
mod processes;
mod quote;
mod timestamp;

pub use cgroup::{Cgroup, container_of, pod_of, unit_of};
pub use clock::{Clock, UtcNs, monotonic_now};
pub(crate) use digits::{ascii, eight_digits};
pub use proc::{is_alive, parent, reaped_cpu_ns};
pub use process::Process;
pub use processes::{MOST_PROCESSES, Processes};
pub(crate) use quote::{harmless_json, is_plain, misleads, push_json_string};
pub use timestamp::{Rfc3339, TimeColumn};
