//! `portscope export`: the events of a recording as a table for other tools.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use super::{
    Failure,
    exit::complain,
    filters::Filters,
    options::Loudness,
    place::Place,
    reading::{Reading, Recording, When, when},
    session::account_line,
};
#[cfg(feature = "parquet")]
use crate::output::ParquetOutput;
use crate::{
    enrich::{Clock, Processes},
    output::{CsvOutput, JsonOutput, TraceOutput},
    pipeline::{Between, Intake, Observer, Outlet as _, Shown, Sieve, Spaces, replay},
};

/// The remark about a recording that was cut.
const CUT: &str = "portscope.cut";

/// Options of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The recording (`portscope record -w FILE`); - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The format of the table
    #[arg(long, value_name = "FORMAT", value_enum)]
    to: Format,
    /// The file to write, complete or not at all; - for standard output
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// Failures only
    #[arg(short = 'x', short_alias = 'E', long)]
    failed: bool,
    /// Begin here: 2026-11-22T03:12:00Z, a time of day (03:12), or +90s from the start
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: Option<When>,
    /// End here
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
    /// --from and --until tell times of day in UTC
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    filters: Filters,
}

/// A format of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The rows of trace -o csv
    Csv,
    /// The lines of trace -o json
    Jsonl,
    /// Columns with types, packed with zstd
    Parquet,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    if args.to == Format::Parquet && args.write == Path::new("-") && io::stdout().is_terminal() {
        return Err(Failure::usage("Parquet is nothing to read on a terminal")
            .hint("give it a file: -w ports.parquet"));
    }
    let mut output = output(args)?;
    let reading = Reading::of(&args.file, args.from, args.until);
    match reading.open([args.write.as_path()])? {
        Some(recording) => export(args, &reading, recording, output.as_mut()),
        None => Ok(()),
    }
}

fn export(
    args: &Args,
    reading: &Reading,
    mut recording: Recording,
    output: &mut dyn TraceOutput,
) -> Result<(), Failure> {
    let opening = recording.opening().clone();
    let between = Between {
        explicit: true,
        releases: true,
        ..reading.between_from_and(&opening, args.utc, "--until")?
    };
    let sieve = args.filters.in_recording(args.failed, &opening.header)?.map(Sieve::new);
    let mut place = Place::replace(&args.write)?;
    let [container, pod] = [args.filters.container(), args.filters.pod()].map(|id| id.map(str::to_owned));
    let shown = Shown { container, pod, sieve: sieve.clone(), ..Shown::default() };
    let intake = Intake::new(Processes::told(), Spaces::told(opening.facts.range_takes_every_port), shown);
    let clock = Clock::with_offset(opening.facts.clock_offset_ns);
    let mut observer = Observer::of_recording(output, intake, clock);
    let mut header = opening.header;
    header.filters.extend(args.filters.told(args.failed));
    let mut out = Vec::new();
    observer.output().header(&header, &mut out).map_err(|error| Failure::new(error.to_string()))?;
    place.flush(&mut out).map_err(|error| place.failure(&error))?;
    let told = replay(&mut recording.chain, &between, &mut observer, &mut place)
        .map_err(|error| recording.failure(&place, error))?;
    recording.tell_cut(args.loudness.quiet);
    if let Some(cut) = recording.cut() {
        observer.output().remark(CUT, &cut);
    }
    let (tallies, unjudged) = told.tallies(sieve.as_ref());
    recording.tell_unjudged(unjudged);
    let accounts = told.accounts(observer.intake(), &tallies, unjudged, sieve.is_some());
    let footer = told.footer(&accounts, &tallies);
    observer.output().footer(&footer, &mut out).map_err(|error| Failure::new(error.to_string()))?;
    place.flush(&mut out).map_err(|error| place.failure(&error))?;
    place.close()?;
    if !args.loudness.quiet {
        complain(&format!("exported to {}: {}", args.write.display(), account_line(&accounts)));
    }
    Ok(())
}

fn output(args: &Args) -> Result<Box<dyn TraceOutput>, Failure> {
    match args.to {
        Format::Csv => {
            let is_terminal = args.write == Path::new("-") && io::stdout().is_terminal();
            Ok(Box::new(CsvOutput::new().for_terminal(is_terminal)))
        }
        Format::Jsonl => Ok(Box::new(JsonOutput::new())),
        Format::Parquet => parquet(),
    }
}

#[cfg(feature = "parquet")]
fn parquet() -> Result<Box<dyn TraceOutput>, Failure> {
    let output = ParquetOutput::new().map_err(|error| Failure::new(error.to_string()))?;
    Ok(Box::new(output))
}

#[cfg(not(feature = "parquet"))]
fn parquet() -> Result<Box<dyn TraceOutput>, Failure> {
    Err(Failure::usage("this portscope was built without Parquet").hint(
        "build it with `--features parquet`, or export to csv or jsonl, which DuckDB and pandas read, too",
    ))
}
