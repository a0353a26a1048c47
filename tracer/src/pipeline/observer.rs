//! Events, one by one, to an output.

use super::{
    Consumer, Player,
    accounts::Accounts,
    culprits::Culprits,
    intake::{Arrival, Intake},
};
use crate::{
    enrich::Clock,
    event::MonoNs,
    kernel::counts::Counts,
    output::{Observation, TraceOutput, records::Holder},
    recording::Note,
};

/// Takes records and turns them into output.
pub struct Observer<'a> {
    output: &'a mut dyn TraceOutput,
    intake: Intake,
    asks: Asks,
    clock: Clock,
}

/// Where holders of a port that was refused come from.
enum Asks {
    /// The host.
    Host(Culprits),
    /// A recording, which tells those of the next event.
    Recording(Option<Vec<Holder>>),
}

impl<'a> Observer<'a> {
    /// An observer that has seen nothing yet.
    pub fn new(output: &'a mut dyn TraceOutput, intake: Intake, culprits: Culprits) -> Self {
        Self { output, intake, asks: Asks::Host(culprits), clock: Clock::sample() }
    }

    /// One of events that were recorded, by the clock at the beginning.
    pub fn of_recording(output: &'a mut dyn TraceOutput, intake: Intake, clock: Clock) -> Self {
        Self { output, intake, asks: Asks::Recording(None), clock }
    }

    /// What was taken in.
    #[must_use]
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The output, for header and footer.
    pub fn output(&mut self) -> &mut dyn TraceOutput {
        self.output
    }

    /// Shows a record. A function of its own: it needs more registers than counting a record does.
    #[inline(never)]
    fn observe(&mut self, record: &[u8], out: &mut Vec<u8>) {
        let Self { output, intake, asks, clock } = self;
        intake.take(record, |arrival| {
            let (search, Arrival { event, process, .. }) = (arrival.search(), arrival);
            let utc = clock.utc(event.mono());
            let holders = match asks {
                Asks::Host(culprits) if event.failed() => culprits.of(event),
                Asks::Host(_) => None,
                Asks::Recording(told) => told.as_deref(),
            };
            output.event(&Observation { event, search, utc, process, holders }, out);
        });
        if let Asks::Recording(told) = asks {
            *told = None;
        }
    }
}

impl Consumer for Observer<'_> {
    /// Samples the clocks: steps of the wall clock show from the next batch on.
    fn begin_batch(&mut self) {
        if matches!(self.asks, Asks::Host(_)) {
            self.clock = Clock::sample();
        }
        self.intake.begin_batch();
    }

    fn take(&mut self, record: &[u8], out: &mut Vec<u8>) {
        if !self.intake.discards(record) {
            self.observe(record, out);
        }
    }

    fn end_batch(&mut self) {}

    fn is_full(&self) -> bool {
        self.intake.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        self.intake.accounts(counts)
    }
}

impl Player for Observer<'_> {
    fn told(&mut self, note: Note) {
        match note {
            Note::Holders { of_next } => self.asks = Asks::Recording(Some(of_next)),
            Note::Clock { offset_ns } => self.clock = Clock::with_offset(offset_ns),
            other => self.intake.told(other),
        }
    }

    fn reached(&mut self, _at: MonoNs) {}
}
