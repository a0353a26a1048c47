//! `vm test`: the live tests in every kernel of the matrix, one boot a kernel, two machines at a time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Machine, Packed, Row, boot::boot, fetch};
use crate::{
    executables::LiveSet,
    test::live::{self, Place, Reader, Report},
    tree,
};

/// Programs of this machine that guests get when they are here: other views of the same sockets, and servers.
const BORROWED: [&str; 6] = [
    "/bin/ss",
    "/bin/ip",
    "/usr/sbin/nginx",
    "/usr/bin/wrk",
    "/usr/bin/redis-server",
    "/usr/bin/redis-benchmark",
];

const OBJECT: &str = "/bin/portscope.bpf.o";

/// What a row of the matrix said.
pub(crate) struct RowResult {
    /// The kernel.
    pub(crate) row: Row,
    /// Its package's version.
    pub(crate) version: String,
    /// The test executables, or why there was no machine.
    pub(crate) reports: Result<Vec<Report>, String>,
}

/// How the matrix is run.
pub(super) struct Plan<'a> {
    /// The executables.
    pub(super) set: &'a LiveSet,
    /// A BPF object that replaces the embedded one.
    pub(super) object: Option<PathBuf>,
    /// When a machine is killed.
    pub(super) timeout: Duration,
    /// How many machines run at a time.
    pub(super) jobs: usize,
    /// More arguments for the test executables, as words of the shell.
    pub(super) arguments: String,
    /// More assignments for their environment.
    pub(super) environment: Vec<(String, String)>,
}

/// Runs the live tests in the kernels of `rows`, which have the architecture of the executables.
pub(super) fn run(rows: &[Row], plan: &Plan<'_>) -> Result<Vec<RowResult>> {
    let borrowed = rows.iter().all(|row| row.arch().is_here());
    let files = files(plan, borrowed)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut results = Vec::new();
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            results.push(one(*row, plan, &files));
        }
        results
    };
    let mut results: Vec<RowResult> = thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    results.sort_by_key(|result| rows.iter().position(|row| *row == result.row));
    ensure!(results.len() == rows.len(), "a thread of the matrix panicked: see above");
    Ok(results)
}

fn one(row: Row, plan: &Plan<'_>, files: &[Packed]) -> RowResult {
    let kernel = match fetch::kernel(row, false) {
        Ok(kernel) => kernel,
        Err(error) => return RowResult { row, version: "-".into(), reports: Err(format!("{error:#}")) },
    };
    println!("{row}: booting {}", kernel.version);
    let reports = tests(&kernel, plan, files)
        .unwrap_or_else(|error| vec![Report::failed("machine", format!("{error:#}"))]);
    RowResult { row, version: kernel.version, reports: Ok(reports) }
}

fn tests(kernel: &fetch::Kernel, plan: &Plan<'_>, files: &[Packed]) -> Result<Vec<Report>> {
    let mut environment = plan.environment.clone();
    if plan.object.is_some() {
        environment.push(("PORTSCOPE_BPF_OBJECT".to_owned(), OBJECT.to_owned()));
    }
    let place = Place {
        row: kernel.row.name(),
        programs: "/bin",
        scratch: "/tmp",
        // An executable that hangs is ended before the machine is, so that the others have their turn.
        patience: plan.timeout.as_secs() * 4 / 5,
        arguments: &plan.arguments,
        environment: &environment,
    };
    let paths: Vec<_> =
        plan.set.tests.iter().map(|test| (test.name.clone(), format!("/tests/{}", test.name))).collect();
    let mut files = files.to_vec();
    files.push(Packed::made(&live::script(&place, &paths), "run-tests"));
    let machine = Machine {
        files,
        command: "sh /run-tests".into(),
        icount: false,
        memory_mib: 1536,
        processors: 2,
        timeout: plan.timeout,
        append: String::new(),
        out: None,
    };
    let mut reader = Reader::default();
    let start = Instant::now();
    let outcome = boot(kernel, &machine, &mut |line| {
        if let Some(shown) = reader.take(line, start.elapsed()) {
            println!("{} | {shown}", kernel.row);
        }
    })?;
    let log = keep_log(kernel.row, &outcome.lines, &outcome.dmesg)?;
    let mut reports = reader.finish(&plan.set.tests);
    if let Some(first) = outcome.complaints.first() {
        let more = outcome.complaints.len() - 1;
        reports.push(Report::failed(
            "kernel log",
            format!("{first} (and {more} more lines; see {})", log.display()),
        ));
    }
    if outcome.status.is_none() {
        reports.push(Report::failed("machine", outcome.no_status()));
    }
    Ok(reports)
}

fn files(plan: &Plan<'_>, borrowed: bool) -> Result<Vec<Packed>> {
    let mut files = vec![
        Packed::made("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", "etc/passwd"),
        Packed::made("root:x:0:\nnogroup:x:65534:\n", "etc/group"),
        Packed::made("127.0.0.1 localhost\n::1 localhost\n", "etc/hosts"),
    ];
    for program in &plan.set.programs {
        files.push(Packed::host(&program.path, &format!("bin/{}", program.name)));
    }
    for test in &plan.set.tests {
        files.push(Packed::host(&test.path, &format!("tests/{}", test.name)));
    }
    for program in BORROWED.iter().map(Path::new).filter(|program| borrowed && program.exists()) {
        files.extend(Packed::program(program)?);
    }
    files.extend(plan.object.iter().map(|object| Packed::host(object, OBJECT)));
    Ok(files)
}

fn keep_log(row: Row, lines: &[String], dmesg: &[String]) -> Result<PathBuf> {
    let path = tree::target("vm").join(format!("{row}.log"));
    let log = format!("{}\n--- kernel log ---\n{}\n", lines.join("\n"), dmesg.join("\n"));
    fs::write(&path, log).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
