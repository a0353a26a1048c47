//! Reports on the way: drawn up on a thread of their own, so that the reader of the ring never waits.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustc_hash::FxHashMap;

use super::{
    accounts::since,
    conclude::{Conclusion, Watched, conclude},
    gather::{Gathered, Gatherer, absorb},
    host::ThisHost,
    look::Peaks,
};
use crate::{
    enrich::monotonic_now,
    kernel::{
        Armed, KernelError,
        counts::{Cell, Tally},
    },
    output::records::Accounting,
    stock::{Stock, StockError},
};

/// Why there is no report on the way.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The host could not be looked at.
    #[error(transparent)]
    Stock(StockError),
    /// Its thread failed.
    #[error("its thread failed")]
    Thread,
}

/// A report that is being drawn up.
#[derive(Debug)]
pub struct Draft(JoinHandle<Result<Conclusion, StockError>>);

impl Draft {
    /// Begins with it.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn begin(gathered: Gathered, watched: Watched, proc_root: PathBuf) -> io::Result<Self> {
        let draw = move || conclude(&gathered, watched, &ThisHost::new(&proc_root));
        thread::Builder::new().name("draft".into()).spawn(draw).map(Self)
    }

    /// Whether it is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for it.
    ///
    /// # Errors
    ///
    /// The host could not be looked at.
    pub fn wait(self) -> Result<Conclusion, DraftError> {
        self.0.join().map_err(|_panic| DraftError::Thread)?.map_err(DraftError::Stock)
    }
}

/// What was told at the end of the interval before.
#[derive(Debug)]
pub struct Intervals {
    number: u32,
    accounting: Accounting,
    tallies: Vec<Tally>,
    command_cpu_ns: Option<u64>,
    /// The stock at the end of the interval before.
    pub stock: Arc<Stock>,
}

impl Intervals {
    /// Begins the first one.
    pub fn begin(gatherer: &mut Gatherer, stock: Arc<Stock>) -> Self {
        gatherer.begin_interval(gatherer.stats().settings().start);
        let accounting = Accounting::default();
        Self { number: 0, accounting, tallies: Vec::new(), command_cpu_ns: None, stock }
    }

    /// Ends an interval and begins the next one: what was counted in it, and what was watched.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell what was lost.
    pub fn cut(
        &mut self,
        gatherer: &mut Gatherer,
        armed: &Armed,
        watched: Watched,
    ) -> Result<(Gathered, Watched), KernelError> {
        let at = monotonic_now();
        let (accounts, tallies) = gatherer.account(armed)?;
        let accounting = accounts.accounting();
        let lost = risen(&tallies, &self.tallies);
        self.tallies = tallies;
        let all = gatherer.stats().copy();
        let (mut stats, peaks) =
            gatherer.begin_interval(at).unwrap_or_else(|| (all.clone(), Peaks::default()));
        absorb(&mut stats, &lost);
        self.number = self.number.saturating_add(1);
        let cpu_before = std::mem::replace(&mut self.command_cpu_ns, watched.command_cpu_ns);
        let watched = Watched {
            interval: Some(self.number),
            before: Arc::clone(&self.stock),
            command_cpu_ns: watched.command_cpu_ns.map(|now| now.saturating_sub(cpu_before.unwrap_or(0))),
            ..watched
        };
        let part = Gathered {
            stats,
            before: Some(Arc::new(all)),
            peaks,
            series: gatherer.series().clone(),
            accounting: since(&accounting, &self.accounting),
            at,
        };
        self.accounting = accounting;
        Ok((part, watched))
    }
}

/// By how much tallies have risen.
pub(super) fn risen(now: &[Tally], before: &[Tally]) -> Vec<Tally> {
    let key = |tally: &Tally| (tally.pid, tally.cell.index());
    let before: FxHashMap<_, u64> = before.iter().map(|tally| (key(tally), tally.cell.count)).collect();
    now.iter()
        .map(|tally| {
            let had = before.get(&key(tally)).copied().unwrap_or(0);
            Tally { cell: Cell { count: tally.cell.count.saturating_sub(had), ..tally.cell }, ..*tally }
        })
        .filter(|tally| tally.cell.count != 0)
        .collect()
}
