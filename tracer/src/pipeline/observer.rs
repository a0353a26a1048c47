//! Events, one by one, to an output.

use super::{
    Consumer,
    accounts::Accounts,
    culprits::Culprits,
    intake::{Arrival, Intake},
};
use crate::{
    enrich::Clock,
    kernel::counts::Counts,
    output::{Observation, TraceOutput},
};

/// Takes records and turns them into output.
pub struct Observer<'a> {
    output: &'a mut dyn TraceOutput,
    intake: Intake,
    culprits: Culprits,
    clock: Clock,
}

impl<'a> Observer<'a> {
    /// An observer that has seen nothing yet.
    pub fn new(output: &'a mut dyn TraceOutput, intake: Intake, culprits: Culprits) -> Self {
        let clock = Clock::sample();
        Self { output, intake, culprits, clock }
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
        let Self { output, intake, culprits, clock } = self;
        intake.take(record, |Arrival { event, search, process, .. }| {
            let utc = clock.utc(event.mono());
            let holders = if event.failed() { culprits.of(event) } else { None };
            output.event(&Observation { event, search, utc, process, holders }, out);
        });
    }
}

impl Consumer for Observer<'_> {
    /// Samples the clocks: steps of the wall clock show from the next batch on.
    fn begin_batch(&mut self) {
        self.clock = Clock::sample();
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
