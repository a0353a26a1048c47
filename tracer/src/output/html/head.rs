//! What the eye meets first: the verdict, who has the ports, and who is refused.

use jiff::Timestamp;

use super::parts::{shown, told};
use crate::output::{
    records::{FindingRecord, Report},
    report::{fullest, grouped, per_second, share},
    screen::pool_name,
};

/// The head of the page.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) word: String,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) finding: Option<String>,
    pub(super) host: String,
    pub(super) facts: Vec<String>,
    pub(super) who: Vec<LineView>,
    pub(super) figures: Vec<Figure>,
}

/// A labelled line.
#[derive(Debug)]
pub(super) struct LineView {
    pub(super) label: String,
    pub(super) text: String,
    pub(super) is_command: bool,
}

/// A number that matters.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) text: String,
    pub(super) label: String,
}

/// Labels of the lines that belong to the head.
pub(super) const WHO: [&str; 2] = ["held by", "refused to"];

/// The finding that the verdict rests on.
pub(super) fn behind(report: &Report) -> Option<&FindingRecord> {
    let id = report.verdict.finding.as_deref()?;
    let of_it = || report.findings.iter().filter(|one| one.id == id);
    of_it().find(|one| one.title == report.verdict.reason).or_else(|| of_it().next())
}

pub(super) fn head(report: &Report) -> Head {
    let verdict = &report.verdict;
    let who = behind(report).into_iter().flat_map(|finding| &finding.lines);
    Head {
        word: shown(&verdict.word),
        class: match verdict.word.as_str() {
            "OK" | "NOT PORT-BOUND" => "good",
            "EXHAUSTED" | "CONFLICT" | "PORT-BOUND" => "bad",
            _ => "warn",
        },
        reason: told(&verdict.reason),
        finding: verdict.finding.as_deref().map(shown),
        host: shown(&report.header.host),
        facts: facts(report),
        who: who
            .filter(|line| WHO.contains(&line.label.as_str()))
            .map(|line| LineView { label: shown(&line.label), text: told(&line.text), is_command: false })
            .collect(),
        figures: figures(report),
    }
}

fn facts(report: &Report) -> Vec<String> {
    let header = &report.header;
    let what = match &report.command {
        Some(command) if command.alone => format!("command {}", command.name),
        _ => "whole host".to_owned(),
    };
    // Filters touch what was counted; the host was looked at as a whole none the less.
    let filters = header.filters_given();
    let what =
        if filters.is_empty() { what } else { format!("{what}, events filtered to {}", filters.join(" ")) };
    let window = &report.window;
    let facts = [
        header.host.clone(),
        format!("Linux {}", header.kernel),
        format!("{} to {} UTC ({:.1} s)", date(&window.started), date(&window.ended), window.seconds),
        what,
        format!("traced with {}", header.backend),
    ];
    facts.iter().map(|fact| shown(fact)).collect()
}

/// RFC 3339 in UTC without its fractions; what is no time stays as it is.
fn date(utc: &str) -> String {
    let time = utc.parse::<Timestamp>();
    time.map_or_else(|_unread| utc.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn figures(report: &Report) -> Vec<Figure> {
    let totals = &report.totals;
    let counted = &totals.counted;
    let figure = |text: String, label: &str| Figure { text, label: label.to_owned() };
    let mut all = vec![
        figure(grouped(counted.allocations), "ports asked for"),
        figure(grouped(counted.failures), "refused"),
        figure(per_second(totals.churn_mean), "on average"),
        figure(grouped(totals.churn_peak), "in the busiest second"),
    ];
    if let Some(pool) = fullest(report).filter(|pool| pool.barred != 0) {
        let name = pool_name(pool, usize::MAX);
        let text =
            format!("of {name} held at the end ({} of {})", grouped(pool.barred), grouped(pool.effective));
        all.push(figure(share(pool.utilisation), &text));
    }
    if report.accounting.lost != 0 {
        all.push(figure(grouped(report.accounting.lost), "events lost: of these only the count is known"));
    }
    all
}
