//! From what was gathered to the figures that `serve` tells.

use std::{fs, path::Path};

use super::{
    accounts::{Cells, kind, outcome, protocol},
    conclude::Conclusion,
    intake::Intake,
    ledger::{Program, Spread, Spreads, Told},
};
use crate::{
    event::{Errno, Kind, Outcome},
    findings::catalogue,
    kernel::counts::{CELLS, Tally, cell_at, cell_of, is_event},
    output::{
        metrics::{Buckets, ProgramCount, RangeGauge, SiteCount, Snapshot},
        records::Accounting,
    },
};

/// Choices since the start, by site, protocol and result, as they are read from the ring.
#[derive(Clone, Debug)]
pub struct Choices(Box<Cells>);

impl Default for Choices {
    fn default() -> Self {
        Self(Box::new([0; CELLS]))
    }
}

impl Choices {
    /// Counts a record of the ring.
    #[inline]
    pub fn note(&mut self, record: &[u8]) {
        if is_event(record)
            && let Some(count) = cell_of(record).and_then(|at| self.0.get_mut(at))
        {
            *count += 1;
        }
    }

    /// All that passed the filters; `tallies` are those that the ring did not carry.
    #[must_use]
    pub fn counts(&self, intake: &Intake, tallies: &[Tally]) -> Vec<SiteCount> {
        let mut cells = self.0.clone();
        for (cell, left_out) in cells.iter_mut().zip(intake.left_out()) {
            *cell = cell.saturating_sub(*left_out);
        }
        for tally in tallies {
            if let Some(cell) = cells.get_mut(tally.cell.index()) {
                *cell += tally.cell.count;
            }
        }
        let told = cells.iter().enumerate().filter(|(_, count)| **count != 0).filter_map(|(at, count)| {
            let cell = cell_at(at, *count);
            let kind = kind(cell.kind);
            let error = match outcome(cell.result) {
                Outcome::Ok => None,
                Outcome::Failed { errno } => Some(errno.and_then(Errno::name).unwrap_or("unknown")),
            };
            Some(SiteCount {
                site: kind.site()?.name(),
                is_chosen: matches!(kind, Kind::Allocation(_)),
                proto: protocol(cell.protocol).name(),
                error,
                count: cell.count,
            })
        });
        // Cells of other errnos and of those that were not seen have the same words.
        let mut all: Vec<SiteCount> = Vec::new();
        for one in told {
            let key = |other: &SiteCount| (other.site, other.is_chosen, other.proto, other.error);
            match all.iter_mut().find(|other| key(other) == key(&one)) {
                Some(known) => known.count += one.count,
                None => all.push(one),
            }
        }
        all
    }
}

/// The figures of one moment.
#[must_use]
pub fn figures(
    conclusion: &Conclusion,
    told: Told,
    sites: Vec<SiteCount>,
    accounting: Accounting,
    at_s: f64,
    most: usize,
) -> Snapshot {
    let spaces = conclusion.stock.spaces.iter();
    let name =
        |space: &crate::stock::Namespace| space.name.clone().unwrap_or_else(|| space.id.get().to_string());
    let ranges = spaces.clone().filter_map(|space| {
        let config = space.config.as_ref()?;
        Some(RangeGauge {
            netns: name(&space.namespace),
            low: config.range.low(),
            high: config.range.high(),
            effective: config.effective(),
        })
    });
    let count = |(Program { name, unit, container, pod }, count): (Program, super::series::Count)| {
        ProgramCount { name, unit, container, pod, allocations: count.allocations, failures: count.failures }
    };
    let Spreads { searches, distances, intervals } = told.spreads;
    Snapshot {
        report: conclusion.report.clone(),
        most,
        findings: catalogue().iter().map(|one| one.id.to_string()).collect(),
        namespaces: spaces.map(|space| (space.namespace.id.get(), name(&space.namespace))).collect(),
        ranges: ranges.collect(),
        sites,
        programs: told.programs.into_iter().map(count).collect(),
        others: (told.others.allocations, told.others.failures),
        gone: (told.gone.allocations, told.gone.failures),
        searches: buckets(&searches, 1e9),
        distances: buckets(&distances, 1.0),
        intervals: buckets(&intervals, 1e3),
        accounting,
        at_s,
        cost: conclusion.report.cost.clone(),
        process: own(Path::new("/proc/self")),
    }
}

/// Resident memory in bytes and open descriptors of this process.
fn own(folder: &Path) -> Option<(u64, u64)> {
    let pages: u64 = fs::read_to_string(folder.join("statm")).ok()?.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    // The directory that is being read is one of them.
    let descriptors = fs::read_dir(folder.join("fd")).ok()?.count().saturating_sub(1);
    Some((pages * page, u64::try_from(descriptors).ok()?))
}

/// In a unit that is so many of those that were counted.
fn buckets(spread: &Spread, unit: f64) -> Buckets {
    let in_unit = |number: u64| real(number) / unit;
    Buckets {
        counts: spread.buckets().map(|(edge, count)| (in_unit(edge), count)).collect(),
        above: spread.above(),
        sum: in_unit(spread.sum()),
    }
}

#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a metric is a float")]
fn real(number: u64) -> f64 {
    number as f64
}
