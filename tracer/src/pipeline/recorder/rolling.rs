//! One recording in several files, each of which reads alone; and one whose bytes were not all written.

use std::{thread, time::Instant};

use arrow_schema::ArrowError;

use super::Recorder;
use crate::{
    enrich::{Clock, Rfc3339},
    kernel::{Armed, KernelError},
    pipeline::{capture, host::Host as _},
    recording::{End, Note, Opening, SceneNote},
    stock::Wanted,
};

impl Recorder {
    /// From here on every scene is to begin a file.
    #[must_use]
    pub fn in_files(self) -> Self {
        Self { rolls: true, ..self }
    }

    /// What the file began with that is being written.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The scene that a file can begin with now; none before one was taken.
    pub fn fresh_scene(&mut self) -> Option<SceneNote> {
        self.fresh.take()
    }

    /// A scene is wanted ahead of time: with a look of its own, as those for the pools may have to rest.
    pub fn hurry_scene(&mut self) {
        if self.scene.is_some() {
            return;
        }
        self.scene_began = Instant::now();
        let host = self.host.clone();
        let take = move || capture(&host, host.stock(&Wanted::default())?);
        let spawned = thread::Builder::new().name("scene".into()).spawn(take);
        self.scene = spawned.inspect_err(|error| log::debug!("no thread: {error}")).ok();
    }

    /// What a file ends with that ends now.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell its counts.
    pub fn ended(&mut self, armed: &Armed) -> Result<End, KernelError> {
        let (_, account) = self.account(armed)?;
        let lost_cells = self.lost_cells(&armed.counts()?);
        Ok(End { account, lost_cells, command: None, command_cpu_ns: None })
    }

    /// Writes what there is, ahead of its time.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.writer.flush(out)
    }

    /// Ends the file that is being written, whose last bytes go to `last`.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn close_file(&mut self, end: &End, last: &mut Vec<u8>) -> Result<(), ArrowError> {
        let moments = self.untold_moments();
        self.writer.note(&Note::Moments { moments })?;
        self.writer.note(&Note::End(Box::new(end.clone())))?;
        self.writer.end_file(last)
    }

    /// Begins another file, which can be read without those before it; `before` was counted until then.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn begin_file(
        &mut self,
        before: End,
        scene: SceneNote,
        first: &mut Vec<u8>,
    ) -> Result<(), ArrowError> {
        self.opening.facts.clock_offset_ns = self.offset_ns;
        self.opening.facts.start = before.account.at;
        let clock = Clock::with_offset(self.offset_ns);
        self.opening.header.started = Rfc3339::text(clock.utc(before.account.at));
        self.writer = self.writer.next(&self.opening, first)?;
        self.processes.clear();
        self.told.clear();
        self.writer.note(&Note::Before(Box::new(before)))?;
        self.state(scene)?;
        let moments = self.untold_moments();
        self.writer.note(&Note::Moments { moments })?;
        self.writer.flush(first)
    }

    /// Tells what is as it is now.
    pub(super) fn state(&mut self, scene: SceneNote) -> Result<(), ArrowError> {
        for config in scene.stock.spaces.iter().filter_map(|space| space.config.as_ref()) {
            self.writer.note(&Note::Config(config.clone()))?;
        }
        self.writer.note(&Note::Scene(Box::new(scene)))
    }

    /// All bytes that came so far have been written.
    pub fn wrote(&mut self) {
        self.kept.copy_from_slice(&*self.written);
    }

    /// The bytes since then never will be: their events are lost. How many these are.
    pub fn could_not_write(&mut self) -> u64 {
        let both = self.written.iter().zip(self.kept.iter());
        let lost = both.map(|(had, kept)| had.saturating_sub(*kept)).sum();
        self.written.copy_from_slice(&*self.kept);
        self.unwritten += lost;
        lost
    }
}
