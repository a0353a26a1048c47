//! `portscope trace`: one line an event.

mod recorded;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Failure,
    filters::Filters,
    options::{Color, Format, KernelOptions, Loudness, format},
    place::{Place, failure},
    reading::Reading,
    rights::shed,
    session::{Session, announce, interim, tell_astray},
    words,
};
use crate::{
    enrich::{Processes, TimeColumn, monotonic_now},
    event::MonoNs,
    kernel::{Armed, Backend, Settings, facts},
    output::{Columns, CsvOutput, Field, JsonOutput, TextOutput, TraceOutput},
    pipeline::{self, Consumer as _, Culprits, Intake, Observer, Outlet as _, Shown, Until},
    privileges::Needs,
};

/// Options of `trace`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Args {
    /// Stop after this long (30s, 500ms, 5m)
    #[arg(short, long, value_name = "TIME", value_parser = words::duration)]
    duration: Option<Duration>,
    /// Stop after this many events
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Show failures only
    #[arg(short = 'x', short_alias = 'E', long)]
    failed: bool,
    /// Show explicit binds that succeed, too (those that fail are always shown)
    #[arg(long)]
    explicit: bool,
    /// Show when each port becomes free again
    #[arg(long)]
    releases: bool,
    /// Show no events, only the counts of each process at the end
    #[arg(long, conflicts_with = "count_collisions")]
    summary_only: bool,
    /// Output format: text, json (JSON Lines), csv
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Show these fields instead of the usual ones (comma list)
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    /// Show times in UTC
    #[arg(long)]
    utc: bool,
    /// Show seconds since the start instead of the time of day
    #[arg(short = 't', long, conflicts_with = "utc")]
    relative: bool,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    kernel: KernelOptions,
    /// Read the events and throw them away: to measure what that costs
    #[arg(long, conflicts_with = "summary_only", hide = true)]
    discard: bool,
    /// Create this file when the hooks are armed
    #[arg(long, value_name = "FILE", hide = true)]
    ready_file: Option<PathBuf>,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    let fields = args
        .fields
        .as_deref()
        .map(Field::parse_list)
        .transpose()
        .map_err(|error| Failure::usage(error.to_string()))?;
    let recordings = args.reading.open_all(args.write.as_deref())?;
    if !recordings.is_empty() {
        return recorded::tell(args, fields.as_deref(), recordings);
    }
    let settings = settings(args)?;
    let mut place = Place::open(args.write.as_deref())?;
    let filters = args.filters.told(args.failed);
    let Session { mut armed, runtime, signals, spaces, frame } =
        Session::open(&settings, filters, args.loudness.quiet, &place, None)?;
    let mut output = output(args, fields, frame.namespaces.list.len() > 1, monotonic_now());
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        pod: args.filters.pod().map(str::to_owned),
        count_only: args.summary_only,
        discard: args.discard,
        misses: armed.backend() == Backend::Kprobe,
        most: args.count,
        sieve: None,
    };
    let intake = Intake::new(Processes::new(Path::new("/proc")), spaces, shown);
    let culprits = Culprits::new(Path::new("/proc"));
    let mut observer = Observer::new(output.as_mut(), intake, culprits);
    let mut text = Vec::new();
    if !args.summary_only || args.output == Format::Json {
        let header = pipeline::header(&armed, &frame);
        observer.output().header(&header, &mut text).map_err(|error| Failure::new(error.to_string()))?;
        place.flush(&mut text).map_err(|error| place.failure(&error))?;
    }
    announce(args.ready_file.as_deref())?;
    shed(&armed, &Needs::default());
    let ended = runtime
        .block_on(pipeline::run(
            &mut armed,
            &mut observer,
            &mut place,
            signals,
            Until::after(args.duration),
            |observer, armed| {
                interim(&observer.accounts(&armed.counts()?));
                Ok(())
            },
        ))
        .map_err(|error| failure(&place, error))?;
    log::info!("ended: {ended:?}");
    finish(args, &armed, &mut observer, &mut place)
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let cgroup2 = facts::cgroup2_mount()?;
    Ok(Settings {
        explicit: args.explicit,
        releases: args.releases,
        count_only: args.summary_only,
        filter: args.filters.in_kernel(args.failed, cgroup2.as_deref())?,
        ..args.kernel.settings()?
    })
}

fn output(
    args: &Args,
    fields: Option<Vec<Field>>,
    many_namespaces: bool,
    start: MonoNs,
) -> Box<dyn TraceOutput> {
    match (args.output, fields) {
        (Format::Json, Some(fields)) => Box::new(JsonOutput::with_fields(fields)),
        (Format::Json, None) => Box::new(JsonOutput::new()),
        (Format::Csv, fields) => {
            let output = fields.map_or_else(CsvOutput::new, CsvOutput::with_fields);
            let is_terminal = args.write.is_none() && io::stdout().is_terminal();
            Box::new(output.for_terminal(is_terminal))
        }
        (Format::Text | Format::Html, fields) => {
            let time = if args.relative {
                TimeColumn::since(start)
            } else if args.utc {
                TimeColumn::utc()
            } else {
                TimeColumn::local()
            };
            let color = args.write.is_none() && args.color.on_stdout();
            Box::new(TextOutput::new(Columns { time, netns: many_namespaces, color, fields }))
        }
    }
}

fn finish(args: &Args, armed: &Armed, observer: &mut Observer<'_>, place: &mut Place) -> Result<(), Failure> {
    let counts = armed.counts()?;
    let accounts = observer.intake().accounts(&counts);
    let tallies = armed.tallies()?;
    let footer = pipeline::footer(
        &accounts,
        &counts,
        if args.summary_only && args.output != Format::Json { &[] } else { &tallies },
        observer.intake().undecodable(),
    );
    let mut text = Vec::new();
    if args.summary_only && args.output == Format::Text {
        text.extend_from_slice(pipeline::per_process(&tallies).as_bytes());
    }
    if !(args.loudness.quiet && args.output == Format::Text) {
        observer.output().footer(&footer, &mut text).map_err(|error| Failure::new(error.to_string()))?;
    }
    place.flush(&mut text).map_err(|error| place.failure(&error))?;
    place.close()?;
    tell_astray(accounts.astray);
    Ok(())
}
