//! What `check` tells, as a screen.

mod spaces;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    records::{Check, FindingRecord, PoolHolderRecord, PoolRecord, SpaceRecord},
    report::grouped,
    screen::{headline, line, processes},
};

/// Findings that are told in full.
const FULL_FINDINGS: usize = 3;
/// Findings about settings that are told in a line.
const NOTES: usize = 4;
/// Holders that are told by name.
const NAMED: usize = 3;

/// How the screen looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colour the verdict.
    pub color: bool,
    /// Tell the time in UTC, not in the zone of this machine.
    pub utc: bool,
    /// Tell all namespaces, and every finding in full.
    pub all: bool,
}

/// The screen.
#[must_use]
pub fn text(check: &Check, look: Look) -> String {
    let mut out = String::new();
    let place = format!("{} · {} · {}", check.host, check.kernel, local(&check.time, look.utc));
    let finding = check.verdict.finding.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
    headline(
        &mut out,
        &check.verdict.word,
        &format!("{}{finding}", check.verdict.reason),
        &place,
        look.color,
    );
    spaces::table(&mut out, check, look.all);
    let fullest = check.pools.iter().find(|pool| is_connect(pool) && pool.barred != 0);
    let of_pool = |space: &&SpaceRecord| fullest.is_some_and(|pool| pool.netns == space.state.id);
    let Some(first) = check.netns.first() else {
        notes(&mut out, check);
        return out;
    };
    let focus = check.netns.iter().find(of_pool).unwrap_or(first);
    // Lines below the table are about the namespace of its first row, unless they say otherwise.
    let where_ = if focus.state.id == first.state.id { String::new() } else { format!("{}: ", focus.label) };
    if let Some(pool) = fullest {
        line(&mut out, "held by", &format!("{where_}{}", held_by(pool)));
    }
    if let Some(told) = pays_back(focus) {
        line(&mut out, "pays back", &format!("{where_}{told}"));
    }
    line(&mut out, "settings", &format!("{where_}{}", settings(focus)));
    line(&mut out, "tracing", &tracing(check));
    findings(&mut out, check, look.all);
    notes(&mut out, check);
    out
}

/// RFC 3339 in UTC as a time of day with its distance from UTC; what is no time stays as it is.
fn local(time: &str, utc: bool) -> String {
    let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
    time.parse::<Timestamp>().map_or_else(
        |_unread| time.to_owned(),
        |time| time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
    )
}

fn is_connect(pool: &PoolRecord) -> bool {
    pool.proto == "tcp" && pool.remote_port.is_some()
}

fn held_by(pool: &PoolRecord) -> String {
    let states: Vec<String> = pool
        .held
        .iter()
        .map(|(state, ports)| {
            let state = if state == "ESTABLISHED" { "ESTAB" } else { state };
            format!("{} {state}", grouped(*ports))
        })
        .collect();
    let reusable = match pool.reusable_time_wait {
        Some(ports) if ports != 0 => {
            format!(" ({} of TIME_WAIT may be taken over at once, not counted)", grouped(ports))
        }
        _ => String::new(),
    };
    let mut named: Vec<String> = pool.holders.iter().take(NAMED).map(holder).collect();
    let others = pool.holders.get(NAMED..).unwrap_or_default();
    if !others.is_empty() {
        let ports: u64 = others.iter().map(|one| u64::from(one.ports)).sum();
        named.push(format!("{} others {}", others.len(), grouped(ports)));
    }
    let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    format!("{}{reusable}{named}", states.join(" + "))
}

fn holder(holder: &PoolHolderRecord) -> String {
    let file = holder.exe.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path));
    let name = match (holder.pid, holder.comm.as_deref().or(file)) {
        (None, _) => "no process any more",
        (Some(_), Some(name)) => name,
        (Some(_), None) => "a process that ended",
    };
    let many = if holder.processes > 1 { format!(" x{}", grouped(holder.processes)) } else { String::new() };
    format!("{name}{many} {}", grouped(holder.ports))
}

fn pays_back(space: &SpaceRecord) -> Option<String> {
    let rate = |per_s: f64| format!("{:.0}/s", per_s.floor());
    let cliff = space.cliff.map(|ports| format!("; cliff from {}", rate(f64::from(ports) / 60.0)));
    let reuse = match (space.state.tcp_tw_reuse, space.state.tcp_timestamps) {
        (Some(1), Some(1..)) => "; more to ends that use timestamps (tcp_tw_reuse=1)",
        _ => "",
    };
    Some(format!(
        "{} per destination if this side closes first (TIME_WAIT 60 s, fixed){}{reuse}",
        rate(space.pays_back_per_s?),
        cliff.unwrap_or_default(),
    ))
}

fn settings(space: &SpaceRecord) -> String {
    let known = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
    let reuse = match space.state.tcp_tw_reuse {
        Some(0) => " (off)",
        Some(1) => " (everywhere)",
        Some(2) => " (127/8, ::1 only)",
        _ => "",
    };
    let conntrack = match space.conntrack.max {
        Some(0) => "no limit".to_owned(),
        most => known(most.map(u64::from)),
    };
    format!(
        "tcp_tw_reuse={}{reuse} timestamps={}  TIME_WAIT {}/{}  conntrack {}/{conntrack}",
        known(space.state.tcp_tw_reuse.map(u64::from)),
        known(space.state.tcp_timestamps.map(u64::from)),
        known(space.time_waits),
        known(space.tcp_max_tw_buckets.map(u64::from)),
        known(space.conntrack.count.map(u64::from)),
    )
}

fn tracing(check: &Check) -> String {
    let tracing = &check.tracing;
    if !tracing.missing_capabilities.is_empty() {
        return format!("not permitted: {} missing; root has them", tracing.missing_capabilities.join(", "));
    }
    let no = if tracing.impossible.is_empty() {
        String::new()
    } else {
        format!("; not {}", tracing.impossible.join("; not "))
    };
    match tracing.possible.split_first() {
        None => format!("no backend{no}"),
        Some((best, rest)) => {
            let rest =
                if rest.is_empty() { String::new() } else { format!(", else {}", rest.join(", else ")) };
            format!("{best}{rest}: not tried (portscope check --hooks does){no}")
        }
    }
}

fn findings(out: &mut String, check: &Check, all: bool) {
    let in_full = |one: &&FindingRecord| all || !one.lint;
    let most = if all { usize::MAX } else { FULL_FINDINGS };
    for finding in check.findings.iter().filter(in_full).take(most) {
        if check.verdict.finding.as_deref() != Some(finding.id.as_str()) {
            line(out, &finding.id, &about(check, finding));
        }
        for one in &finding.lines {
            line(out, &one.label, &one.text);
        }
    }
    for finding in check.findings.iter().filter(in_full).skip(most) {
        line(out, &finding.id, &about(check, finding));
    }
    if all {
        return;
    }
    let lints: Vec<&FindingRecord> = check.findings.iter().filter(|one| one.lint).collect();
    for finding in lints.iter().take(NOTES) {
        line(out, "note", &format!("{} {}", finding.id, about(check, finding)));
    }
    if let Some(first) = lints.first() {
        let more = match lints.len().saturating_sub(NOTES) {
            0 => String::new(),
            more => format!("{more} notes more; "),
        };
        let id = &first.id;
        line(
            out,
            "",
            &format!("{more}what to do: portscope check -v; what it means: portscope explain {id}"),
        );
    }
}

/// The sentence of a finding, with its namespace where there are several.
fn about(check: &Check, finding: &FindingRecord) -> String {
    let netns = finding.evidence.get("netns").and_then(serde_json::Value::as_u64);
    let space = check.netns.iter().find(|space| netns == Some(space.state.id.into()));
    match space {
        Some(space) if check.netns.len() > 1 => format!("{}: {}", space.label, finding.title),
        _ => finding.title.clone(),
    }
}

/// What could not be seen.
fn notes(out: &mut String, check: &Check) {
    if let Some(first) = check.unanswered.first() {
        let more = match check.unanswered.len() {
            1 => String::new(),
            all => format!(", and {} questions more (-o json has them)", all - 1),
        };
        line(out, "not seen", &format!("{first}{more}"));
    }
    if check.unreadable_processes != 0 {
        let told = processes(check.unreadable_processes);
        line(out, "not seen", &told);
    }
    if check.truncated {
        line(
            out,
            "not seen",
            "there are more processes, namespaces or sockets than are looked at: numbers are lower bounds",
        );
    }
}

#[cfg(test)]
mod tests;
