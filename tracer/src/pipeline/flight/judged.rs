//! What a report on the last minute would find, from the recording that is being made.

use std::{
    io::{self, BufReader},
    path::Path,
    sync::Arc,
};

use crate::{
    enrich::Processes,
    event::MonoNs,
    findings::Finding,
    pipeline::{
        Between, Gatherer, Intake, Outlet, Shown, Spaces,
        conclude::{Watched, conclude},
        host::ThisHost,
        replay, window_at,
    },
    recording::{Chain, Reader, Splice},
    stats::By,
};

/// Takes nothing.
struct Nowhere;

impl Outlet for Nowhere {
    fn flush(&mut self, gathered: &mut Vec<u8>) -> io::Result<()> {
        gathered.clear();
        Ok(())
    }
}

/// The findings of the time since then. Not on a thread that must not wait.
pub(super) fn findings(recorded: Splice, since: MonoNs) -> Result<Vec<Finding>, String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    let reader = Reader::open(BufReader::new(recorded)).map_err(|error| told(&error))?;
    let opening = reader.opening().clone();
    let mut chain = Chain::of("the segments".to_owned(), reader);
    let facts = &opening.facts;
    let spaces = Spaces::told(facts.range_takes_every_port);
    let intake = Intake::new(Processes::told(), spaces, Shown::default());
    let window = window_at(since.max(facts.start), true, facts.releases);
    let mut gatherer = Gatherer::of_recording(intake, window);
    let between = Between { from: Some(since), to: None, explicit: true, releases: facts.releases };
    let mut replayed =
        replay(&mut chain, &between, &mut gatherer, &mut Nowhere).map_err(|error| told(&error))?;
    let (tallies, unjudged) = replayed.tallies(None);
    let accounts = replayed.accounts(gatherer.intake(), &tallies, unjudged, false);
    let before = replayed.before.take().ok_or("there are no sockets in it")?;
    let watched = Watched {
        header: opening.header,
        by: By::Pid,
        interval: None,
        before: Arc::new(before.stock),
        command: None,
        command_cpu_ns: None,
    };
    let all = gatherer.into_gathered(replayed.at, accounts.accounting(), &tallies);
    // As it is now: who holds the ports is to be known before they let go.
    let conclusion =
        conclude(&all, watched, &ThisHost::new(Path::new("/proc"))).map_err(|error| told(&error))?;
    Ok(conclusion.findings)
}
