//! `portscope report`: gather for a while, then tell what it means.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{
    Failure,
    exit::{self, complain, reason},
    fail::FailOptions,
    filters::Filters,
    options::{By, Color, Format, KernelOptions, Loudness, format},
    place::{Place, failure},
    session::{Session, announce, interim, tell_astray},
    words,
};
use crate::{
    enrich::Processes,
    kernel::{Armed, Backend, Settings, facts},
    load::{self, Load, OwnCgroup},
    output::{
        records::Report,
        report::{Look, text},
    },
    pipeline::{
        self, Ended, Gatherer, Intake, Outlet as _, Shown, Until,
        conclude::{Conclusion, Watched, conclude},
    },
    stock::{Stock, Wanted},
};

/// How long to gather, if nothing else is asked for.
const USUAL: Duration = Duration::from_secs(30);

/// Options of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Gather for this long (30s, 500ms, 5m); 30 s if nothing else is said, without a limit for a command
    #[arg(short, long, value_name = "TIME", value_parser = words::duration)]
    duration: Option<Duration>,
    /// With a command: the whole host, not the command and its descendants alone
    #[arg(long)]
    all: bool,
    /// Collapse processes by: program (container or unit, and executable), pid, exe, unit, container
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Follow each port until it is free again: how long ports are out, 4-tuples that come again soon (PS009)
    #[arg(long)]
    releases: bool,
    #[command(flatten)]
    fail: FailOptions,
    /// Output format: text, json (one document)
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    kernel: KernelOptions,
    /// Create this file when the hooks are armed
    #[arg(long, value_name = "FILE", hide = true)]
    ready_file: Option<PathBuf>,
    /// Run this command once the hooks are armed, and report on it and its descendants
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs it, and tells the exit status.
pub(super) fn run(args: &Args) -> ExitCode {
    match gather(args) {
        Ok(status) => ExitCode::from(status),
        Err(failed) if args.command.is_empty() => exit::status(Err(failed)),
        // Whose status it is must be clear: ours is 125 where there is a command, as with env and timeout.
        Err(failed) => {
            exit::status(Err(failed));
            complain("the status 125 is portscope's own: the command was not run, or not reported on");
            ExitCode::from(125)
        }
    }
}

fn gather(args: &Args) -> Result<u8, Failure> {
    args.loudness.start_log();
    if args.output == Format::Csv {
        return Err(Failure::usage("report has no csv: there are text and json"));
    }
    let mut place = Place::open(args.write.as_deref())?;
    let cgroup = own_cgroup(args)?;
    let settings = settings(args, cgroup.as_ref())?;
    let filters = args.filters.told(false);
    let Session { mut armed, runtime, signals, spaces, frame } =
        Session::open(&settings, filters, args.loudness.quiet, &place)?;
    let header = pipeline::header(&armed, &frame);
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        misses: armed.backend() == Backend::Kprobe,
        ..Shown::default()
    };
    let intake = Intake::new(Processes::new(Path::new("/proc")), spaces, shown);
    let mut gatherer =
        Gatherer::new(intake, pipeline::window(settings.explicit, settings.releases), Path::new("/proc"));
    let before = Stock::take(Path::new("/proc"), &Wanted::default()).ok();
    announce(args.ready_file.as_deref())?;
    let mut load = runtime.block_on(async { start(args, cgroup.as_ref()) })?;
    let until = match &mut load {
        Some(load) => Until::load(load, args.duration),
        None => Until::after(Some(args.duration.unwrap_or(USUAL))),
    };
    progress(args);
    let ended = runtime
        .block_on(pipeline::run(&mut armed, &mut gatherer, &mut place, signals, until, interim))
        .map_err(|error| failure(&place, error))?;
    let watched = Watched {
        header,
        by: args.by.into(),
        before: before.as_ref(),
        command: command(args, cgroup.is_some(), ended),
        command_cpu_ns: cgroup.as_ref().and_then(OwnCgroup::cpu_ns),
    };
    let conclusion = finish(&mut armed, &mut gatherer, watched)?;
    tell(args, &conclusion.report, &mut place)?;
    Ok(status(args, &conclusion, ended))
}

/// Reads the last counts and draws the conclusion.
fn finish(armed: &mut Armed, gatherer: &mut Gatherer, watched: Watched<'_>) -> Result<Conclusion, Failure> {
    let counts = armed.counts()?;
    gatherer.absorb(&armed.tallies()?);
    let conclusion = conclude(gatherer, &counts, armed.unavailable(), watched, Path::new("/proc"))
        .map_err(|error| Failure::new(error.to_string()))?;
    tell_astray(conclusion.astray);
    Ok(conclusion)
}

fn tell(args: &Args, report: &Report, place: &mut Place) -> Result<(), Failure> {
    let mut bytes = match args.output {
        Format::Json => exit::json(report)?.into_bytes(),
        Format::Text | Format::Csv => {
            let look = Look {
                color: args.write.is_none() && args.color.on_stdout(),
                rows: if args.loudness.quiet { 0 } else { 5 },
            };
            text(report, look).into_bytes()
        }
    };
    place.flush(&mut bytes).map_err(|error| place.failure(&error))?;
    place.close()
}

/// The command's own status, unless a finding was to fail on.
fn status(args: &Args, conclusion: &Conclusion, ended: Ended) -> u8 {
    if let Some(status) = args.fail.status(&conclusion.findings) {
        return status;
    }
    match ended {
        Ended::Load(load::Ended { status, signal }) if status != 0 => {
            let how = signal.map_or(String::new(), |signal| format!(", killed by signal {signal}"));
            complain(&format!("the status {status} is the command's own{how}"));
            status
        }
        _ => 0,
    }
}

fn command(args: &Args, alone: bool, ended: Ended) -> Option<crate::output::records::CommandEnd> {
    let name = args.command.first()?.to_string_lossy().into_owned();
    let status = if let Ended::Load(load::Ended { status, .. }) = ended { status } else { 0 };
    Some(crate::output::records::CommandEnd { name, status, alone })
}

/// A cgroup for the command, so that it and its descendants are told from the rest.
fn own_cgroup(args: &Args) -> Result<Option<OwnCgroup>, Failure> {
    if args.command.is_empty() || args.all {
        return Ok(None);
    }
    let mount = facts::cgroup2_mount()?.ok_or_else(|| {
        Failure::new("no cgroup version 2 hierarchy is mounted, so the command cannot be told from the rest")
            .hint("mount one, or report on the whole host with --all")
    })?;
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    OwnCgroup::make(&mount, &own).map(Some).map_err(|error| {
        Failure::new(format!(
            "cannot make a cgroup for the command below {}: {}",
            mount.display(),
            reason(&error)
        ))
        .hint("report on the whole host with --all")
    })
}

fn settings(args: &Args, cgroup: Option<&OwnCgroup>) -> Result<Settings, Failure> {
    let cgroup2 = facts::cgroup2_mount()?;
    let mut filter = args.filters.in_kernel(false, cgroup2.as_deref())?;
    if let Some(own) = cgroup {
        if filter.config.cgroup.is_some() {
            return Err(Failure::usage("--cgroup and a command exclude each other")
                .hint("the command runs in a cgroup of its own; use --all to see others"));
        }
        filter.config.cgroup = Some((own.level(), own.id()));
    }
    Ok(Settings {
        backend: args.kernel.backend,
        btf: args.kernel.btf.clone(),
        buffer_bytes: args.kernel.buffer,
        // Connects from a bound port are among the checks: bind before connect is seen by them.
        explicit: true,
        releases: args.releases,
        count_only: false,
        filter,
    })
}

fn start(args: &Args, cgroup: Option<&OwnCgroup>) -> Result<Option<Load>, Failure> {
    if args.command.is_empty() {
        return Ok(None);
    }
    let entrance = cgroup.map(OwnCgroup::entrance);
    Load::start(&args.command, entrance.as_deref()).map(Some).map_err(|error| Failure::new(error.to_string()))
}

/// Says how long it will take, to a person.
fn progress(args: &Args) {
    use std::io::IsTerminal as _;
    if args.loudness.quiet || !std::io::stderr().is_terminal() {
        return;
    }
    let until = match (&args.command.first(), args.duration) {
        (Some(_), _) => "until the command ends".to_owned(),
        (None, duration) => format!("for {:.0} s", duration.unwrap_or(USUAL).as_secs_f64()),
    };
    complain(&format!("gathering {until}; Ctrl-C ends it with a report"));
}
