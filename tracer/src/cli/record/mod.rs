//! `portscope record`: events, and what explains them, into a file.

mod ring;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use tokio::runtime::Runtime;

use super::{
    Failure,
    command::{self, Command},
    exit::complain,
    filters::Filters,
    options::{KernelOptions, Loudness},
    place::{Place, failure},
    rights::shed,
    session::{Session, announce, closing_lines, interim, tell_astray},
    words,
};
use crate::{
    enrich::{Clock, Processes},
    kernel::{Armed, Backend, Settings, facts},
    pipeline::{
        self, Consumer as _, Ended, Intake, Outlet as _, Recorder, Shown, Signals, Until, capture,
        host::Host as _, host::ThisHost,
    },
    privileges::Needs,
    recording::{Facts, Opening, SceneNote},
    stock::Wanted,
};

/// Options of `record`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write, an Arrow IPC stream; - for standard output. With --ring a directory
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// Stop after this long (30s, 500ms, 5m); until it is asked to, if nothing else is said
    #[arg(short, long, value_name = "TIME", value_parser = words::duration)]
    duration: Option<Duration>,
    /// Stop after this many events
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// With a command: the whole host, not the command and its descendants alone
    #[arg(long)]
    all: bool,
    /// Record when each port becomes free again, too
    #[arg(long)]
    releases: bool,
    /// Read options of the section [record] from this file; those of the command line go before them
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    ring: ring::RingArgs,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    kernel: KernelOptions,
    /// Create this file when the hooks are armed
    #[arg(long, value_name = "FILE", hide = true)]
    ready_file: Option<PathBuf>,
    /// Run this command once the hooks are armed, and record it and its descendants
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs it, and tells the exit status.
pub(super) fn run(args: &Args) -> ExitCode {
    command::run_for(&args.command, || record(args))
}

fn record(args: &Args) -> Result<u8, Failure> {
    args.loudness.start_log();
    if args.ring.is_wanted() {
        return ring::record(args);
    }
    if args.write.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", args.write.display()))
            .hint("give -w a file, or keep the last part in that directory: --ring 512MiB"));
    }
    if args.write == Path::new("-") && io::stdout().is_terminal() {
        return Err(Failure::usage("a recording is nothing to read on a terminal")
            .hint("give it a file: -w ports.arrow"));
    }
    let mut place = Place::open(Some(&args.write))?;
    let Begun { mut armed, runtime, signals, command, intake, opening, scene } = begin(args, &place)?;
    let mut out = Vec::new();
    let recorder = Recorder::begin(intake, opening, scene, Path::new("/proc"), &mut out);
    let mut recorder = recorder.map_err(|error| unwritable(&error))?;
    place.flush(&mut out).map_err(|error| place.failure(&error))?;
    announce(args.ready_file.as_deref())?;
    let mut load = runtime.block_on(async { command.start(&args.command, recorder.intake(), None) })?;
    let above: Vec<_> = command.above().into_iter().collect();
    shed(&armed, &Needs { directories: &above, has_command: load.is_some() });
    let until = match &mut load {
        Some(load) => Until::load(load, args.duration),
        None => Until::after(args.duration),
    };
    let ended = runtime
        .block_on(pipeline::run(&mut armed, &mut recorder, &mut place, signals, until, |recorder, armed| {
            interim(&recorder.accounts(&armed.counts()?));
            Ok(())
        }))
        .map_err(|error| failure(&place, error))?;
    let told = command.end(recorder.intake(), ended);
    finish(args, &armed, recorder, (told, command.cpu_ns()), &mut place)?;
    Ok(status(ended))
}

/// Hooks that are armed, and what a recording begins with.
struct Begun {
    armed: Armed,
    runtime: Runtime,
    signals: Signals,
    command: Command,
    intake: Intake,
    opening: Opening,
    scene: SceneNote,
}

fn begin(args: &Args, place: &Place) -> Result<Begun, Failure> {
    let host = ThisHost::new(Path::new("/proc"));
    let scene = capture(&host, host.stock(&Wanted::default())?)?;
    let command = Command::prepare(&args.command, args.all, &args.filters)?;
    let settings = settings(args, &command)?;
    let filters = args.filters.told(false);
    let Session { armed, runtime, signals, spaces, frame } =
        Session::open(&settings, filters, args.loudness.quiet, place, Some(&scene.stock))?;
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        pod: args.filters.pod().map(str::to_owned),
        misses: armed.backend() == Backend::Kprobe,
        most: args.count,
        ..Shown::default()
    };
    let intake = Intake::new(Processes::new(Path::new("/proc")), spaces, shown)
        .with_descent(command.follow(&armed, args.loudness.quiet)?);
    let opening = Opening { header: pipeline::header(&armed, &frame), facts: of(args, &armed) };
    Ok(Begun { armed, runtime, signals, command, intake, opening, scene })
}

fn of(args: &Args, armed: &Armed) -> Facts {
    Facts {
        start: armed.started(),
        clock_offset_ns: Clock::sample().offset_ns(),
        range_takes_every_port: armed.range_takes_every_port(),
        releases: args.releases,
        collisions: armed.counts_collisions(),
    }
}

fn settings(args: &Args, command: &Command) -> Result<Settings, Failure> {
    let cgroup2 = facts::cgroup2_mount()?;
    let mut filter = args.filters.in_kernel(false, cgroup2.as_deref())?;
    filter.config.cgroup = command.cgroup().or(filter.config.cgroup);
    Ok(Settings {
        // A report asks for them, and trace may.
        explicit: true,
        releases: args.releases,
        count_only: false,
        filter,
        ..args.kernel.settings()?
    })
}

type Told = (Option<crate::output::records::CommandEnd>, Option<u64>);

fn finish(
    args: &Args,
    armed: &Armed,
    recorder: Recorder,
    command: Told,
    place: &mut Place,
) -> Result<(), Failure> {
    let mut out = Vec::new();
    let (accounts, ended) = recorder.finish(armed, command, &mut out)?;
    place.flush(&mut out).map_err(|error| place.failure(&error))?;
    place.close()?;
    if !args.loudness.quiet {
        complain(&format!("recorded to {}: {}", args.write.display(), closing_lines(&accounts)));
    }
    tell_astray(accounts.astray);
    ended.map_err(|error| unwritable(&error))
}

fn status(ended: Ended) -> u8 {
    command::own_status(ended)
}

fn unwritable(error: &impl std::fmt::Display) -> Failure {
    Failure::new(format!("the recording cannot be encoded: {error}"))
}
