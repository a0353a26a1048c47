//! Live tests: portscope on this kernel, held against what the workload saw.
//!
//! One binary, so that a test machine needs one file. Each test runs alone (`portscope_tests::live`); its needs are
//! judged against the promises of the kernel row, and skips go to the ledger.

#![forbid(unsafe_code)]

mod again;
mod alerts;
mod call_sites;
mod callers;
mod candidates;
mod cgroups;
mod cli;
mod collisions;
mod contention;
mod cost;
mod crowd;
mod descent;
mod diff;
mod exhaustion;
mod explicit;
mod export;
mod faults;
mod filters;
mod findings;
mod flight;
mod hands;
mod hostile;
mod in_kernel;
mod leftovers;
mod names;
mod namespaces;
mod otlp;
mod overlaps;
mod overload;
mod page;
mod parity;
mod past;
mod pods;
mod privileges;
mod protocols;
mod recording;
mod releases;
mod report;
mod serve;
mod shape;
mod sites;
mod snmp;
mod soak;
mod standing;
mod steering;
mod top;
mod types;
mod what_if;
