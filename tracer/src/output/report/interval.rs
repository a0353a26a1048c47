//! The report of an interval: a row, and a line that says what was wrong.

use jiff::{Timestamp, tz::TimeZone};

use super::{Look, fullest, grouped, per_second, share};
use crate::output::{
    records::{PoolRecord, Report},
    screen::{line, painted, pool_name},
};

const POOL: usize = 36;

/// What stands above the rows.
#[must_use]
pub fn interval_titles() -> String {
    row(["TIME", "ALLOCATED", "REFUSED", "RATE", "FULLEST POOL AT ITS END", "HELD", "VERDICT"])
}

/// An interval. Nothing more is said of one in which all was well.
#[must_use]
pub fn interval(report: &Report, look: Look) -> String {
    let verdict = &report.verdict;
    let fullest = fullest(report).filter(|pool| pool.barred != 0);
    let held = |pool: &PoolRecord| format!("{} ({})", grouped(pool.barred), share(pool.utilisation));
    let mut out = row([
        &time(&report.window.ended),
        &grouped(report.totals.counted.allocations),
        &grouped(report.totals.counted.failures),
        &per_second(report.totals.churn_mean),
        &fullest.map_or_else(|| "-".to_owned(), |pool| pool_name(pool, POOL)),
        &fullest.map_or_else(|| "-".to_owned(), held),
        &painted(&verdict.word, look.color),
    ]);
    if verdict.finding.is_some() {
        let finding = verdict.finding.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
        line(&mut out, "", &format!("{}{finding}", verdict.reason));
    }
    out
}

fn row([time, allocated, refused, rate, pool, held, verdict]: [&str; 7]) -> String {
    let line =
        format!("{time:<8} {allocated:>9} {refused:>8} {rate:>8}  {pool:<POOL$} {held:>17}  {verdict}");
    format!("{}\n", line.trim_end())
}

/// RFC 3339 in UTC as a time of day here; what is no time stays as it is.
fn time(utc: &str) -> String {
    utc.parse::<Timestamp>().map_or_else(
        |_unread| utc.to_owned(),
        |time| time.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string(),
    )
}
