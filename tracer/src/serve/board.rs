//! Where the thread that gathers puts down what it knows, and others read it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    output::metrics::{Served, Snapshot},
    pipeline::conclude::Conclusion,
};

/// The gatherer looks at the board some twenty times a second; it is taken for stuck when it has not for so long.
const ALIVE: Duration = Duration::from_secs(5);

/// A report that nobody has yet is wanted.
#[derive(Debug)]
pub struct Question {
    /// On so much of the past.
    pub last: Duration,
    /// Who wants it; a sentence where it cannot be had.
    pub reply: oneshot::Sender<Result<Conclusion, String>>,
}

/// What is put down at once.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) conclusion: Arc<Conclusion>,
}

/// The board.
#[derive(Debug)]
pub struct Board {
    published: Mutex<Option<Published>>,
    /// Milliseconds from `begun` to when the gatherer looked last.
    seen_ms: AtomicU64,
    begun: Instant,
    answered: AtomicU64,
    rejected: AtomicU64,
    questions: Sender<Question>,
}

impl Board {
    /// With nothing on it; and where questions come out.
    #[must_use]
    pub fn new() -> (Arc<Self>, Receiver<Question>) {
        let (questions, asked) = channel();
        let board = Self {
            published: Mutex::default(),
            seen_ms: AtomicU64::new(0),
            begun: Instant::now(),
            answered: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            questions,
        };
        (Arc::new(board), asked)
    }

    /// Puts down figures and the conclusion that they rest on, in the place of those before.
    pub fn publish(&self, snapshot: Snapshot, conclusion: Conclusion) {
        let (snapshot, conclusion) = (Arc::new(snapshot), Arc::new(conclusion));
        *self.lock() = Some(Published { snapshot, conclusion });
    }

    /// The gatherer is at work.
    pub fn alive(&self) {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.seen_ms.store(passed, Ordering::Relaxed);
    }

    /// How long the gatherer has not been seen, if that is too long.
    pub(super) fn stuck(&self) -> Option<Duration> {
        let seen = Duration::from_millis(self.seen_ms.load(Ordering::Relaxed));
        Some(self.begun.elapsed().saturating_sub(seen)).filter(|passed| *passed >= ALIVE)
    }

    pub(super) fn published(&self) -> Option<Published> {
        self.lock().clone()
    }

    /// Asks the gatherer; false where it is gone.
    pub(super) fn ask(&self, question: Question) -> bool {
        self.questions.send(question).is_ok()
    }

    pub(super) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn served(&self) -> Served {
        Served {
            answered: self.answered.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
        }
    }

    /// What is on it is replaced as a whole: it is sound whoever panicked.
    fn lock(&self) -> MutexGuard<'_, Option<Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
