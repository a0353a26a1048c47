//! `portscope report -r FILE`: the same from a recording.

use std::sync::Arc;

use super::{
    super::{Failure, exit::complain, reading::Recording, session::tell_astray},
    Args, place, teller, write,
};
use crate::{
    enrich::{Clock, Processes, Rfc3339},
    pipeline::{
        Between, Gatherer, Intake, Scene, Shown, Sieve, Spaces,
        conclude::{Watched, conclude},
        replay, window_at,
    },
    recording::SceneNote,
};

/// Tells what a recording means.
pub(super) fn tell(args: &Args, mut recording: Recording) -> Result<u8, Failure> {
    check(args)?;
    super::check(args)?;
    let opening = recording.opening().clone();
    recording.has_releases(args.releases)?;
    let between =
        Between { explicit: true, releases: args.releases, ..args.reading.between(&opening, false)? };
    let sieve = args.filters.in_recording(false, &opening.header)?.map(Sieve::new);
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        sieve: sieve.clone(),
        ..Shown::default()
    };
    let mut place = place(args)?;
    let spaces = Spaces::told(opening.facts.range_takes_every_port);
    let intake = Intake::new(Processes::told(), spaces, shown);
    let start = between.from.map_or(opening.facts.start, |from| from.max(opening.facts.start));
    let mut gatherer = Gatherer::of_recording(intake, window_at(start, true, args.releases));
    let mut told = replay(&mut recording.chain, &between, &mut gatherer, &mut place)
        .map_err(|error| recording.failure(&place, error))?;
    recording.tell_cut(args.loudness.quiet);
    let (tallies, unjudged) = told.tallies(sieve.as_ref());
    recording.tell_unjudged(unjudged);
    let accounts = told.accounts(gatherer.intake(), &tallies, unjudged, sieve.is_some());
    let Some(before) = told.before.take() else {
        return Err(Failure::new("the recording was cut before it told what sockets there were"));
    };
    let stock = Arc::new(before.stock.copy());
    let after = told.after.take().unwrap_or(before);
    if !args.loudness.quiet {
        tell_moment(&after, told.at.0, told.clock);
    }
    let mut header = opening.header;
    header.filters.extend(args.filters.told(false));
    let end = told.end.take().unwrap_or_default();
    let watched = Watched {
        header,
        by: args.by.into(),
        interval: None,
        before: stock,
        command: end.command,
        command_cpu_ns: end.command_cpu_ns,
    };
    let all = gatherer.into_gathered(told.at, accounts.accounting(), &tallies);
    let host = Scene::new(after, told.clock, told.account.cost);
    let mut conclusion = conclude(&all, watched, &host)?;
    tell_astray(accounts.astray);
    write(args, &teller(args), &mut conclusion, &mut place, Vec::new())?;
    Ok(args.fail.status(&conclusion.findings).unwrap_or(0))
}

/// Sockets are recorded now and then: says so where those that a report rests on are not of its end.
fn tell_moment(after: &SceneNote, at: u64, clock: Clock) {
    const NEAR_NS: u64 = 2_000_000_000;
    let of = after.stock.began;
    if of.0.abs_diff(at) > NEAR_NS {
        complain(&format!("pools and holders are those of {}", Rfc3339::text(clock.utc(of))));
    }
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
    args.reading.refuse("--all", args.all, "what was recorded is in it")?;
    args.reading.refuse("a command", !args.command.is_empty(), "record it: record -w FILE -- CMD")
}
