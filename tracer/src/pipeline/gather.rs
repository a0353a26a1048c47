//! Events, all together, to statistics; and the stock beside them, looked at now and then.

use std::{
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use super::{
    Consumer,
    accounts::{Accounts, kind, outcome, protocol},
    intake::{Arrival, Intake},
};
use crate::{
    enrich::monotonic_now,
    event::{Comm, Course, Glimpse, NetnsId, Pid},
    kernel::counts::{Counts, Tally},
    stats::{Lost, Settings, Stats},
    stock::{PoolKey, Pools, PortSet, Stock, StockError, Wanted},
};

/// The stock is looked at so often, unless a look takes long: then each is followed by a pause of
/// [`PAUSE_TO_LOOK`] times as long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At most 1 ÷ 25 of a CPU goes into looking.
const PAUSE_TO_LOOK: u32 = 24;

/// Most ports barred at once, by pool, as far as it was looked.
pub type Peaks = FxHashMap<(NetnsId, PoolKey), u32>;

/// What one look at the stock found.
type Looked = Result<Vec<((NetnsId, PoolKey), u32)>, StockError>;

/// Takes records and counts them.
#[derive(Debug)]
pub struct Gatherer {
    intake: Intake,
    stats: Stats,
    proc_root: PathBuf,
    peaks: Peaks,
    look: Option<JoinHandle<Looked>>,
    began: Instant,
    next: Instant,
}

impl Gatherer {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(intake: Intake, settings: Settings, proc_root: &Path) -> Self {
        Self {
            intake,
            stats: Stats::new(settings),
            proc_root: proc_root.to_owned(),
            peaks: Peaks::default(),
            look: None,
            began: Instant::now(),
            next: Instant::now() + LOOK_EVERY,
        }
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What was taken in.
    #[must_use]
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Most ports barred at once, by pool.
    #[must_use]
    pub fn peaks(&self) -> &Peaks {
        &self.peaks
    }

    /// Adds events of which the kernel half kept the count alone. Once, at the end.
    pub fn absorb(&mut self, tallies: &[Tally]) {
        for tally in tallies {
            self.stats.absorb(&Lost {
                pid: Some(Pid(tally.pid)),
                comm: Some(Comm(tally.comm).lossy().into_owned()),
                kind: kind(tally.cell.kind),
                protocol: protocol(tally.cell.protocol),
                result: outcome(tally.cell.result),
                count: tally.cell.count,
            });
        }
    }

    fn look(&mut self) {
        self.began = Instant::now();
        let proc_root = self.proc_root.clone();
        // Namespaces are entered there, never on the thread that reads the ring.
        let spawned = thread::Builder::new().name("stock".into()).spawn(move || look(&proc_root));
        match spawned {
            Ok(look) => self.look = Some(look),
            Err(error) => log::debug!("no thread to look at the stock: {error}"),
        }
        self.next = self.began + LOOK_EVERY;
    }

    fn looked(&mut self, look: JoinHandle<Looked>) {
        let took = self.began.elapsed();
        self.next = self.next.max(Instant::now() + took * PAUSE_TO_LOOK);
        match look.join() {
            Ok(Ok(found)) => {
                for (key, barred) in found {
                    let most = self.peaks.entry(key).or_insert(0);
                    *most = barred.max(*most);
                }
            }
            Ok(Err(error)) => log::debug!("{error}"),
            Err(_) => log::debug!("the look at the stock failed"),
        }
    }
}

impl Consumer for Gatherer {
    fn begin_batch(&mut self) {
        self.intake.begin_batch();
    }

    fn take(&mut self, record: &[u8], _out: &mut Vec<u8>) {
        let Self { intake, stats, .. } = self;
        if Glimpse::of(record).is_some_and(|glimpse| intake.pass(|| stats.take_more(glimpse))) {
            return;
        }
        intake.take(record, |Arrival { event, search, rules, process }| {
            if stats.take(event, &search, process)
                && let Some(course) = Course::of(event, &rules)
            {
                stats.expect_more(event, course);
            }
        });
    }

    fn end_batch(&mut self) {
        self.stats.settle();
    }

    fn is_full(&self) -> bool {
        self.intake.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        self.intake.accounts(counts)
    }

    fn tick(&mut self) {
        match self.look.take() {
            Some(look) if look.is_finished() => self.looked(look),
            Some(look) => self.look = Some(look),
            None if Instant::now() >= self.next => self.look(),
            None => {}
        }
    }
}

/// The fullest pools of all namespaces.
fn look(proc_root: &Path) -> Looked {
    let stock = Stock::take(proc_root, &Wanted::default())?;
    let nobody = PortSet::default();
    let mut found = Vec::new();
    for space in &stock.spaces {
        let Some(Pools { connect, bind, .. }) = space.pools(&nobody) else { continue };
        found.extend(
            connect.into_iter().chain(bind).map(|pool| ((space.namespace.id, pool.key), pool.barred)),
        );
    }
    Ok(found)
}

/// What is counted in a window that begins now.
#[must_use]
pub fn window(checks: bool, releases: bool) -> Settings {
    Settings { releases, checks, ..Settings::new(monotonic_now()) }
}
