//! A dump: the window in a file of its own, written while the recording goes on.

use std::{
    io,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use crate::{
    enrich::{Clock, monotonic_now},
    pipeline::{
        capture,
        host::{Host as _, ThisHost},
    },
    recording::{Dumps, End, Note, Opening, Splice, Writer},
    stock::Wanted,
};

type Dumped = io::Result<PathBuf>;

/// Writes dumps, one at a time.
#[derive(Debug)]
pub(super) struct Dumper {
    dumps: Dumps,
    job: Option<JoinHandle<Dumped>>,
}

impl Dumper {
    pub(super) fn new(dumps: Dumps) -> Self {
        Self { dumps, job: None }
    }

    /// Begins one of what was recorded until now; `end` closes its accounts.
    pub(super) fn begin(
        &mut self,
        why: &str,
        recorded: io::Result<Splice>,
        end: End,
        opening: &Opening,
        tell: fn(&str, bool),
    ) {
        if self.job.is_some() {
            tell("a dump is being written already", true);
            return;
        }
        let recorded = match recorded {
            Ok(recorded) if !recorded.is_empty() => recorded,
            Ok(_) => return tell("nothing was recorded in the window: there is nothing to dump", false),
            Err(error) => return tell(&failed(&error), false),
        };
        let (dumps, opening, why) = (self.dumps.clone(), opening.clone(), why.to_owned());
        let spawned = thread::Builder::new()
            .name("dump".into())
            .spawn(move || write(&dumps, recorded, end, &opening, &why));
        match spawned {
            Ok(job) => self.job = Some(job),
            Err(error) => tell(&failed(&error), false),
        }
    }

    /// Says so when one has been written.
    pub(super) fn look(&mut self, tell: fn(&str, bool)) {
        if self.job.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end(tell);
        }
    }

    /// Waits for one that is being written.
    pub(super) fn end(&mut self, tell: fn(&str, bool)) {
        let Some(job) = self.job.take() else { return };
        match job.join() {
            Ok(Ok(path)) => tell(&format!("dumped to {}", path.display()), true),
            Ok(Err(error)) => tell(&failed(&error), false),
            Err(_) => tell("the dump failed", false),
        }
    }
}

fn failed(error: &io::Error) -> String {
    let text = error.to_string();
    format!("the dump cannot be written: {}", text.split(" (os error").next().unwrap_or_default())
}

fn write(dumps: &Dumps, mut recorded: Splice, end: End, opening: &Opening, why: &str) -> Dumped {
    let mut notes = Vec::new();
    let host = ThisHost::new(Path::new("/proc"));
    match host.stock(&Wanted::default()).and_then(|stock| capture(&host, stock)) {
        Ok(scene) => notes.push(Note::Scene(Box::new(scene))),
        Err(error) => log::warn!("the sockets at the end are not in the dump: {error}"),
    }
    notes.push(Note::End(Box::new(end)));
    let mut rest = Vec::new();
    Writer::postscript(opening, &notes, &mut rest).map_err(io::Error::other)?;
    dumps.write(Clock::sample().utc(monotonic_now()), why, &mut recorded, &rest)
}
