//! `portscope diff`: two reports held against each other.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{
    Failure,
    exit::{complain, json, reason, say},
    options::{Color, Format, Loudness, format},
    rights::confine,
};
use crate::{
    diff::{MOST_BYTES, Reading, Unread, compare, read},
    output::{diff::text, escape},
};

/// Options of `diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The report before, as `report -o json` writes it
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The report after
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Output format: text, json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    #[command(flatten)]
    loudness: Loudness,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    if args.output == Format::Csv {
        return Err(Failure::usage("diff has no csv: there are text and json"));
    }
    confine(None);
    let (before, after) = (open(&args.before)?, open(&args.after)?);
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

/// Reads a report.
fn open(path: &Path) -> Result<Reading, Failure> {
    let name = path.display().to_string();
    let name = escape(&name).into_owned();
    let failed = |error: std::io::Error| Failure::new(format!("cannot read {name}: {}", reason(&error)));
    let mut bytes = Vec::new();
    // One more than is read at most, so that it shows.
    File::open(path).map_err(failed)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    read(&name, &bytes).map_err(|error: Unread| Failure::new(error.to_string()).hint(error.hint()))
}
