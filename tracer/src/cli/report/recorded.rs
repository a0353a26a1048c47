//! `portscope report -r FILE`: the same from a recording.

use super::{
    super::{
        Failure,
        concluded::{Question, concluded},
        reading::Recording,
    },
    Args, place, teller, write,
};
use crate::pipeline::Between;

/// Tells what a recording means.
pub(super) fn tell(args: &Args, mut recording: Recording) -> Result<u8, Failure> {
    check(args)?;
    super::check(args)?;
    recording.has_releases(args.releases)?;
    let between = match args.last {
        Some(last) => args.reading.last(last, recording.opening())?,
        None => args.reading.between(recording.opening(), false)?,
    };
    let question = Question {
        between: Between { explicit: true, releases: args.releases, ..between },
        filters: &args.filters,
        by: args.by,
        is_quiet: args.loudness.quiet,
    };
    let mut place = place(args)?;
    let mut conclusion = concluded(&mut recording, &question, &mut place)?.conclusion;
    write(args, &teller(args), &mut conclusion, &mut place, Vec::new())?;
    Ok(args.fail.status(&conclusion.findings).unwrap_or(0))
}

/// What makes no sense with a recording.
fn check(args: &Args) -> Result<(), Failure> {
    args.reading.refuse_kernel(&args.kernel)?;
    args.reading.refuse("--duration", args.duration.is_some(), "--from and --to choose the time")?;
    args.reading.refuse(
        "--interval",
        args.interval.is_some(),
        "its sockets are those of now and then; -o html shows the course, --from and --to a part of it",
    )?;
    args.reading.refuse(
        "--stack",
        args.stack.is_some(),
        "a recording has no stacks: names are to be had only while a process lives",
    )?;
    args.reading.refuse("--all", args.all, "what was recorded is in it")?;
    args.reading.refuse("a command", !args.command.is_empty(), "record it: record -w FILE -- CMD")
}
