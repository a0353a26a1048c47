//! The one loop that wires the rooms: ring → decode → enrich → output.

mod accounts;
pub mod answer;
mod callers;
pub mod check;
pub mod conclude;
mod culprits;
pub mod draft;
mod exhibits;
mod figures;
mod flight;
mod frame;
mod gather;
mod history;
pub mod host;
mod intake;
mod ledger;
mod look;
mod looker;
mod merge;
mod observer;
pub mod past;
mod recent;
mod recorder;
mod replay;
pub mod report;
mod scene;
pub mod series;
mod sieve;
mod sliding;
mod spaces;
mod summary;
pub mod survey;
mod tenure;
mod unlisted;
pub mod who;

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    time::{Duration, Instant},
};

pub use accounts::Accounts;
pub use callers::Callers;
pub use culprits::Culprits;
pub use figures::{Choices, figures};
pub use flight::{AFTER, Flight, FlightPlan, Flown, Trigger};
pub use frame::{FrameFacts, footer, header, hook_state};
pub use gather::{Gathered, Gatherer, window, window_at};
pub use history::{History, Stretch};
pub use intake::{Arrival, Intake, Shown};
pub use ledger::{Ledger, Program, Spread, Spreads, Told};
pub use look::{Moment, Peaks};
pub use merge::{Member, MergeError, merge};
pub use observer::Observer;
pub use recent::Recent;
pub use recorder::Recorder;
pub use replay::{Between, Player, Replay, ReplayError, Replayed, replay};
pub use scene::{Scene, capture};
pub use sieve::Sieve;
pub use sliding::{Cut, Part, Sliding, Windowed};
pub use spaces::{Learned, Spaces};
pub use summary::per_process;
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    time::MissedTickBehavior,
};

use crate::{
    kernel::{Armed, KernelError, counts::Counts},
    load::Load,
};

/// How long an event waits at most before it is read.
const POLL: Duration = Duration::from_millis(50);

/// When to end, but for signals.
#[derive(Debug, Default)]
pub struct Until<'a> {
    /// After so long.
    after: Option<Duration>,
    /// When this command ends.
    load: Option<&'a mut Load>,
    interrupted: bool,
}

impl<'a> Until<'a> {
    /// After so long, or never.
    #[must_use]
    pub fn after(after: Option<Duration>) -> Self {
        Self { after, load: None, interrupted: false }
    }

    /// When a command ends, or after so long.
    #[must_use]
    pub fn load(load: &'a mut Load, after: Option<Duration>) -> Self {
        Self { after, load: Some(load), interrupted: false }
    }
}

/// Passes an interrupt on to the command, unless the terminal has done so.
fn pass_on(load: &Load) {
    let own = rustix::process::getpgrp();
    let from_terminal =
        !load.is_apart() && rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == own);
    if !from_terminal {
        load.interrupt();
    }
}

async fn load(load: &mut Option<&mut Load>) -> io::Result<crate::load::Ended> {
    match load {
        Some(load) => load.wait().await,
        None => std::future::pending().await,
    }
}

/// Why a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command ended.
    Load(crate::load::Ended),
    /// It was asked to.
    Asked,
    /// The time or the number of events was reached.
    Limit,
    /// It was asked twice: at once.
    AtOnce,
}

/// What can go wrong while the loop runs.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Output cannot be written.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// The event loop cannot be set up.
    #[error("cannot wait for events: {0}")]
    Wait(#[source] io::Error),
    /// The kernel half failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Where bytes go.
pub trait Outlet {
    /// Writes everything that was gathered, and forgets it.
    ///
    /// # Errors
    ///
    /// As the file or terminal behind it.
    fn flush(&mut self, gathered: &mut Vec<u8>) -> io::Result<()>;
}

/// Something that takes the records of the ring.
pub trait Consumer {
    /// A batch of records begins.
    fn begin_batch(&mut self);
    /// Takes one record; what it gives is appended to `out`.
    fn take(&mut self, record: &[u8], out: &mut Vec<u8>);
    /// The batch is over.
    fn end_batch(&mut self);
    /// Whether it wants no more.
    fn is_full(&self) -> bool;
    /// The accounts as they stand.
    fn accounts(&self, counts: &Counts) -> Accounts;
    /// Called some twenty times a second, between batches; what it gives is appended to `out`.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell its counts.
    fn tick(&mut self, _armed: &Armed, _out: &mut Vec<u8>) -> Result<(), KernelError> {
        Ok(())
    }
}

/// Signals that end a trace, or ask for an interim word.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    interim: Signal,
}

impl Signals {
    /// Listens for them from now on, in the context of a runtime; until then they end the process.
    ///
    /// # Errors
    ///
    /// The kernel refuses a handler.
    pub fn listen() -> Result<Self, PipelineError> {
        let listen = |kind: SignalKind| signal(kind).map_err(PipelineError::Wait);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            interim: listen(SignalKind::user_defined1())?,
        })
    }

    /// Waits until it is asked to end.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Reads the ring until the duration is over, the limit of events is reached, or a signal comes. Then stops
/// the kernel half and reads what is left, so that the accounts close.
///
/// # Errors
///
/// Output that cannot be written, or a kernel half that fails.
pub async fn run<C: Consumer>(
    armed: &mut Armed,
    consumer: &mut C,
    outlet: &mut impl Outlet,
    mut signals: Signals,
    mut until: Until<'_>,
    mut interim: impl FnMut(&mut C, &Armed) -> Result<(), KernelError>,
) -> Result<Ended, PipelineError> {
    let ring = armed.as_fd().try_clone_to_owned().map_err(PipelineError::Wait)?;
    log::debug!("ring at descriptor {}", ring.as_raw_fd());
    // Registered edge-triggered: the kernel half wakes it when the ring fills faster than we poll.
    #[expect(
        deprecated,
        reason = "its successor is unsafe for descriptors that may be replaced; ours is owned"
    )]
    let ring = AsyncFd::with_interest(ring, Interest::READABLE).map_err(PipelineError::Wait)?;
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = until.after.map(|duration| tokio::time::Instant::from_std(Instant::now() + duration));
    let mut gathered = Vec::new();
    let ended = loop {
        tokio::select! {
            _ = poll.tick() => {}
            ready = ring.readable() => ready.map_err(PipelineError::Wait)?.clear_ready(),
            () = at(end) => break Ended::Limit,
            ended = load(&mut until.load) => break Ended::Load(ended.map_err(PipelineError::Wait)?),
            _ = signals.interrupt.recv() => match until.load.take_if(|_| !until.interrupted) {
                // The command gets the first one, and ends us by its own end.
                Some(load) => {
                    pass_on(load);
                    until.load = Some(load);
                    until.interrupted = true;
                }
                None => break Ended::Asked,
            },
            _ = signals.terminate.recv() => break Ended::Asked,
            _ = signals.interim.recv() => interim(consumer, armed)?,
        }
        drain(armed, consumer, outlet, &mut gathered)?;
        consumer.tick(armed, &mut gathered)?;
        outlet.flush(&mut gathered).map_err(PipelineError::Write)?;
        if consumer.is_full() {
            break Ended::Limit;
        }
    };
    armed.stop()?;
    drain(armed, consumer, outlet, &mut gathered)?;
    Ok(ended)
}

async fn at(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn drain(
    armed: &mut Armed,
    consumer: &mut impl Consumer,
    outlet: &mut impl Outlet,
    gathered: &mut Vec<u8>,
) -> Result<(), PipelineError> {
    /// Gathered bytes are passed on at this size, so that a burst takes no more memory than that.
    const PORTION: usize = 256 * 1024;
    let mut failed = None;
    consumer.begin_batch();
    armed.drain(|record| {
        consumer.take(record, gathered);
        if gathered.len() >= PORTION && failed.is_none() {
            failed = outlet.flush(gathered).err();
        }
    });
    consumer.end_batch();
    match failed {
        Some(error) => Err(PipelineError::Write(error)),
        None => outlet.flush(gathered).map_err(PipelineError::Write),
    }
}
