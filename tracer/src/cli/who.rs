//! `portscope who`: who has a port.

use std::path::Path;

use super::{
    Failure,
    exit::{json, say},
    filters,
    options::{Color, Format, Loudness, format},
};
use crate::{
    event::Port,
    output::who::text,
    pipeline::{host::ThisHost, survey::Survey, who::document},
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
    let wanted = Wanted { only: filters::namespaces(&args.netns)?, ..Wanted::default() };
    let survey = Survey::bare(&ThisHost::new(Path::new("/proc")), &wanted)?;
    filters::all_found(wanted.only.as_deref(), &survey.stock)?;
    let who = document(&survey, &args.ports, Path::new("/proc"))?;
    match args.output {
        Format::Json => say(&json(&who)?),
        Format::Text | Format::Csv | Format::Html => say(&text(&who, args.color.on_stdout())),
    }
}
