//! Names stacks on a thread of its own: a large executable takes its time.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use blazesym::symbolize::Symbolizer;
use rustc_hash::FxHashMap;

use super::{Addresses, Frame, Outcome};
use crate::event::{Pid, StartTime};

/// How long to wait for names at the end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Files are opened anew after so many stacks: what was read of them is not kept forever.
const KEEP: usize = 256;

/// Which stack: the process, its start, and the number of the stack.
type Key = (Pid, Option<StartTime>, u32);

/// A stack with the names that could be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Path of the executable.
    pub exe: Option<String>,
    /// From the call outwards.
    pub frames: Vec<Frame>,
    /// What became of the names.
    pub outcome: Outcome,
}

/// Takes addresses and has them named.
#[derive(Debug)]
pub struct Namer {
    jobs: Sender<(Key, Addresses)>,
    named: Arc<Mutex<FxHashMap<Key, Named>>>,
    known: FxHashMap<Key, Addresses>,
}

impl Namer {
    /// Begins; the thread takes over the rights of this one.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn begin(proc_root: PathBuf) -> io::Result<Self> {
        let (jobs, orders) = mpsc::channel();
        let named = Arc::new(Mutex::new(FxHashMap::default()));
        let shared = Arc::clone(&named);
        thread::Builder::new().name("symbols".into()).spawn(move || work(&orders, &shared, &proc_root))?;
        Ok(Self { jobs, named, known: FxHashMap::default() })
    }

    /// Whether a stack is known already.
    #[must_use]
    pub fn knows(&self, pid: Pid, start: Option<StartTime>, stack: u32) -> bool {
        self.known.contains_key(&(pid, start, stack))
    }

    /// How many are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// Has a stack named.
    pub fn name(&mut self, stack: u32, addresses: Addresses) {
        let key = (addresses.pid, addresses.start, stack);
        self.known.insert(key, addresses.clone());
        // Without its thread the addresses stay bare.
        let _gone = self.jobs.send((key, addresses));
    }

    /// Waits until all are named, but not forever.
    pub fn settle(&self) {
        let end = Instant::now() + PATIENCE;
        while locked(&self.named).len() < self.known.len() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A stack; none where it was never asked for.
    #[must_use]
    pub fn named(&self, pid: Pid, start: Option<StartTime>, stack: u32) -> Option<Named> {
        let key = (pid, start, stack);
        let named = locked(&self.named).get(&key).cloned();
        named.or_else(|| Some(Named { frames: self.known.get(&key)?.bare(), ..Named::default() }))
    }
}

fn work(
    orders: &Receiver<(Key, Addresses)>,
    named: &Mutex<FxHashMap<Key, Named>>,
    proc_root: &std::path::Path,
) {
    let mut symbolizer = Symbolizer::new();
    for (done, (key, addresses)) in orders.iter().enumerate() {
        if done % KEEP == KEEP - 1 {
            symbolizer = Symbolizer::new();
        }
        let told = addresses.name(proc_root, &symbolizer);
        locked(named).insert(key, told);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
