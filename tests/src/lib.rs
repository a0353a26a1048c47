//! Support for the live tests of portscope: what a kernel row must be able to do, the processes of the tracer and of
//! the workload, what they said, and the comparison of the two.
//!
//! Ground truth is always the application's own view ([`operation`]), told by the `workload` binary of this package.
//! Nothing here knows how portscope works inside: only its command line, its records and its exit status.

#![forbid(unsafe_code)]

pub mod apart;
pub mod backend;
pub mod cgroups;
pub mod compare;
pub mod deadline;
pub mod invocation;
pub mod live;
pub mod need;
pub mod operation;
pub mod program;
pub mod scenario;
pub mod scratch;
pub mod steering;
pub mod terminal;
pub mod trace;
pub mod workload;
