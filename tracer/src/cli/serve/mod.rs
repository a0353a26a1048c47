//! `portscope serve`: gather without an end, and tell it over HTTP.

mod live;
mod pushing;
mod recorded;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sd_notify::NotifyState;

use self::{
    live::{Live, notify},
    pushing::Pushing,
};
use super::{
    Failure,
    exit::{complain, reason},
    filters::Filters,
    options::{By, KernelOptions, Loudness},
    place::{Place, failure},
    reading::Reading,
    rights::shed,
    session::{Session, announce, closing_lines, interim, tell_astray},
    words,
};
use crate::{
    enrich::Processes,
    kernel::{Backend, Settings, facts},
    pipeline::{
        self, Consumer as _, Gatherer, Intake, Shown, Until, conclude::Watched, host::ThisHost,
        survey::Survey,
    },
    privileges::Needs,
    serve::{Address, Board, Bound, Server},
    stock::Wanted,
};

/// Where it listens, unless something else is said.
const LISTEN: [&str; 2] = ["127.0.0.1:19768", "unix:/run/portscope/portscope.sock"];

const PATHS: &str = "\
Paths: /metrics for Prometheus (OpenMetrics), /healthz, /findings (JSON), /report (a page on the last minute; ?last=10m), \
/report.json, which `portscope report --last 10m` asks for. Figures are at most a second old, older only where they take \
long: at most 1/100 of a CPU goes into them. No label is a local port or a process id; --top bounds how many programs, \
pools and findings are told one by one. It costs the kernel what `report` costs, listens to nothing but GET, and works \
without a free port.";

/// Options of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = PATHS)]
pub(super) struct Args {
    /// Listen there: 127.0.0.1:19768, [::1]:19768, unix:/run/portscope/portscope.sock; may be given several times.
    /// Without it at 127.0.0.1:19768, and for `report --last` at unix:/run/portscope/portscope.sock where it can
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Vec<Address>,
    /// Programs, pools, namespaces and findings that are told one by one; the rest is told as one
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u16).range(1..=200))]
    top: u16,
    /// How much of the past `report --last` can ask for
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = words::duration)]
    history: Duration,
    /// Read options of the section [serve] from this file; those of the command line go before them
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pushing: Pushing,
    /// End after this long; without it when it is told to
    #[arg(short, long, value_name = "TIME", value_parser = words::duration)]
    duration: Option<Duration>,
    /// Collapse processes of reports by: program (container or unit, and executable), pid, exe, unit, container, pod
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Follow each port until it is free again: how long ports are out, 4-tuples that come again soon (PS009)
    #[arg(long)]
    releases: bool,
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
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    args.pushing.check()?;
    // Before the hooks, which take a while: who cannot listen need not trace.
    let bound = listen(args)?;
    // Their sockets are removed at the end.
    match args.reading.open(bound.iter().filter_map(socket))? {
        Some(recording) => recorded::serve(args, recording, &bound),
        None => gather(args, &bound),
    }
}

fn socket(bound: &Bound) -> Option<&Path> {
    match bound.address() {
        Address::Unix(path) => Some(path),
        Address::Tcp(_) => None,
    }
}

fn gather(args: &Args, bound: &[Bound]) -> Result<(), Failure> {
    let mut place = Place::Stdout;
    let before = Survey::bare(&ThisHost::new(Path::new("/proc")), &Wanted::default())?;
    let cgroup2 = facts::cgroup2_mount()?;
    let settings = Settings {
        // As `report` does: bind before connect is seen by them.
        explicit: true,
        releases: args.releases,
        count_only: false,
        filter: args.filters.in_kernel(false, cgroup2.as_deref())?,
        ..args.kernel.settings()?
    };
    let Session { mut armed, runtime, signals, spaces, frame } =
        Session::open(&settings, args.filters.told(false), args.loudness.quiet, &place, Some(&before.stock))?;
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        pod: args.filters.pod().map(str::to_owned),
        misses: armed.backend() == Backend::Kprobe,
        ..Shown::default()
    };
    let intake = Intake::new(Processes::new(Path::new("/proc")), spaces, shown);
    let gatherer =
        Gatherer::new(intake, pipeline::window(settings.explicit, settings.releases), Path::new("/proc"));
    let stock = Arc::new(before.stock);
    let watched = Watched {
        header: pipeline::header(&armed, &frame),
        by: args.by.into(),
        interval: None,
        before: Arc::clone(&stock),
        command: None,
        command_cpu_ns: None,
    };
    let (board, questions) = Board::new();
    shed(&armed, &Needs::default());
    let push = args.pushing.push(&armed, args.loudness.quiet);
    let server = Server::start(bound, &board, push).map_err(|error| Failure::new(error.to_string()))?;
    let mut live =
        Live::new(gatherer, &stock, watched, (Arc::clone(&board), questions), args.top.into(), args.history);
    tell_ready(args, bound)?;
    let ended = runtime.block_on(pipeline::run(
        &mut armed,
        &mut live,
        &mut place,
        signals,
        Until::after(args.duration),
        |live, armed| {
            interim(&live.accounts(&armed.counts()?));
            Ok(())
        },
    ));
    notify(&[NotifyState::Stopping]);
    drop(server);
    ended.map_err(|error| failure(&place, error))?;
    let accounts = live.accounts(&armed.counts()?);
    tell_astray(accounts.astray);
    if !args.loudness.quiet {
        complain(&closing_lines(&accounts));
    }
    Ok(())
}

/// Says where it listens, to whoever waits for that.
fn tell_ready(args: &Args, bound: &[Bound]) -> Result<(), Failure> {
    if !args.loudness.quiet {
        let places: Vec<String> = bound.iter().map(|one| one.address().to_string()).collect();
        complain(&format!("listening on {}", places.join(", ")));
        args.pushing.tell();
    }
    announce(args.ready_file.as_deref())?;
    notify(&[NotifyState::Ready]);
    Ok(())
}

/// Listens where it is told to; else where it usually does, the UNIX socket only where that can be had.
fn listen(args: &Args) -> Result<Vec<Bound>, Failure> {
    let at = |address: &Address| {
        Bound::at(address).map_err(|error| Failure::new(error.to_string()).hint(error.hint()))
    };
    if !args.listen.is_empty() {
        return args.listen.iter().map(at).collect();
    }
    let [tcp, unix] = LISTEN.map(str::parse::<Address>);
    let [tcp, unix] = [tcp.map_err(Failure::new)?, unix.map_err(Failure::new)?];
    let mut bound = vec![at(&tcp)?];
    let folder = match &unix {
        Address::Unix(path) => path.parent(),
        Address::Tcp(_) => None,
    };
    let made = folder.map_or(Ok(()), |folder| match std::fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(reason(&error)),
        _ => Ok(()),
    });
    let also = made.and_then(|()| Bound::at(&unix).map_err(|error| error.to_string()));
    match also {
        Ok(one) => bound.push(one),
        Err(told) if !args.loudness.quiet => {
            complain(&format!("{told}: `report --last` needs --server {tcp}"));
        }
        Err(_) => {}
    }
    Ok(bound)
}
