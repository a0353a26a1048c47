//! What `check` tells: a document, and the same as a screen.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    escape,
    records::{FindingRecord, NetnsState, PoolRecord, SCHEMA, VerdictRecord},
    report::{grouped, share},
};
use crate::stock::{NetnsConfig, NetnsStock, Settings, Stock, TimeWaitReuse};

/// Findings that are told in full.
const FULL_FINDINGS: usize = 3;
const LABEL: usize = 13;

/// The document of `check`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Check {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: u32,
    host: String,
    kernel: String,
    time: String,
    verdict: VerdictRecord,
    netns: Vec<SpaceRecord>,
    pools: Vec<PoolRecord>,
    findings: Vec<FindingRecord>,
    /// Questions to namespaces that had no answer.
    not_asked: usize,
}

/// A namespace and its settings.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct SpaceRecord {
    #[serde(flatten)]
    state: NetnsState,
    label: String,
    cliff: Option<u32>,
    sockets: usize,
    tcp_tw_reuse: Option<u32>,
    tcp_tw_reuse_delay_ms: Option<u32>,
    tcp_timestamps: Option<u32>,
    tcp_fin_timeout_s: Option<u32>,
    tcp_max_tw_buckets: Option<u32>,
    ip_unprivileged_port_start: Option<u32>,
    ip_autobind_reuse: Option<u32>,
    time_waits: Option<u64>,
    conntrack: Option<[u32; 2]>,
}

/// How the screen looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colour the verdict.
    pub color: bool,
}

/// Makes the document.
#[must_use]
pub fn document(
    stock: &Stock,
    verdict: VerdictRecord,
    pools: Vec<PoolRecord>,
    findings: Vec<FindingRecord>,
) -> Check {
    use crate::enrich::{Clock, Rfc3339, monotonic_now};
    let names = rustix::system::uname();
    Check {
        kind: "check",
        schema: SCHEMA,
        host: names.nodename().to_string_lossy().into_owned(),
        kernel: names.release().to_string_lossy().into_owned(),
        time: Rfc3339::text(Clock::sample().utc(monotonic_now())),
        verdict,
        netns: stock.spaces.iter().map(space).collect(),
        pools,
        findings,
        not_asked: stock.failures.len(),
    }
}

fn space(space: &NetnsStock) -> SpaceRecord {
    let config = space.config.as_ref();
    let settings = space.settings.unwrap_or_default();
    let counters = space.counters.unwrap_or_default();
    SpaceRecord {
        state: NetnsState {
            id: space.namespace.id.get(),
            name: space.namespace.name.clone(),
            range: config.map(|config| [config.range.low(), config.range.high()]),
            reserved: config.map(|config| config.reserved_text.clone()),
            effective: config.map(NetnsConfig::effective),
            step_width: config.and_then(|config| config.step_width),
        },
        label: space.namespace.label(),
        cliff: config.and_then(cliff),
        sockets: space.list().len(),
        tcp_tw_reuse: settings.tcp_tw_reuse.map(number),
        tcp_tw_reuse_delay_ms: settings.tcp_tw_reuse_delay_ms,
        tcp_timestamps: settings.tcp_timestamps,
        tcp_fin_timeout_s: settings.tcp_fin_timeout_s,
        tcp_max_tw_buckets: settings.tcp_max_tw_buckets,
        ip_unprivileged_port_start: settings.ip_unprivileged_port_start,
        ip_autobind_reuse: settings.ip_autobind_reuse,
        time_waits: counters.time_waits,
        conntrack: conntrack(&settings, counters.conntrack_count),
    }
}

fn conntrack(settings: &Settings, count: Option<u32>) -> Option<[u32; 2]> {
    Some([count?, settings.nf_conntrack_max?])
}

fn number(reuse: TimeWaitReuse) -> u32 {
    match reuse {
        TimeWaitReuse::Off => 0,
        TimeWaitReuse::Everywhere => 1,
        TimeWaitReuse::Loopback => 2,
        TimeWaitReuse::Unknown(number) => number,
    }
}

/// Unreserved ports of the half that connects take first.
fn cliff(config: &NetnsConfig) -> Option<u32> {
    use crate::stock::{Parity, PortSet};
    let strides = config.step_width.is_some_and(|width| width != 0);
    let ports = PortSet::effective(config.range, &config.reserved);
    (!strides).then(|| ports.count_of(Parity::of(config.range.low())))
}

/// The screen.
#[must_use]
pub fn text(check: &Check, look: Look) -> String {
    let mut out = String::new();
    let verdict = &check.verdict;
    let word = if look.color { format!("\x1b[1m{}\x1b[0m", verdict.word) } else { verdict.word.clone() };
    let told = format!("  {}", escape(&verdict.reason));
    let place =
        format!("{} · {} · {}", check.host, check.kernel, check.time.get(..19).unwrap_or(&check.time));
    let used = verdict.word.len() + told.chars().count() + place.chars().count();
    let gap = 110_usize.saturating_sub(used).max(2);
    put(&mut out, &format!("{word}{told}{:gap$}{}", "", escape(&place)));
    put(
        &mut out,
        &format!(
            "{:<16} {:<12} {:>8} {:>7}  {:<38} {:>14} {:>7}",
            "NETNS", "RANGE", "RESERVED", "USABLE", "FULLEST TCP CONNECT POOL", "HELD", "CLIFF"
        ),
    );
    for space in &check.netns {
        row(&mut out, check, space);
    }
    if let Some(own) = check.netns.first() {
        settings(&mut out, own);
    }
    for finding in check.findings.iter().take(FULL_FINDINGS) {
        line(&mut out, &finding.id, &finding.title);
        for one in &finding.lines {
            line(&mut out, &one.label, &one.text);
        }
    }
    for finding in check.findings.iter().skip(FULL_FINDINGS) {
        line(&mut out, &finding.id, &format!("{} (portscope explain {})", finding.title, finding.id));
    }
    if check.not_asked != 0 {
        line(
            &mut out,
            "note",
            &format!("{} questions to namespaces had no answer (-v tells)", check.not_asked),
        );
    }
    out
}

fn row(out: &mut String, check: &Check, space: &SpaceRecord) {
    let state = &space.state;
    let range = state.range.map_or_else(|| "-".to_owned(), |[low, high]| format!("{low}-{high}"));
    let usable = state.effective.map_or_else(|| "-".to_owned(), |ports| grouped(ports.into()));
    let reserved = state.range.zip(state.effective).map_or_else(
        || "-".to_owned(),
        |([low, high], ports)| grouped(u64::from(u32::from(high - low) + 1 - ports)),
    );
    let fullest = check.pools.iter().find(|pool| {
        pool.netns == state.id && pool.remote_port.is_some() && pool.proto == "tcp" && pool.barred != 0
    });
    let (pool, held) = fullest.map_or_else(
        || ("-".to_owned(), "-".to_owned()),
        |pool| {
            let (addr, port) = (pool.remote_addr, pool.remote_port.unwrap_or_default());
            let remote =
                addr.map_or_else(String::new, |addr| std::net::SocketAddr::new(addr, port).to_string());
            let name = format!("{} > {remote}", pool.local_addr);
            (name, format!("{} ({})", grouped(pool.barred.into()), share(pool.utilisation)))
        },
    );
    let cliff = space.cliff.map_or_else(|| "-".to_owned(), |ports| grouped(ports.into()));
    let label: String = escape(&space.label).chars().take(16).collect();
    put(out, &format!("{label:<16} {range:<12} {reserved:>8} {usable:>7}  {pool:<38} {held:>14} {cliff:>7}"));
}

fn settings(out: &mut String, space: &SpaceRecord) {
    let known = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
    let conntrack = space.conntrack.map_or_else(String::new, |[count, most]| {
        format!("  conntrack {}/{}", grouped(count.into()), grouped(most.into()))
    });
    let told = format!(
        "tcp_tw_reuse={} timestamps={}  TIME_WAIT {}/{}{conntrack}",
        known(space.tcp_tw_reuse.map(u64::from)),
        known(space.tcp_timestamps.map(u64::from)),
        known(space.time_waits),
        known(space.tcp_max_tw_buckets.map(u64::from)),
    );
    line(out, "settings", &told);
}

fn line(out: &mut String, label: &str, text: &str) {
    put(out, &format!("{label:<LABEL$}{}", escape(text)));
}

fn put(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
