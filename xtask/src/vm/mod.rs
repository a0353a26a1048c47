//! `vm`: test machines under qemu, one per kernel that portscope promises to work on.

mod boot;
mod console;
mod debian;
mod fetch;
mod guest;
mod initramfs;
mod matrix;
mod modules;
mod row;
mod units;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use self::matrix::Plan;
pub(crate) use self::{
    boot::{Machine, boot},
    fetch::kernel,
    guest::quoted,
    initramfs::Packed,
    matrix::RowResult,
    row::{Row, chosen},
};
use crate::{
    arch::Arch,
    executables, packages,
    test::{self, summary::Summary},
};

/// Arguments of `vm`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Download the kernels of the Debian suites into target/vm.
    Fetch {
        /// Only this kernel; may be given several times.
        #[arg(long = "kernel", value_enum)]
        kernels: Vec<Row>,
        /// Look for newer versions even if kernels are there.
        #[arg(long)]
        refresh: bool,
    },
    /// Boot a kernel and run one command in it as root.
    Run(RunOptions),
    /// Run the live tests in the test kernels.
    Test {
        /// Only this kernel; may be given several times.
        #[arg(long = "kernel", value_enum)]
        kernels: Vec<Row>,
        #[command(flatten)]
        matrix: MatrixOptions,
        /// Arguments for the test executables, such as a part of a test's name, or --nocapture.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Try the package of `cargo xtask dist` and its units on a Debian with systemd.
    Units {
        /// The kernel below it.
        #[arg(long, value_enum, default_value = "6.1")]
        kernel: Row,
        /// Seconds until the machine is killed.
        #[arg(long, default_value_t = 600)]
        timeout: u64,
    },
}

/// How the matrix is run.
#[derive(Args)]
pub(crate) struct MatrixOptions {
    /// Seconds until a test machine is killed.
    #[arg(long, default_value_t = 900)]
    timeout: u64,
    /// Test machines at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// More of the tests' environment, such as PORTSCOPE_SOAK=600; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    environment: Vec<(String, String)>,
}

/// Parts an assignment whose words need no quotes.
fn assignment(text: &str) -> Result<(String, String)> {
    let plain =
        |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.,:/".contains(&byte));
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && plain(name) && plain(value) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => bail!("{text:?} is not NAME=VALUE, of letters, digits and _-.,:/"),
    }
}

/// Runs the live tests in the kernels of `rows`, one architecture after the other. `object` replaces the BPF object of
/// the one that everything is tested on; `arguments` are for the test executables.
pub(crate) fn matrix(
    rows: &[Row],
    object: Option<&Path>,
    options: &MatrixOptions,
    arguments: &[String],
) -> Result<Vec<RowResult>> {
    let mut results = Vec::new();
    for arch in Arch::ALL {
        let rows: Vec<Row> = rows.iter().copied().filter(|row| row.arch() == arch).collect();
        if rows.is_empty() {
            continue;
        }
        packages::ensure(packages::vm(arch), "the test machines")?;
        let object = object.filter(|_| arch == Arch::TESTED);
        let plan = Plan {
            set: &executables::live_set(arch, object)?,
            object: object.map(Path::to_path_buf),
            timeout: Duration::from_secs(options.timeout),
            jobs: options.jobs,
            arguments: quoted(arguments),
            environment: options.environment.clone(),
        };
        results.extend(matrix::run(&rows, &plan)?);
    }
    Ok(results)
}

#[derive(Args)]
struct RunOptions {
    /// The kernel to boot.
    #[arg(long, value_enum)]
    kernel: Row,
    /// One CPU whose clock counts instructions (2 ns each): for measuring.
    #[arg(long)]
    icount: bool,
    /// Memory in MiB.
    #[arg(long, default_value_t = 1024)]
    mem: u32,
    /// Processors.
    #[arg(long, default_value_t = 2)]
    smp: u32,
    /// Seconds until the machine is killed.
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// A host file to put into the guest, at /bin/NAME or at GUESTPATH; libraries of a dynamic executable come along.
    #[arg(long = "file", value_name = "PATH[:GUESTPATH]")]
    files: Vec<String>,
    /// More words for the kernel command line.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Where the contents of the guest's /out are unpacked after the command ended.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the guest's kernel log afterwards.
    #[arg(long)]
    dmesg: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Does what the arguments say.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.action {
        Action::Fetch { kernels, refresh } => Ok(fetch_all(kernels, *refresh)),
        Action::Run(options) => run_command(options),
        Action::Test { kernels, matrix, arguments } => test_matrix(kernels, matrix, arguments),
        Action::Units { kernel, timeout } => units::run(*kernel, Duration::from_secs(*timeout)),
    }
}

fn fetch_all(kernels: &[Row], refresh: bool) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for row in chosen(kernels) {
        match kernel(row, refresh) {
            Ok(kernel) => println!("{row}: {} {}", kernel.version, kernel.image.display()),
            Err(error) => {
                println!("{row}: not available: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn test_matrix(kernels: &[Row], options: &MatrixOptions, arguments: &[String]) -> Result<ExitCode> {
    let mut summary = Summary::default();
    summary.add_rows(matrix(&chosen(kernels), None, options, arguments)?);
    summary.print();
    Ok(test::code(&summary))
}

fn run_command(options: &RunOptions) -> Result<ExitCode> {
    packages::ensure(packages::vm(options.kernel.arch()), "a test machine")?;
    let booted = kernel(options.kernel, false)?;
    let mut files = Vec::new();
    for argument in &options.files {
        files.extend(Packed::from_argument(argument)?);
    }
    let machine = Machine {
        files,
        command: quoted(&options.command),
        icount: options.icount,
        memory_mib: options.mem,
        processors: options.smp,
        timeout: Duration::from_secs(options.timeout),
        append: options.append.clone(),
        out: options.out.clone(),
    };
    let outcome = boot(&booted, &machine, &mut |line| println!("{line}"))?;
    if options.dmesg {
        outcome.dmesg.iter().for_each(|line| println!("dmesg: {line}"));
    }
    outcome.complaints.iter().for_each(|line| eprintln!("kernel complaint: {line}"));
    let status = outcome.status.with_context(|| outcome.no_status())?;
    if status == 0 && outcome.complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if status == 0 {
        bail!("the command succeeded but the kernel complained");
    }
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
