//! What a recording means: for `report -r`, `serve -r` and `diff`.

use std::sync::Arc;

use super::{
    Failure, exit::complain, filters::Filters, options::By, place::Place, reading::Recording,
    session::tell_astray,
};
use crate::{
    enrich::{Clock, Processes, Rfc3339},
    event::MonoNs,
    kernel::counts::Counts,
    output::metrics::SiteCount,
    pipeline::{
        Accounts, Between, Choices, Consumer, Gathered, Gatherer, Intake, Player, Scene, Shown, Sieve,
        Spaces,
        conclude::{Conclusion, Watched, conclude},
        replay, window_at,
    },
    recording::{Note, SceneNote},
};

/// What is asked about a recording.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// The part of it.
    pub(super) between: Between,
    /// The events in that part.
    pub(super) filters: &'a Filters,
    /// How processes are collapsed.
    pub(super) by: By,
    /// Remarks are not wanted.
    pub(super) is_quiet: bool,
}

/// What it means, and that on which it rests.
pub(super) struct Concluded {
    pub(super) conclusion: Conclusion,
    pub(super) gathered: Gathered,
    /// Choices by site, protocol and result.
    pub(super) sites: Vec<SiteCount>,
    /// The clock of the host.
    pub(super) clock: Clock,
}

/// Counts what a recording holds.
struct Counting {
    gatherer: Gatherer,
    choices: Choices,
}

impl Consumer for Counting {
    fn begin_batch(&mut self) {
        self.gatherer.begin_batch();
    }

    fn take(&mut self, record: &[u8], out: &mut Vec<u8>) {
        self.choices.note(record);
        self.gatherer.take(record, out);
    }

    fn end_batch(&mut self) {
        self.gatherer.end_batch();
    }

    fn is_full(&self) -> bool {
        self.gatherer.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        self.gatherer.accounts(counts)
    }
}

impl Player for Counting {
    fn told(&mut self, note: Note) {
        self.gatherer.told(note);
    }

    fn reached(&mut self, at: MonoNs) {
        self.gatherer.reached(at);
    }
}

/// Replays it, and draws the conclusion.
pub(super) fn concluded(
    recording: &mut Recording,
    question: &Question<'_>,
    place: &mut Place,
) -> Result<Concluded, Failure> {
    let &Question { between, filters, by, is_quiet } = question;
    let opening = recording.opening().clone();
    let sieve = filters.in_recording(false, &opening.header)?.map(Sieve::new);
    let [container, pod] = [filters.container(), filters.pod()].map(|id| id.map(str::to_owned));
    let shown = Shown { container, pod, sieve: sieve.clone(), ..Shown::default() };
    let spaces = Spaces::told(opening.facts.range_takes_every_port);
    let intake = Intake::new(Processes::told(), spaces, shown);
    let start = between.from.map_or(opening.facts.start, |from| from.max(opening.facts.start));
    let gatherer = Gatherer::of_recording(intake, window_at(start, true, between.releases));
    let mut counting = Counting { gatherer, choices: Choices::default() };
    let mut told = replay(&mut recording.chain, &between, &mut counting, place)
        .map_err(|error| recording.failure(place, error))?;
    let Counting { mut gatherer, choices } = counting;
    if between.from.is_some_and(|from| from > told.at) {
        let end = Rfc3339::text(told.clock.utc(told.at));
        return Err(Failure::usage(format!(
            "{} goes up to {end}: all of it is earlier than asked for",
            recording.name()
        ))
        .hint("--from +0s, or no --from and no --last, is the whole of it"));
    }
    recording.tell_cut(is_quiet);
    let (tallies, unjudged) = told.tallies(sieve.as_ref());
    recording.tell_unjudged(unjudged);
    let accounts = told.accounts(gatherer.intake(), &tallies, unjudged, sieve.is_some());
    let Some(before) = told.before.take() else {
        return Err(Failure::new("the recording was cut before it told what sockets there were"));
    };
    let stock = Arc::new(before.stock.copy());
    let after = told.after.take().unwrap_or(before);
    if !is_quiet {
        tell_moment(&after, told.at.0, told.clock);
    }
    let mut header = opening.header;
    header.filters.extend(filters.told(false));
    let end = told.end.take().unwrap_or_default();
    let watched = Watched {
        header,
        by: by.into(),
        interval: None,
        before: stock,
        command: end.command,
        command_cpu_ns: end.command_cpu_ns,
    };
    let sites = choices.counts(gatherer.intake(), &tallies);
    let all = gatherer.into_gathered(told.at, accounts.accounting(), &tallies);
    let host = Scene::new(after, told.clock, told.account.cost);
    let conclusion = conclude(&all, watched, &host)?;
    tell_astray(accounts.astray);
    Ok(Concluded { conclusion, gathered: all, sites, clock: told.clock })
}

/// Sockets are recorded now and then: says so where those that a report rests on are not of its end.
fn tell_moment(after: &SceneNote, at: u64, clock: Clock) {
    const NEAR_NS: u64 = 2_000_000_000;
    let of = after.stock.began;
    if of.0.abs_diff(at) > NEAR_NS {
        complain(&format!("pools and holders are those of {}", Rfc3339::text(clock.utc(of))));
    }
}
