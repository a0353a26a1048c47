//! `portscope top`: who takes the ports, who is refused, as it happens, on the whole screen.

mod input;
mod live;
mod rates;
mod screen;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use self::{
    live::{Face, Live, Pace},
    screen::Screen,
};
use super::{
    Failure,
    exit::{reason, say},
    filters::Filters,
    options::{Color, KernelOptions, Loudness},
    picture::speaks_utf8,
    place::{Place, failure},
    session::{Session, account_line, announce, tell_astray},
    words,
};
use crate::{
    enrich::Processes,
    kernel::{Armed, Backend, Settings, facts},
    output::{escape, report::grouped},
    pipeline::{
        self, Gatherer, Intake, Shown, Sliding, Until,
        conclude::{Conclusion, Watched, conclude},
        host::ThisHost,
        survey::Survey,
    },
    stats::By,
    stock::Wanted,
    tui::{Look, Ui},
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
costs, prints commands and runs none; when it ends it prints the verdict on the whole time.";

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
    /// Colour; all is told without it, too
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
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    check(args)?;
    // A log on the terminal that shows the screen would write over it.
    if args.batch || !io::stderr().is_terminal() {
        args.loudness.start_log();
    }
    let settings = settings(args)?;
    let mut place = Place::open(None)?;
    let before = Survey::bare(&ThisHost::new(Path::new("/proc")), &Wanted::default())?;
    let filters = args.filters.told(false);
    let Session { mut armed, runtime, signals, spaces, frame } =
        Session::open(&settings, filters, args.loudness.quiet, &place, Some(&before.stock))?;
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        misses: armed.backend() == Backend::Kprobe,
        ..Shown::default()
    };
    let intake = Intake::new(Processes::new(Path::new("/proc")), spaces, shown);
    let gatherer = Gatherer::new(intake, pipeline::window(settings.explicit, false), Path::new("/proc"));
    let stock = Arc::new(before.stock);
    let watched = Watched {
        header: pipeline::header(&armed, &frame),
        by: By::Program,
        interval: None,
        before: Arc::clone(&stock),
        command: None,
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
    let rhythm = Pace { every: args.interval, most: args.count };
    let mut live = Live::new(gatherer, sliding, watched.clone(), ui(args), face, inputs, rhythm);
    announce(args.ready_file.as_deref())?;
    let ended = runtime.block_on(pipeline::run(
        &mut armed,
        &mut live,
        &mut place,
        signals,
        Until::after(args.duration),
        |live, _| {
            live.hurry();
            Ok(())
        },
    ));
    // The terminal is given back first, whatever is to be said.
    let rest = live.close();
    // Where that is gone, nothing can be said any more.
    let Some((gatherer, sliding)) = rest.map_err(|error| no_screen(&error))? else { return Ok(()) };
    ended.map_err(|error| failure(&place, error))?;
    place.close()?;
    if args.batch || args.loudness.quiet {
        return Ok(());
    }
    conclude_all(&armed, gatherer, sliding, watched)
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

fn settings(args: &Args) -> Result<Settings, Failure> {
    let cgroup2 = facts::cgroup2_mount()?;
    Ok(Settings {
        backend: args.kernel.backend,
        btf: args.kernel.btf.clone(),
        buffer_bytes: args.kernel.buffer,
        // As `report` does: bind before connect is seen by them.
        explicit: true,
        releases: false,
        count_only: false,
        filter: args.filters.in_kernel(false, cgroup2.as_deref())?,
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
    let verdict = &report.verdict;
    let finding = verdict.finding.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
    let totals = &report.totals.counted;
    let done = say(&format!(
        "{}  {}{finding}\n{} ports asked for in {:.1} s, {} refused; {}\n",
        verdict.word,
        escape(&verdict.reason),
        grouped(totals.allocations),
        report.window.seconds,
        grouped(totals.failures),
        account_line(&accounts),
    ));
    tell_astray(accounts.astray);
    // A terminal that is gone by now takes nothing more.
    done.or(Ok(()))
}
