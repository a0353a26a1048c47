//! `portscope diff`: two reports held against each other.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{
    Failure,
    concluded::{Question, concluded},
    exit::{complain, json, reason, say},
    filters::Filters,
    options::{By, Color, Format, Loudness, format},
    place::Place,
    reading,
    rights::confine,
};
use crate::{
    diff::{MOST_BYTES, Reading, Unread, compare, read},
    output::{diff::text, escape},
    pipeline::Between,
    recording::is_recording,
};

/// Options of `diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What was before: a report (`report -o json`), a recording (`record -w FILE`), or a directory of recordings
    #[arg(value_name = "A")]
    before: PathBuf,
    /// What was after
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Output format: text, json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    /// Of recordings, collapse processes by: program (container or unit, and executable), pid, exe, unit, container, pod
    #[arg(long, value_enum, default_value_t)]
    by: By,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    filters: Filters,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    if args.output == Format::Csv {
        return Err(Failure::usage("diff has no csv: there are text and json"));
    }
    confine(None);
    let (before, after) = (open(&args.before, args)?, open(&args.after, args)?);
    if !args.loudness.quiet {
        [&before, &after].into_iter().for_each(tell_document);
    }
    let diff = compare(&before, &after);
    match args.output {
        Format::Json => say(&json(&diff)?),
        Format::Text | Format::Csv | Format::Html => say(&text(&diff, args.color.on_stdout())),
    }
}

/// Says which document of a file was taken, where there are several.
fn tell_document(reading: &Reading) {
    if let Some(which) = reading.document() {
        complain(&format!("{}: comparing {which}", escape(&reading.file)));
    }
}

/// Reads a report, or makes one of a recording.
fn open(path: &Path, args: &Args) -> Result<Reading, Failure> {
    let name = path.display().to_string();
    let name = escape(&name).into_owned();
    if path.is_dir() {
        return recorded(path, name, args);
    }
    let failed = |error: std::io::Error| Failure::new(format!("cannot read {name}: {}", reason(&error)));
    let mut file = File::open(path).map_err(failed)?;
    if is_recording(&mut file).map_err(failed)? {
        return recorded(path, name, args);
    }
    if !args.filters.told(false).is_empty() || args.by != By::default() {
        return Err(Failure::usage(format!(
            "{name} is a report: it cannot be filtered or collapsed any more"
        ))
        .hint("give the filters and --by to `report`, or compare recordings"));
    }
    let mut bytes = Vec::new();
    // One more than is read at most, so that it shows.
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    read(&name, &bytes).map_err(|error: Unread| Failure::new(error.to_string()).hint(error.hint()))
}

/// The report on a recording.
fn recorded(path: &Path, file: String, args: &Args) -> Result<Reading, Failure> {
    let reading = reading::Reading::of(path, None, None);
    let Some(mut recording) = reading.open(None)? else {
        return Err(Failure::new(format!("there is no recording in {file}")));
    };
    let question = Question {
        between: Between {
            explicit: true,
            releases: recording.opening().facts.releases,
            ..Between::default()
        },
        filters: &args.filters,
        by: args.by,
        is_quiet: args.loudness.quiet,
    };
    let report = concluded(&mut recording, &question, &mut Place::Stdout)?.conclusion.report;
    Ok(Reading { file, documents: 1, report })
}
