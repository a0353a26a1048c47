//! The answer in one line.

use super::{
    Case, Finding, Flow, Id, Severity, Verdict, Word,
    seen::{Seen, fullest, given_per_s, pools, row_of, window_ns},
    wording,
};
use crate::{
    event::Cause,
    stock::{PoolKey, TIME_WAIT_S},
};

/// Port search costs a load something from this share of its CPU on.
const MUCH_CPU: f64 = 0.05;
/// A pool from here on is near its limit.
const NEAR: f64 = 0.5;
/// Connections that closed first make the hold of a pool, if they are most.
const MOST: f64 = 0.5;

/// The verdict; `findings` are the roots, the worst first.
pub(super) fn of(case: &Case<'_>, findings: &[Finding]) -> Verdict {
    let find = |ids: &[u16]| findings.iter().find(|one| ids.contains(&one.id.0));
    let exhausted = findings.iter().find(|one| one.id == Id(1) || one.takes_in.contains(&Id(1)));
    if let Some(flow) = case.flow.filter(|flow| flow.is_load) {
        return load(case, flow, exhausted);
    }
    let told = |word: Word, finding: &Finding| Verdict {
        word,
        reason: finding.title.clone(),
        finding: Some(finding.id),
    };
    let at_risk = |one: &&Finding| matches!(one.id.0, 2 | 3 | 10) && one.severity >= Severity::Warning;
    if let Some(finding) = exhausted {
        told(Word::Exhausted, finding)
    } else if let Some(finding) = find(&[5, 20, 21]) {
        told(Word::Conflict, finding)
    } else if let Some(finding) = findings.iter().find(at_risk) {
        told(Word::AtRisk, finding)
    } else if let Some(finding) = find(&[19]) {
        told(Word::NotPorts, finding)
    } else if is_blind(case) {
        blind(case)
    } else {
        Verdict { word: Word::Ok, reason: fine(case, findings), finding: None }
    }
}

/// Whether neither the stock nor the flow could be had.
fn is_blind(case: &Case<'_>) -> bool {
    case.flow.is_none()
        && case.stock.spaces.iter().all(|space| space.sockets.is_none() || space.config.is_none())
}

fn blind(case: &Case<'_>) -> Verdict {
    let why = case.stock.failures.first().map_or_else(
        || "no network namespace could be read".to_owned(),
        |failure| wording::single_line(&failure.error.to_string()),
    );
    Verdict {
        word: Word::Blind,
        reason: format!("nothing was traced, and no sockets could be read: {why}"),
        finding: None,
    }
}

/// Why nothing is wrong.
fn fine(case: &Case<'_>, findings: &[Finding]) -> String {
    let Some(flow) = case.flow else { return still(case, findings) };
    let totals = flow.stats.totals();
    let (all, refused) = (totals.allocations(), totals.failures());
    let given = format!(
        "{} ports given out in {}",
        wording::count(all.saturating_sub(refused)),
        wording::seconds(window_ns(flow))
    );
    let checks = match totals.failed_checks() {
        0 => String::new(),
        checks => format!(", {} checks of named ports failed", wording::count(checks)),
    };
    match refused {
        0 => format!("{given}, none refused{checks}"),
        // Without its errno a failure may well be one for want of a port.
        refused if totals.cause_unknown() > 0 => {
            format!("{given}, {} failed, and why was not seen{checks}", wording::count(refused))
        }
        refused => {
            format!("{given}, {} failed for other reasons than ports{checks}", wording::count(refused))
        }
    }
}

/// The same of the stock alone.
fn still(case: &Case<'_>, findings: &[Finding]) -> String {
    let worst = findings.iter().find(|one| one.severity >= Severity::Warning);
    let Some((seen, share)) = fullest(case).and_then(|seen| Some((seen, seen.peak_share()?))) else {
        return worst.map_or_else(
            || "no port of any range is held".to_owned(),
            |one| format!("no port of any range is held; see {}", one.id),
        );
    };
    if share >= NEAR {
        return format!(
            "the fullest pool {} is at {}",
            wording::pool(&seen.pool.key),
            wording::percent(share)
        );
    }
    let above = format!("no pool above {} %", wording::whole((share * 100.0).ceil().max(1.0)));
    match worst {
        None => format!("{above}, nothing near a limit"),
        Some(finding) => format!("{above}; see {}", finding.id),
    }
}

/// Whether ports held a load back.
fn load(case: &Case<'_>, flow: &Flow<'_>, exhausted: Option<&Finding>) -> Verdict {
    // A pool of somebody else may be full all the while: this load was refused nothing.
    let is_refused =
        |one: &&Finding| one.evidence.get("refused").and_then(serde_json::Value::as_u64) != Some(0);
    if let Some(finding) = exhausted.filter(is_refused) {
        let since = flow
            .refusals
            .iter()
            .filter(|one| one.cause == Some(Cause::Exhausted) && one.count > 0)
            .map(|one| one.first.since(flow.start))
            .min();
        let reason = match since {
            Some(ns) => format!("from t=+{}: {}", wording::ahead(wording::real(ns) / 1e9), finding.title),
            None => finding.title.clone(),
        };
        return Verdict { word: Word::PortBound, reason, finding: Some(finding.id) };
    }
    if let Some(reason) = costly(flow) {
        return Verdict { word: Word::PortBound, reason, finding: None };
    }
    if let Some(reason) = too_short(case, flow) {
        return Verdict { word: Word::TooShort, reason, finding: None };
    }
    Verdict { word: Word::NotPortBound, reason: unbound(case, flow), finding: None }
}

/// Search beyond the cliff that costs a good part of the load's CPU.
fn costly(flow: &Flow<'_>) -> Option<String> {
    let (sums, _) = flow.stats.search();
    let spent = sums.found.sum_ns.saturating_add(sums.failed.sum_ns);
    let crossed = sums.crossed.mean().filter(|share| *share > 0.0)?;
    let share = wording::share(spent, flow.command_cpu_ns?).filter(|share| *share >= MUCH_CPU)?;
    Some(format!(
        "port search took {} of the command's CPU, {} of the searches past the cliff",
        wording::percent(share),
        wording::percent(crossed)
    ))
}

/// A run that ends before its first ports come back, at a rate that would have filled the pool.
fn too_short(case: &Case<'_>, flow: &Flow<'_>) -> Option<String> {
    let window = wording::real(window_ns(flow)) / 1e9;
    let rows = flow.stats.destinations();
    let hold = f64::from(TIME_WAIT_S);
    let short = |seen: Seen<'_>| {
        let of = f64::from(seen.pool.effective);
        let row = row_of(case, &rows, &seen)?;
        let rate = given_per_s(flow, row)?;
        let given = row.allocations().checked_sub(row.failures())?;
        // Most are out for the whole time: they wait, or are open still.
        let out = seen.peak.max(seen.blocking_time_waits());
        let stays = wording::share(out.into(), given).is_some_and(|share| share >= MOST);
        (of > 0.0 && stays && window < hold && rate * hold >= of).then_some((rate, of / rate))
    };
    let connects = pools(case).filter(|seen| matches!(seen.pool.key, PoolKey::Connect { .. }));
    let (rate, full) = connects.filter_map(short).min_by(|one, other| one.1.total_cmp(&other.1))?;
    let least = ((full + hold) / 10.0).ceil() * 10.0;
    Some(format!(
        "{} at {}; this pool would fill at t=+{}. Run >= {} s or use --rate-check",
        wording::ahead(window),
        wording::rate(rate),
        wording::ahead(full),
        wording::whole(least)
    ))
}

fn unbound(case: &Case<'_>, flow: &Flow<'_>) -> String {
    let totals = flow.stats.totals();
    let failed = totals.failures();
    let refused = if failed == 0 {
        "none refused".to_owned()
    } else {
        let why = if totals.cause_unknown() > 0 { ", and why was not seen" } else { " for other reasons" };
        format!("{} failed{why}", wording::count(failed))
    };
    let all = format!("{} allocations, {refused}", wording::count(totals.allocations()));
    // Pools of destinations that it asked for: others may be fuller.
    let rows = flow.stats.destinations();
    let own = |seen: &Seen<'_>| match seen.pool.key {
        PoolKey::Connect { proto, raddr, rport, .. } => rows.iter().any(|row| {
            row.key.netns().is_none_or(|netns| netns == seen.netns)
                && (row.key.addr(), row.key.port(), row.key.protocol()) == (raddr, Some(rport), proto)
        }),
        PoolKey::Bind { .. } => false,
    };
    let most = pools(case)
        .filter(own)
        .max_by_key(|seen| seen.peak)
        .and_then(|seen| Some((seen, seen.peak_share()?)));
    match most {
        Some((seen, share)) => format!(
            "{all}; the run held at most {} of {} ports ({})",
            wording::count(seen.peak),
            wording::count(seen.pool.effective),
            wording::percent(share)
        ),
        None => all,
    }
}
