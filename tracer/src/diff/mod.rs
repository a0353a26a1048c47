//! Two reports held against each other: what is more, what is fewer, and how sure one can be.
//!
//! This room knows reports as documents and nothing of where they came from; it reads no file and writes none.

mod likeness;
mod measures;
mod pools;
mod ratio;
mod read;
mod rows;
mod settings;
mod told;

pub use read::{MOST_BYTES, Reading, Unread, read};

use crate::output::records::{Diff, Report, SCHEMA, SourceRecord};

/// Compares the report B with A, which was mostly made before it.
#[must_use]
pub fn compare(a: &Reading, b: &Reading) -> Diff {
    let (before, after) = (&a.report, &b.report);
    let both = told::Both { a: before, b: after };
    Diff {
        schema: SCHEMA,
        a: source(a),
        b: source(b),
        caveats: likeness::caveats(a, b),
        one_sided: likeness::one_sided(both),
        findings: likeness::findings(both),
        settings: settings::changes(both),
        measures: measures::on_the_whole(both),
        pools: pools::changes(both),
        programs: rows::programs(both),
        destinations: rows::destinations(both),
    }
}

fn source(reading: &Reading) -> SourceRecord {
    let Report { header, window, verdict, .. } = &reading.report;
    SourceRecord {
        file: reading.file.clone(),
        document: reading.document(),
        host: header.host.clone(),
        kernel: header.kernel.clone(),
        version: header.version.clone(),
        backend: header.backend.clone(),
        started: window.started.clone(),
        seconds: window.seconds,
        watched: likeness::watched(&reading.report),
        verdict: verdict.clone(),
    }
}
