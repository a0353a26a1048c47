//! `record --ring`: the last part of a recording, in a folder, and dumps of it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    super::{
        Failure, command,
        exit::{complain, reason},
        place::{Place, failure},
        rights::shed,
        session::{announce, closing_lines, interim, tell_astray},
        words,
    },
    Args, Begun,
};
use crate::{
    pipeline::{self, Flight, FlightPlan, Flown, Recorder, Trigger, Until},
    privileges::Needs,
    recording::{Bounds, Dumps, Folder, FolderError},
};

/// The smallest ring: a segment is a sixteenth of it.
const LEAST: u64 = 4 << 20;

/// Options of a flight recorder.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Flight recorder")]
pub(super) struct RingArgs {
    /// Keep the last part alone, in segments that together take no more than this (512MiB); -w names a directory
    #[arg(long, value_name = "SIZE", value_parser = ring_size)]
    ring: Option<u64>,
    /// Drop segments that are older than this, too (24h)
    #[arg(long, value_name = "TIME", requires = "ring", value_parser = words::duration)]
    keep: Option<Duration>,
    /// Dump the window when a report would tell this finding (PS001), or when more allocations fail within it
    /// ('failures>N') or in a second ('failures>N/s') than that; SIGUSR1 does so at any time
    #[arg(long, value_name = "REASON,…", requires = "ring", value_delimiter = ',')]
    dump_on: Vec<Trigger>,
    /// How far a dump reaches back
    #[arg(long, value_name = "TIME", requires = "ring", default_value = "5m", value_parser = window)]
    window: Duration,
    /// Where dumps go; `dumps` in the directory of the ring, if nothing is said
    #[arg(long, value_name = "DIR", requires = "ring")]
    dump_dir: Option<PathBuf>,
    /// How many dumps are kept; the oldest makes room
    #[arg(long, value_name = "N", requires = "ring", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..))]
    keep_dumps: u16,
}

fn ring_size(word: &str) -> Result<u64, String> {
    match words::size(word)? {
        size if size < LEAST => Err(format!("'{word}' is too small for a ring: give at least 4MiB")),
        size => Ok(size),
    }
}

fn window(word: &str) -> Result<Duration, String> {
    match words::duration(word)? {
        window if window < Duration::from_secs(1) => {
            Err(format!("'{word}' is too short for a window: give at least 1s"))
        }
        window => Ok(window),
    }
}

impl RingArgs {
    /// Whether only the last part is to be kept.
    pub(super) fn is_wanted(&self) -> bool {
        self.ring.is_some()
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        match &error {
            FolderError::Unusable { path, source } => {
                Self::new(format!("cannot keep recordings in {}: {}", path.display(), reason(source)))
            }
            FolderError::NoFolder { .. } => {
                Self::usage(error.to_string()).hint("with --ring, -w names a directory")
            }
            FolderError::Taken { .. } => {
                Self::new(error.to_string()).hint("give this one another directory, or end the other one")
            }
        }
    }
}

/// Records until it is to end.
pub(super) fn record(args: &Args) -> Result<u8, Failure> {
    let RingArgs { ring, keep, dump_on, window, dump_dir, keep_dumps } = &args.ring;
    let size = ring.unwrap_or(LEAST);
    if args.write == Path::new("-") {
        return Err(Failure::usage("a ring is kept in a directory, not on standard output")
            .hint("give it one: -w DIR"));
    }
    let folder = Folder::open(&args.write, Bounds { size, keep: *keep, window: *window })?;
    let dumps_folder = dump_dir.clone().unwrap_or_else(|| args.write.join("dumps"));
    let dumps = Dumps::open(&dumps_folder, usize::from(*keep_dumps))?;
    let mut place = Place::Stdout;
    let Begun { mut armed, runtime, signals, command, intake, opening, scene } = super::begin(args, &place)?;
    let mut out = Vec::new();
    let recorder = Recorder::begin(intake, opening, scene, Path::new("/proc"), &mut out);
    let recorder = recorder.map_err(|error| super::unwritable(&error))?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let tell = if args.loudness.quiet { quietly } else { aloud };
    let plan = FlightPlan { size, window: *window, triggers: dump_on.clone(), boot, tell };
    let flight = Flight::begin(recorder, &out, folder, dumps, plan);
    let mut flight = flight.map_err(|error| Failure::write(&args.write.display().to_string(), &error))?;
    announce(args.ready_file.as_deref())?;
    let mut load =
        runtime.block_on(async { command.start(&args.command, flight.recorder().intake(), None) })?;
    let mut written: Vec<&Path> = vec![&args.write, &dumps_folder];
    written.extend(command.above());
    shed(&armed, &Needs { directories: &written, has_command: load.is_some() });
    let until = match &mut load {
        Some(load) => Until::load(load, args.duration),
        None => Until::after(args.duration),
    };
    let ended = runtime
        .block_on(pipeline::run(&mut armed, &mut flight, &mut place, signals, until, |flight, armed| {
            interim(&pipeline::Consumer::accounts(flight, &armed.counts()?));
            flight.dump("asked", armed)
        }))
        .map_err(|error| failure(&place, error))?;
    let told = command.end(flight.recorder().intake(), ended);
    let flown = flight.finish(&armed, (told, command.cpu_ns()))?;
    finish(args, flown)?;
    Ok(command::own_status(ended))
}

fn finish(args: &Args, flown: Flown) -> Result<(), Failure> {
    let Flown { accounts, unwritten, unended, failed } = flown;
    let name = args.write.display();
    if !args.loudness.quiet {
        complain(&format!("recorded to {name}: {}", closing_lines(&accounts)));
    }
    if unwritten != 0 {
        complain(&format!("of the lost, {unwritten} could not be written"));
    }
    tell_astray(accounts.astray);
    match (failed, unended) {
        (Some(error), _) => Err(super::unwritable(&error)),
        (None, Some(error)) => {
            Err(Failure::new(format!("the last segment in {name} has no end: {}", reason(&error)))
                .hint("what was written before can be read"))
        }
        (None, None) => Ok(()),
    }
}

fn aloud(line: &str, _is_news: bool) {
    complain(line);
}

fn quietly(line: &str, is_news: bool) {
    if !is_news {
        complain(line);
    }
}
