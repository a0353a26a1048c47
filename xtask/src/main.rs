//! Tasks of the workspace, run as `cargo xtask <command>`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to a terminal")]

mod arch;
mod bench;
mod check;
mod deny;
mod dist;
mod ebpf;
mod executables;
mod fuzz;
mod packages;
mod process;
mod python;
mod test;
mod tools;
mod tree;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the portscope workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the BPF object that the tracer embeds, or compare it with its sources.
    BuildEbpf(ebpf::Options),
    /// Check format, lints, documentation, house rules and the BPF object.
    Check(check::Options),
    /// Fetch the test kernels and run commands or the live tests in them.
    Vm(vm::Options),
    /// Run all tests: unit tests, live tests on this kernel, live tests in the test kernels.
    Test(test::Options),
    /// Measure what tracing costs.
    Bench(bench::Options),
    /// Make the packages, and what lies beside them, in `target/dist`.
    Dist(dist::Options),
    /// Check licences, sources and known faults of dependencies.
    Deny(deny::Options),
    /// Read any bytes as what others wrote: records, recordings, types, answers, names, configuration, command lines.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::BuildEbpf(options) => ebpf::run(&options),
        Task::Check(options) => check::run(&options),
        Task::Vm(options) => vm::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Dist(options) => dist::run(&options),
        Task::Deny(options) => deny::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
