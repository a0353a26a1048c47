//! When the stock is looked at while events come in.

use std::{
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::look::{Look, Peaks};
use crate::stock::StockError;

/// The stock is looked at so often, unless a look takes long: then each is followed by a pause of
/// [`PAUSE_TO_LOOK`] times as long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At most 1 ÷ 25 of a CPU goes into looking.
const PAUSE_TO_LOOK: u32 = 24;

/// A look that has ended.
type Looked = Result<Look, StockError>;

/// Looks at the stock now and then, on a thread of its own.
#[derive(Debug)]
pub(super) struct Looker {
    proc_root: PathBuf,
    look: Option<JoinHandle<Looked>>,
    began: Instant,
    next: Instant,
    /// How long to rest after the last look.
    pause: Duration,
    /// It was looked ahead of time once.
    hurried: bool,
    /// A port was refused for want of one, and nobody has looked since.
    refused: bool,
}

impl Looker {
    pub(super) fn new(proc_root: &Path) -> Self {
        Self {
            proc_root: proc_root.to_owned(),
            look: None,
            began: Instant::now(),
            next: Instant::now() + LOOK_EVERY,
            pause: Duration::ZERO,
            hurried: false,
            refused: false,
        }
    }

    /// A port was refused, perhaps for want of one.
    #[inline]
    pub(super) fn refuse(&mut self, exhausted: bool) {
        self.refused |= exhausted;
    }

    /// Looks if it is time to; what the last look found, once it is done. Pools that were as full in all of `before`
    /// are not looked at more closely.
    pub(super) fn tick(&mut self, before: impl FnOnce() -> Vec<Peaks>) -> Option<Look> {
        match self.look.take() {
            Some(look) if look.is_finished() => return self.looked(look),
            Some(look) => self.look = Some(look),
            None if Instant::now() >= self.next || self.hurries() => self.look(before()),
            None => {}
        }
        None
    }

    fn look(&mut self, before: Vec<Peaks>) {
        self.began = Instant::now();
        self.refused = false;
        let proc_root = self.proc_root.clone();
        // Namespaces are entered there, never on the thread that reads the ring.
        let spawned =
            thread::Builder::new().name("stock".into()).spawn(move || Look::take(&proc_root, &before));
        match spawned {
            Ok(look) => self.look = Some(look),
            Err(error) => log::debug!("no thread to look at the stock: {error}"),
        }
        self.next = self.began + LOOK_EVERY;
    }

    /// Who holds a pool that was just found full may soon be gone: that is looked at ahead of time. At first at once,
    /// then no more often than the pause between looks allows.
    fn hurries(&mut self) -> bool {
        let hurries = self.refused && (!self.hurried || self.began.elapsed() >= self.pause);
        self.hurried |= hurries;
        hurries
    }

    fn looked(&mut self, look: JoinHandle<Looked>) -> Option<Look> {
        let took = self.began.elapsed();
        self.pause = took * PAUSE_TO_LOOK;
        self.next = self.next.max(Instant::now() + self.pause);
        match look.join() {
            Ok(Ok(look)) => return Some(look),
            Ok(Err(error)) => log::debug!("{error}"),
            Err(_) => log::debug!("the look at the stock failed"),
        }
        None
    }
}
