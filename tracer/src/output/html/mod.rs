//! A report as one page for a browser, with nothing outside of it: to send, to keep, to print.
//!
//! Names come from strangers. Whatever is shown is first made harmless as for a terminal ([`super::escape`]), then
//! escaped by the template. The page's policy allows its own style and script, by their hashes, and nothing else.

mod call_sites;
mod charts;
mod findings;
mod head;
mod parts;
mod settings;
mod tables;

use askama::Template;

use self::{
    findings::FindingView,
    head::Head,
    parts::{Section, shown},
};
use super::records::{Report, SpaceRecord};
use crate::stock::PortMap;

const STYLE: &str = include_str!("../../../templates/report/page.css");
const SCRIPT: &str = include_str!("../../../templates/report/page.js");
/// By these the policy of the page knows its own style and script; a test holds them to the files.
const STYLE_HASH: &str = "sha256-uFb5V1iHaluCvFnYye5hMWMSVYHKkGSUIJpPpQJmT/c=";
const SCRIPT_HASH: &str = "sha256-dvKgpKcbtIcIYe+ILnX8KXortmQr5wAqc2+YIN6oG+c=";

/// What a page shows beside the report.
#[derive(Clone, Debug, Default)]
pub struct Exhibits {
    /// The course of the run.
    pub timeline: Timeline,
    /// Searches that found a port: the longest of each group in nanoseconds, ascending, and how many.
    pub search_times: Vec<(u64, u64)>,
    /// The map of the fullest pool at the end, and its namespace's name.
    pub map: Option<(String, PortMap)>,
    /// The namespaces and their settings.
    pub spaces: Vec<SpaceRecord>,
}

/// The course of a run from its start on, in steps of one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Seconds of a step.
    pub step_s: u64,
    /// What was asked for in each; lost events are in none.
    pub steps: Vec<Step>,
    /// The pools that matter most, in that order.
    pub pools: Vec<Course>,
}

/// Counts of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Ports asked for.
    pub allocations: u64,
    /// Of these, the refused.
    pub failures: u64,
}

/// The course of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// What to call it.
    pub name: String,
    /// Its highest utilisation in each step; none where nobody looked. It may end before the steps do.
    pub shares: Vec<Option<f32>>,
}

/// A page that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A chart cannot be drawn.
    #[error("a chart cannot be drawn: {0}")]
    Chart(String),
    /// The template fails.
    #[error("its template fails: {0}")]
    Template(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "report/page.html")]
struct Page<'a> {
    style: &'a str,
    style_hash: &'a str,
    script: &'a str,
    script_hash: &'a str,
    version: String,
    head: Head,
    findings: Vec<FindingView>,
    more_findings: Option<String>,
    sections: Vec<Section>,
}

/// The page of a report.
///
/// # Errors
///
/// A chart that cannot be drawn.
pub fn page(report: &Report, exhibits: &Exhibits) -> Result<String, PageError> {
    let (findings, more_findings) = findings::views(report, &exhibits.spaces);
    let mut sections = vec![charts::course(report, &exhibits.timeline)?];
    sections.push(charts::searches(report, &exhibits.search_times)?);
    sections.push(charts::ports(report, exhibits)?);
    sections.push(tables::section(report));
    sections.extend(call_sites::section(report.call_sites.as_ref()));
    sections.push(settings::accounts(report));
    sections.push(settings::section(report, exhibits));
    let page = Page {
        style: STYLE,
        style_hash: STYLE_HASH,
        script: SCRIPT,
        script_hash: SCRIPT_HASH,
        version: shown(&report.header.version),
        head: head::head(report),
        findings,
        more_findings,
        sections,
    };
    Ok(page.render()?)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn hash(text: &str) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut told = "sha256-".to_owned();
        for three in Sha256::digest(text.as_bytes()).chunks(3) {
            let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*three.get(at).unwrap_or(&0)));
            for at in 0..4 {
                let letter = char::from(LETTERS[bits >> (18 - 6 * at) & 63]);
                told.push(if at <= three.len() { letter } else { '=' });
            }
        }
        told
    }

    #[test]
    fn the_policy_allows_the_style_and_the_script_of_the_page() {
        assert_eq!((STYLE_HASH.to_owned(), SCRIPT_HASH.to_owned()), (hash(STYLE), hash(SCRIPT)));
    }

    #[test]
    fn style_and_script_cannot_end_their_elements_and_name_nothing_outside() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--"), "{text}");
            assert!(!text.contains("http") && !text.contains("@import"), "{text}");
        }
    }
}
