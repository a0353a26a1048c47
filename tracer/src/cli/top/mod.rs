//! `portscope top`: who takes the ports, who is refused, as it happens, on the whole screen.

mod input;
mod live;
mod log;
mod playback;
mod rates;
mod recorded;
mod screen;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, mpsc},
    time::Duration,
};

use self::{
    live::{Face, Live, Pace},
    log::Log,
    recorded::Speed,
    screen::Screen,
};
use super::{
    Failure,
    command::{self, Command},
    exit::{complain, reason, say},
    filters::Filters,
    options::{By, Color, KernelOptions, Loudness},
    picture::speaks_utf8,
    place::{Place, failure},
    reading::Reading,
    rights::shed,
    session::{Session, announce, closing_lines, tell_astray},
    words,
};
use crate::{
    enrich::Processes,
    kernel::{Armed, Backend, Settings, facts},
    load::Load,
    output::{escape, records::Report, report::grouped},
    pipeline::{
        self, Accounts, Gatherer, Intake, Outlet as _, Shown, Sliding, Until,
        conclude::{Conclusion, Watched, conclude},
        host::ThisHost,
        survey::Survey,
    },
    privileges::Needs,
    stock::Wanted,
    tui::{Commanded, Look, Ui},
};

/// The screen is not worth drawing more often.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// Columns and rows of a frame of text, at most.
const TEXT: (u16, u16) = (110, 40);

const KEYS: &str = "\
Screens: 1 the verdict, how full the fullest pools are by half, ports asked for and refused each second, findings with \
their first command, the busiest processes; 2 all pools, and with Enter one of them with its holders, those who were \
refused and its map; 3 the events. Verdict, findings and processes are of the last 30 to 60 s; the last line accounts \
for all events since the start. Keys: F1 help, F3 filter, F6 sort, p pause, q quit. It costs the kernel what `report` \
costs, prints commands and runs none but that of -- CMD; when it ends it prints the verdict on the whole time. With \
-- CMD it ends when the command does, with its exit status; q interrupts the command, a second q leaves it alone.";

/// Options of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYS)]
pub(super) struct Args {
    /// End after this long (30s, 5m); without it when q is pressed
    #[arg(short, long, value_name = "TIME", value_parser = words::duration)]
    duration: Option<Duration>,
    /// Refresh so often (at least 100ms); the sockets of the host are read less often where that takes long
    #[arg(short, long, value_name = "TIME", value_parser = words::duration, default_value = "1s")]
    interval: Duration,
    /// End after so many refreshes
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print the first screen as text at each refresh, for logs: needs no terminal, writes no escape sequences
    #[arg(short, long)]
    batch: bool,
    /// With a command: the whole host, not the command and its descendants alone
    #[arg(long, requires = "command")]
    all: bool,
    /// Write what the command prints to this file; without it to portscope-top-PID.log among the temporary files
    #[arg(long, value_name = "FILE", requires = "command")]
    command_output: Option<PathBuf>,
    /// Collapse processes by: program (container or unit, and executable), pid, exe, unit, container, pod
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Follow each port until it is free again: how long ports are out, 4-tuples that come again soon (PS009)
    #[arg(long)]
    releases: bool,
    /// Colour; all is told without it, too
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    /// Of a recording: so many times as fast as it was recorded; max, or 0: straight to its end. With -b nobody waits, and
    /// frames are --interval apart in the recording
    #[arg(long, value_name = "TIMES", requires = "read", value_parser = recorded::speed)]
    speed: Option<Speed>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    kernel: KernelOptions,
    /// Create this file when the hooks are armed
    #[arg(long, value_name = "FILE", hide = true)]
    ready_file: Option<PathBuf>,
    /// Run this command once the hooks are armed, and show what it and its descendants do
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs it, and tells the exit status.
pub(super) fn run(args: &Args) -> ExitCode {
    command::run_for(&args.command, || match args.reading.open(None)? {
        Some(recording) => recorded::show(args, recording),
        None => show(args),
    })
}

fn show(args: &Args) -> Result<u8, Failure> {
    check(args)?;
    // A log on the terminal that shows the screen would write over it.
    if args.batch || !io::stderr().is_terminal() {
        args.loudness.start_log();
    }
    let command = Command::prepare(&args.command, args.all, &args.filters)?;
    let log = args.command.first().map(|_| Log::open(args.command_output.as_deref())).transpose()?;
    let settings = settings(args, &command)?;
    let mut place = Place::open(None)?;
    let before = Survey::bare(&ThisHost::new(Path::new("/proc")), &Wanted::default())?;
    let filters = args.filters.told(false);
    let Session { mut armed, runtime, signals, spaces, frame } =
        Session::open(&settings, filters, args.loudness.quiet, &place, Some(&before.stock))?;
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        pod: args.filters.pod().map(str::to_owned),
        misses: armed.backend() == Backend::Kprobe,
        ..Shown::default()
    };
    let intake = Intake::new(Processes::new(Path::new("/proc")), spaces, shown)
        .with_descent(command.follow(&armed, args.loudness.quiet)?);
    let mut gatherer =
        Gatherer::new(intake, pipeline::window(settings.explicit, settings.releases), Path::new("/proc"));
    let stock = Arc::new(before.stock);
    let watched = Watched {
        header: pipeline::header(&armed, &frame),
        by: args.by.into(),
        interval: None,
        before: Arc::clone(&stock),
        command: command.told(gatherer.intake()),
        command_cpu_ns: None,
    };
    let sliding = Sliding::begin(&gatherer, &stock);
    let (sender, inputs) = mpsc::channel();
    let face = if args.batch {
        Face::Text
    } else {
        let screen = Screen::open().map_err(|error| no_screen(&error))?;
        runtime.block_on(async { input::listen(&sender) }).map_err(|error| no_screen(&error))?;
        Face::Screen(Box::new(screen))
    };
    announce(args.ready_file.as_deref())?;
    let started = runtime
        .block_on(async { command.start(&args.command, gatherer.intake(), log.as_ref().map(Log::file)) });
    let mut load = started?;
    let above: Vec<_> = command.above().into_iter().collect();
    shed(&armed, &Needs { directories: &above, has_command: load.is_some() });
    let target = load.as_ref().and_then(Load::target);
    let commanded = watched.command.as_ref().zip(log.as_ref()).map(|(command, log)| Commanded {
        name: command.name.clone(),
        output: log.path(),
        is_interrupted: false,
    });
    let rhythm = Pace { every: args.interval, most: args.count };
    let mut live = Live::new(gatherer, sliding, watched.clone(), ui(args), face, inputs, rhythm)
        .beside(commanded, target);
    let until = match &mut load {
        Some(load) => Until::load(load, args.duration),
        None => Until::after(args.duration),
    };
    let ended =
        runtime.block_on(pipeline::run(&mut armed, &mut live, &mut place, signals, until, |live, _| {
            live.hurry();
            Ok(())
        }));
    if ended.is_ok() {
        let mut frame = Vec::new();
        live.last(&armed, &mut frame)?;
        place.flush(&mut frame).map_err(|error| place.failure(&error))?;
    }
    // The terminal is given back first, whatever is to be said.
    let rest = live.close();
    // Where that is gone, nothing can be said any more.
    let Some((mut gatherer, sliding)) = rest.map_err(|error| no_screen(&error))? else { return Ok(0) };
    let ended = ended.map_err(|error| failure(&place, error))?;
    place.close()?;
    if !args.batch && !args.loudness.quiet {
        let watched = Watched {
            command: command.end(gatherer.intake(), ended),
            command_cpu_ns: command.cpu_ns(),
            ..watched
        };
        conclude_all(&armed, gatherer, sliding, watched)?;
    }
    if let Some(log) = log {
        leave(log, load.as_ref().and_then(Load::pid).map(|pid| pid.0), args.loudness.quiet);
    }
    Ok(command::own_status(ended))
}

/// Says where the output of the command is, and that it runs on where it does.
fn leave(log: Log, running: Option<u32>, is_quiet: bool) {
    let path = escape(&log.path()).into_owned();
    if let Some(pid) = running {
        complain(&format!("the command runs on as process {pid}; what it prints goes to {path}"));
    } else if log.end() && !is_quiet {
        complain(&format!("what the command printed is in {path}"));
    }
}

/// What makes no sense.
fn check(args: &Args) -> Result<(), Failure> {
    if args.interval < SHORTEST_INTERVAL {
        return Err(Failure::usage("--interval is too short: give 100ms or more"));
    }
    if !args.batch && !io::stdout().is_terminal() {
        return Err(Failure::usage(
            "top draws on a terminal, and standard output is none: give -b for frames of text, -c for how many",
        ));
    }
    Ok(())
}

fn no_screen(error: &io::Error) -> Failure {
    Failure::new(format!("cannot use the terminal: {}", reason(error)))
        .hint("-b prints frames of text instead")
}

fn settings(args: &Args, command: &Command) -> Result<Settings, Failure> {
    let cgroup2 = facts::cgroup2_mount()?;
    let mut filter = args.filters.in_kernel(false, cgroup2.as_deref())?;
    filter.config.cgroup = command.cgroup().or(filter.config.cgroup);
    Ok(Settings {
        // As `report` does: bind before connect is seen by them.
        explicit: true,
        releases: args.releases,
        count_only: false,
        filter,
        ..args.kernel.settings()?
    })
}

fn ui(args: &Args) -> Ui {
    let unicode = speaks_utf8(|name| std::env::var(name).ok());
    if args.batch {
        return Ui { plain: true, ..Ui::new(Look { color: false, unicode }, TEXT) };
    }
    let color = args.color.on_stdout();
    // The terminal's library looks for NO_COLOR itself, but the option goes before it.
    ratatui::crossterm::style::force_color_output(color);
    Ui::new(Look { color, unicode }, TEXT)
}

/// The verdict on the whole time, for whoever scrolls back.
fn conclude_all(
    armed: &Armed,
    mut gatherer: Gatherer,
    sliding: Sliding,
    watched: Watched,
) -> Result<(), Failure> {
    let (accounts, _) = gatherer.account(armed)?;
    let all = sliding.whole(gatherer, armed)?;
    let Conclusion { report, .. } = conclude(&all, watched, &ThisHost::new(Path::new("/proc")))?;
    let done = tell_verdict(&report, &accounts);
    tell_astray(accounts.astray);
    // A terminal that is gone by now takes nothing more.
    done.or(Ok(()))
}

/// The verdict in a line, and what was counted.
fn tell_verdict(report: &Report, accounts: &Accounts) -> Result<(), Failure> {
    let verdict = &report.verdict;
    let finding = verdict.finding.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
    let totals = &report.totals.counted;
    say(&format!(
        "{}  {}{finding}\n{} ports asked for in {:.1} s, {} refused; {}\n",
        verdict.word,
        escape(&verdict.reason),
        grouped(totals.allocations),
        report.window.seconds,
        grouped(totals.failures),
        closing_lines(accounts),
    ))
}
