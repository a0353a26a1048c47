//! `portscope check`: what the host looks like now, without tracing.

mod hooks;
mod ranges;
mod rate;

use std::path::{Path, PathBuf};

use super::{
    Failure,
    exit::{complain, json, say},
    fail::FailOptions,
    filters,
    options::{Color, Format, KernelOptions, Loudness, format},
    picture::MapOptions,
    place::Place,
    words,
};
use crate::{
    findings::judge,
    output::{
        check::{Look, text},
        records::Check,
    },
    pipeline::{
        Outlet as _,
        check::{bundle, document},
        host::ThisHost,
        survey::{Nothing, Survey},
    },
    stock::Wanted,
};

/// Options of `check`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Try every backend, and tell hook by hook what this kernel makes of it
    #[arg(long, conflicts_with_all = ["ranges", "rate_check", "netns"])]
    hooks: bool,
    /// The well-known port ranges beside those of this host
    #[arg(long, conflicts_with = "rate_check")]
    ranges: bool,
    /// Would this many connects a second fit (2000/s)? With --to and --hold; exit status 0 if they do, 3 if not
    #[arg(long, value_name = "RATE", requires = "to", requires = "hold", value_parser = words::rate)]
    rate_check: Option<f64>,
    /// The destination of --rate-check
    #[arg(long, value_name = "IP:PORT", requires = "rate_check")]
    to: Option<std::net::SocketAddr>,
    /// How long each connection of --rate-check bars its port, TIME_WAIT included (60s)
    #[arg(long, value_name = "TIME", requires = "rate_check", value_parser = words::duration)]
    hold: Option<std::time::Duration>,
    /// Look at these network namespaces only: inode number, process id, path, or name
    #[arg(short = 'N', long, value_name = "NETNS")]
    netns: Vec<String>,
    /// Write the evidence for a ticket to this file, too: all settings, pools and counts of sockets, as JSON; no
    /// arguments of processes, no environment
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hooks", "ranges", "rate_check"])]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    map: MapOptions,
    #[command(flatten)]
    fail: FailOptions,
    /// Output format: text, json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    /// Show the time in UTC
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    kernel: KernelOptions,
}

/// Runs it; the exit status.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    args.loudness.start_log();
    if args.hooks {
        return hooks::run(args.output, args.loudness.verbose > 0, &args.kernel).map(|()| 0);
    }
    if args.output == Format::Csv {
        return Err(Failure::usage("check has no csv: there are text and json"));
    }
    if args.ranges {
        return ranges::run(args.output, &args.netns).map(|()| 0);
    }
    if let (Some(rate), Some(to), Some(hold)) = (args.rate_check, args.to, args.hold) {
        return rate::run(args.output, &args.netns, rate, to, hold);
    }
    args.map.check(args.output)?;
    let only = filters::namespaces(&args.netns)?;
    let wanted = Wanted { only, ..Wanted::default() };
    let survey = Survey::take(&ThisHost::new(Path::new("/proc")), &wanted, &mut Nothing)?;
    filters::all_found(wanted.only.as_deref(), &survey.stock)?;
    let judgement = judge(&survey.case(None, None));
    let told = document(&survey, &judgement);
    tell(args, &told)?;
    say(&args.map.draw(survey.map(|_, _| true), args.color, false))?;
    if let Some(path) = &args.bundle {
        keep(path, &bundle(&survey, told, Path::new("/proc")))?;
        if !args.loudness.quiet {
            complain(&format!("the evidence is in {}: read it before you hand it on", path.display()));
        }
    }
    Ok(args.fail.status(&judgement.findings).unwrap_or(0))
}

fn tell(args: &Args, check: &Check) -> Result<(), Failure> {
    match args.output {
        Format::Json => say(&json(check)?),
        Format::Text | Format::Csv | Format::Html => {
            let look = Look { color: args.color.on_stdout(), utc: args.utc, all: args.loudness.verbose > 0 };
            say(&text(check, look))
        }
    }
}

fn keep(path: &Path, bundle: &crate::output::records::Bundle) -> Result<(), Failure> {
    let mut place = Place::open(Some(path))?;
    let mut bytes = json(bundle)?.into_bytes();
    place.flush(&mut bytes).map_err(|error| place.failure(&error))?;
    place.close()
}
