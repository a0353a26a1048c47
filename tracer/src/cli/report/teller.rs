//! How `report` puts what it found: as text, as JSON or as a page.

use super::super::{Failure, exit, options::Format};
use crate::{
    output::{
        html::page,
        records::Report,
        report::{Look, interval, interval_titles, text},
    },
    pipeline::conclude::Conclusion,
};

/// The form of what is told.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) format: Format,
    /// Of the output.
    pub(super) look: Look,
    /// There are intervals: documents are lines.
    pub(super) intervals: bool,
    /// Intervals have been told.
    begun: bool,
}

impl Teller {
    pub(super) fn new(format: Format, look: Look, intervals: bool) -> Self {
        Self { format, look, intervals, begun: false }
    }

    /// A report as text for stderr.
    pub(super) fn text(&self, report: &Report) -> String {
        text(report, Look { color: false, ..self.look })
    }

    /// Appends the report of an interval.
    pub(super) fn interval(&mut self, report: &Report, out: &mut Vec<u8>) {
        let begun = std::mem::replace(&mut self.begun, true);
        match self.format {
            Format::Json => match exit::json_line(report) {
                Ok(line) => out.extend_from_slice(line.as_bytes()),
                Err(failed) => drop(exit::status(Err(failed))),
            },
            Format::Text | Format::Csv | Format::Html => {
                if !begun {
                    out.extend_from_slice(interval_titles().as_bytes());
                }
                out.extend_from_slice(interval(report, self.look).as_bytes());
            }
        }
    }

    /// The report on the whole.
    pub(super) fn whole(&self, conclusion: &Conclusion) -> Result<Vec<u8>, Failure> {
        let report = &conclusion.report;
        let told = match self.format {
            Format::Html => page(report, &conclusion.exhibits)
                .map_err(|error| Failure::new(format!("the page cannot be made: {error}")))?,
            Format::Json if self.intervals => exit::json_line(report)?,
            Format::Json => exit::json(report)?,
            Format::Text | Format::Csv => {
                let apart = if self.begun { "\n" } else { "" };
                format!("{apart}{}", text(report, self.look))
            }
        };
        Ok(told.into_bytes())
    }
}
