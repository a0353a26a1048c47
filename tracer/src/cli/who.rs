//! `portscope who`: who has a port.

use std::path::Path;

use jiff::tz::TimeZone;

use super::{
    Failure,
    exit::{json, say},
    filters,
    options::{Color, Format, Loudness, format},
    reading::{Reading, Recording, When, when},
};
use crate::{
    event::Port,
    output::{past, who::text},
    pipeline::{
        host::ThisHost,
        past::{Asked, history},
        survey::Survey,
        who::document,
    },
    stock::Wanted,
};

/// Options of `who`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ports
    #[arg(value_name = "PORT", required = true, value_parser = port)]
    ports: Vec<Port>,
    /// Look into these network namespaces only: inode number, process id, path, or name
    #[arg(short = 'N', long, value_name = "NETNS")]
    netns: Vec<String>,
    /// Output format: text, json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Of a recording: who had it at that moment (as in --from), not all who had it
    #[arg(long, value_name = "WHEN", requires = "read", conflicts_with_all = ["from", "to"], value_parser = when)]
    at: Option<When>,
    /// Of a recording: show times in UTC
    #[arg(long, requires = "read")]
    utc: bool,
    #[command(flatten)]
    reading: Reading,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    #[command(flatten)]
    loudness: Loudness,
}

fn port(word: &str) -> Result<Port, String> {
    let number = word.parse().ok().and_then(Port::new);
    number.ok_or_else(|| format!("'{word}' is no port: give a number from 1 to 65535"))
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    if args.output == Format::Csv {
        return Err(Failure::usage("who has no csv: there are text and json"));
    }
    if let Some(recording) = args.reading.open(None)? {
        return tell_past(args, recording);
    }
    let wanted = Wanted { only: filters::namespaces(&args.netns)?, ..Wanted::default() };
    let survey = Survey::bare(&ThisHost::new(Path::new("/proc")), &wanted)?;
    filters::all_found(wanted.only.as_deref(), &survey.stock)?;
    let who = document(&survey, &args.ports, Path::new("/proc"))?;
    match args.output {
        Format::Json => say(&json(&who)?),
        Format::Text | Format::Csv | Format::Html => say(&text(&who, args.color.on_stdout())),
    }
}

/// The same of a recording: who had it, one after the other.
fn tell_past(args: &Args, mut recording: Recording) -> Result<(), Failure> {
    let opening = recording.opening();
    let zone = if args.utc { TimeZone::UTC } else { TimeZone::system() };
    let asked = Asked {
        ports: args.ports.clone(),
        netns: filters::recorded_namespaces(&args.netns, &opening.header)?,
        at: args.at.map(|at| at.within("--at", opening, &zone)).transpose()?,
        between: args.reading.between(opening, args.utc)?,
    };
    let who = history(&mut recording.chain, &asked).map_err(|error| recording.unreadable(&error))?;
    if let Some(recorded) = &who.recorded
        && recorded.at.as_ref().is_some_and(|at| *at > recorded.to)
    {
        return Err(Failure::usage(format!("--at is after the recording, which ended at {}", recorded.to)));
    }
    recording.tell_cut(args.loudness.quiet);
    match (&who.recorded, args.output) {
        (Some(recorded), Format::Text | Format::Csv | Format::Html) => {
            say(&past::text(&who, recorded, &zone, args.color.on_stdout()))
        }
        _ => say(&json(&who)?),
    }
}
