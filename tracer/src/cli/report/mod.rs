//! `portscope report`: gather for a while, then tell what it means.

mod last;
mod live;
mod recorded;
mod stack;
mod teller;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    live::{Live, Term},
    stack::Whose,
    teller::Teller,
};
use super::{
    Failure,
    command::{self, Command},
    exit::{complain, reason},
    fail::FailOptions,
    filters::Filters,
    options::{By, Color, Format, KernelOptions, Loudness, report_format},
    picture::MapOptions,
    place::{Place, failure},
    progress::Progress,
    reading::Reading,
    rights::shed,
    session::{Session, announce, tell_astray},
    words,
};
use crate::{
    enrich::{Processes, monotonic_now},
    findings::judge,
    kernel::{Armed, Backend, Settings, facts},
    output::{escape, report::Look},
    pipeline::{
        self, Callers, Ended, Gatherer, Intake, Outlet as _, Shown, Until,
        conclude::{Conclusion, Watched, conclude},
        host::ThisHost,
        survey::{Nothing, Survey},
    },
    privileges::Needs,
    serve::Address,
    stock::Wanted,
};

/// How long to gather, if nothing else is asked for.
const USUAL: Duration = Duration::from_secs(30);
/// The stock is dumped at each interval, which takes its time.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Options of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Gather for this long (30s, 500ms, 5m); 30 s if nothing else is said, without a limit for a command
    #[arg(short, long, value_name = "TIME", value_parser = words::duration)]
    duration: Option<Duration>,
    /// Also report on every interval of this length as it ends (at least 1s): a row of text, or a JSON document on a
    /// line of its own, whose counts are those of the interval alone; the report on the whole comes last
    #[arg(short, long, value_name = "TIME", value_parser = words::duration)]
    interval: Option<Duration>,
    /// With a command: the whole host, not the command and its descendants alone
    #[arg(long)]
    all: bool,
    /// Collapse processes by: program (container or unit, and executable), pid, exe, unit, container, pod
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Follow each port until it is free again: how long ports are out, 4-tuples that come again soon (PS009)
    #[arg(long)]
    releases: bool,
    /// Take the stack of the calling code, and tell from where it asks for ports: all (of every call, if nothing is said),
    /// failures (of those that are refused; costs the others nothing to speak of). Names come from symbols, lines from
    /// debug information; outer frames need frame pointers
    #[arg(long, value_enum, value_name = "WHOSE", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    stack: Option<Whose>,
    /// Ask the `serve` that runs here for a report on this much of the past, and gather nothing; it may begin a little
    /// earlier. With -r that much of a recording, up to now: `record` need not have ended
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    last: Option<Duration>,
    /// Where that one listens
    #[arg(long, value_name = "ADDRESS", default_value = last::SERVER, requires = "last")]
    server: Address,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    map: MapOptions,
    #[command(flatten)]
    fail: FailOptions,
    /// Output format: text, json (one document; with --interval a document a line), html (one page that needs no
    /// network and no other file: to send, to print; with -w)
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = report_format)]
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
    args.loudness.start_log();
    command::run_for(&args.command, || match (args.last, args.reading.open(args.write.as_deref())?) {
        (_, Some(recording)) => recorded::tell(args, recording),
        (Some(last), None) => last::tell(args, last),
        (None, None) => gather(args),
    })
}

fn gather(args: &Args) -> Result<u8, Failure> {
    check(args)?;
    let mut place = place(args)?;
    let before = stock(args)?;
    let command = Command::prepare(&args.command, args.all, &args.filters)?;
    let settings = settings(args, &command)?;
    let filters = args.filters.told(false);
    let Session { mut armed, runtime, signals, spaces, frame } =
        Session::open(&settings, filters, args.loudness.quiet, &place, Some(&before.stock))?;
    let header = pipeline::header(&armed, &frame);
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
    announce(args.ready_file.as_deref())?;
    let mut load = runtime.block_on(async { command.start(&args.command, gatherer.intake(), None) })?;
    let above: Vec<_> = command.above().into_iter().collect();
    shed(&armed, &Needs { directories: &above, has_command: load.is_some() });
    let told = command.told(gatherer.intake());
    let callers = callers(&settings)?;
    let gatherer = gatherer.with_callers(callers);
    let watched = Watched {
        header,
        by: args.by.into(),
        interval: None,
        before: Arc::new(before.stock),
        command: told,
        command_cpu_ns: None,
    };
    let after = args.duration.or(load.is_none().then_some(USUAL));
    let term = Term { began: Instant::now(), after };
    let progress = progress(args);
    let mut live = Live::new(gatherer, teller(args), term, watched, args.interval).with_progress(progress);
    let until = match &mut load {
        Some(load) => Until::load(load, after),
        None => Until::after(after),
    };
    let ended = runtime
        .block_on(pipeline::run(&mut armed, &mut live, &mut place, signals, until, Live::ask))
        .map_err(|error| failure(&place, error))?;
    let mut out = Vec::new();
    let (mut gatherer, teller, watched) = live.finish(&armed, &mut out)?;
    let watched = Watched {
        command: command.end(gatherer.intake(), ended),
        command_cpu_ns: command.cpu_ns(),
        ..watched
    };
    let mut conclusion = finish(&armed, gatherer, watched)?;
    write(args, &teller, &mut conclusion, &mut place, out)?;
    Ok(status(args, &conclusion, ended))
}

/// Writes the report on the whole behind what is in `out`.
fn write(
    args: &Args,
    teller: &Teller,
    conclusion: &mut Conclusion,
    place: &mut Place,
    mut out: Vec<u8>,
) -> Result<(), Failure> {
    out.append(&mut teller.whole(conclusion)?);
    if args.output == Format::Text {
        let picture = args.map.draw(conclusion.exhibits.map.take(), args.color, args.write.is_some());
        out.extend_from_slice(picture.as_bytes());
    }
    place.flush(&mut out).map_err(|error| place.failure(&error))?;
    place.close()
}

fn place(args: &Args) -> Result<Place, Failure> {
    Place::open(args.write.as_deref())
}

/// What makes no sense together.
fn check(args: &Args) -> Result<(), Failure> {
    if args.output == Format::Csv {
        return Err(Failure::usage("report has no csv: there are text, json and html"));
    }
    args.map.check(args.output)?;
    stack::check(args)?;
    if args.output == Format::Html {
        check_page(args)?;
    }
    if args.interval.is_some_and(|every| every < SHORTEST_INTERVAL) {
        return Err(Failure::usage(
            "--interval is too short: the sockets of the host are read each time; give 1s or more",
        ));
    }
    Ok(())
}

/// A page is one document, and nothing to read on a terminal.
fn check_page(args: &Args) -> Result<(), Failure> {
    if args.interval.is_some() {
        return Err(Failure::usage("--interval and -o html exclude each other: a page is about the whole")
            .hint("its charts show each second anyway; for a document an interval use -o json"));
    }
    let to_stdout = args.write.as_deref().is_none_or(|path| path == Path::new("-"));
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::usage("-o html writes a page for a browser, not for a terminal")
            .hint("give it a file: -o html -w report.html"));
    }
    Ok(())
}

/// The stock at the start, whose verdict is told at once.
fn stock(args: &Args) -> Result<Survey, Failure> {
    let survey = Survey::take(&ThisHost::new(Path::new("/proc")), &Wanted::default(), &mut Nothing)?;
    if !args.loudness.quiet {
        let verdict = judge(&survey.case(None, None)).verdict;
        let finding = verdict.finding.map(|id| format!(" [{id}]")).unwrap_or_default();
        complain(&format!("as it stands: {}  {}{finding}", verdict.word.name(), escape(&verdict.reason)));
    }
    Ok(survey)
}

fn teller(args: &Args) -> Teller {
    let look = Look {
        color: args.write.is_none() && args.color.on_stdout(),
        rows: if args.loudness.quiet { 0 } else { 5 },
    };
    Teller::new(args.output, look, args.interval.is_some())
}

/// Follows who calls from where, where that is asked for: begun when rights are given up already.
fn callers(settings: &Settings) -> Result<Option<Callers>, Failure> {
    let begin = |of| Callers::begin(of, Path::new("/proc"));
    let failed = |error: io::Error| Failure::new(format!("no thread for symbols: {}", reason(&error)));
    settings.stacks.map(begin).transpose().map_err(failed)
}

/// Reads the last counts and draws the conclusion.
fn finish(armed: &Armed, mut gatherer: Gatherer, watched: Watched) -> Result<Conclusion, Failure> {
    let (accounts, tallies) = gatherer.account(armed)?;
    let call_sites = gatherer.call_sites(armed)?;
    let all = gatherer.into_gathered(monotonic_now(), accounts.accounting(), &tallies);
    let mut conclusion = conclude(&all, watched, &ThisHost::new(Path::new("/proc")))?;
    conclusion.report.call_sites = call_sites;
    tell_astray(accounts.astray);
    Ok(conclusion)
}

/// The command's own status, unless a finding was to fail on.
fn status(args: &Args, conclusion: &Conclusion, ended: Ended) -> u8 {
    if let Some(status) = args.fail.status(&conclusion.findings) {
        return status;
    }
    command::own_status(ended)
}

fn settings(args: &Args, command: &Command) -> Result<Settings, Failure> {
    let cgroup2 = facts::cgroup2_mount()?;
    let mut filter = args.filters.in_kernel(false, cgroup2.as_deref())?;
    filter.config.cgroup = command.cgroup().or(filter.config.cgroup);
    Ok(Settings {
        // Connects from a bound port are among the checks: bind before connect is seen by them.
        explicit: true,
        releases: args.releases,
        stacks: args.stack.map(Into::into),
        count_only: false,
        filter,
        ..args.kernel.settings()?
    })
}

/// How far it is, for a person. A command may write to the terminal, too: then a line that is drawn again and again
/// would wipe what it wrote, and one line must do.
fn progress(args: &Args) -> Option<Progress> {
    let progress = if args.loudness.quiet { None } else { Progress::on_stderr() };
    if progress.is_some() && !args.command.is_empty() {
        complain("gathering until the command ends; Ctrl-C ends it with a report");
        return None;
    }
    progress
}
