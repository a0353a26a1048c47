//! `bench`: what tracing costs, in instructions of a test machine, which are the same on every run.

mod figures;
mod rows;
mod script;
mod tools;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};

use self::{
    figures::{Figures, Measured},
    rows::{ROWS, Row, Subject},
};
use crate::{
    executables, packages,
    vm::{self, Machine, Packed},
};

/// Arguments of `bench`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Instructions that each allocation costs more while a tracer runs, beside the goals.
    Overhead(Overhead),
}

#[derive(Args)]
struct Overhead {
    /// The kernel to measure on; the goals are for 6.1.
    #[arg(long, value_enum, default_value = "6.1")]
    kernel: vm::Row,
    /// Only rows whose name contains this; may be given several times.
    #[arg(long = "rows", value_name = "TEXT")]
    rows: Vec<String>,
    /// Seconds until the machine is killed.
    #[arg(long, default_value_t = 1200)]
    timeout: u64,
}

/// Measures what the arguments ask for.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let What::Overhead(options) = &options.what;
    overhead(options)
}

fn overhead(options: &Overhead) -> Result<ExitCode> {
    let arch = options.kernel.arch();
    packages::ensure(packages::vm(arch), "the measuring machine")?;
    let rows = chosen(&options.rows);
    ensure!(
        rows.len() > 1,
        "no row's name contains {}: see xtask/src/bench/rows.rs",
        options.rows.join(" or ")
    );
    let kernel = vm::kernel(options.kernel, false)?;
    let mut files = vec![Packed::host(executables::program(arch, "xtask", "churn")?, "bin/churn")];
    if rows.iter().any(|row| matches!(row.subject, Subject::Portscope(_))) {
        files.push(Packed::host(executables::program(arch, "portscope", "portscope")?, "bin/portscope"));
    }
    if rows.iter().any(|row| matches!(row.subject, Subject::LibbpfTools(_))) {
        files.extend(tools::libbpf_tools(&rows)?);
    }
    files.push(Packed::made(&script::measuring(&rows), "measure"));
    let machine = Machine {
        files,
        command: "sh /measure".into(),
        icount: true,
        memory_mib: 2048,
        processors: 1,
        timeout: Duration::from_secs(options.timeout),
        // Each page that the kernel gives to a slab it fills with zeros: thousands of instructions, in numbers that depend
        // on when the freed sockets of the loop come back from RCU, and so on who wakes up when. Not with this.
        append: "init_on_alloc=0".into(),
        out: None,
    };
    println!("measuring on {} {} (one instruction = 2 ns of the guest's clock)", kernel.row, kernel.version);
    let mut measured = Measured::default();
    let outcome = vm::boot(&kernel, &machine, &mut |line| {
        if let Some(progress) = measured.take(line) {
            println!("{progress}");
        }
    })?;
    for line in &outcome.complaints {
        println!("kernel complaint: {line}");
    }
    ensure!(outcome.status == Some(0), outcome.no_status());
    let figures = Figures::new(&rows, &measured).context("the loop without a tracer gave no figures")?;
    figures.print();
    Ok(if figures.all_met() && outcome.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rows whose names contain one of the texts, and always the first one, which the others are compared with.
fn chosen(texts: &[String]) -> Vec<Row> {
    let wanted = |row: &&Row| {
        matches!(row.subject, Subject::Nothing)
            || texts.is_empty()
            || texts.iter().any(|text| row.name.contains(text.as_str()))
    };
    ROWS.iter().filter(wanted).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparison_row_is_always_measured() {
        let names: Vec<_> = chosen(&["tcpconnect".to_owned()]).iter().map(|row| row.name).collect();
        assert_eq!(names, ["nothing attached", "libbpf-tools tcpconnect"]);
    }
}
