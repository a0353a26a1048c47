//! From a survey and its judgement to the documents of `check`.

use std::{cmp::Reverse, collections::BTreeMap, fs, path::Path};

use super::{
    answer,
    frame::{netns_state, self_cost},
    survey::Survey,
};
use crate::{
    enrich::{Clock, Rfc3339, monotonic_now},
    event::NetnsId,
    findings::Judgement,
    kernel::{Backend, facts::Facts, plan},
    output::records::{
        Bundle, Check, ConntrackRecord, PoolRecord, SCHEMA, SocketCount, SpaceDetail, SpaceRecord,
        TracingRecord,
    },
    stock::{Counters, NetnsConfig, NetnsStock, Parity, PortSet, Stock, TIME_WAIT_S},
};

/// The document of `check`.
#[must_use]
pub fn document(survey: &Survey, judgement: &Judgement) -> Check {
    let names = rustix::system::uname();
    let stock = &survey.stock;
    let pools = answer::pools(&survey.pools);
    let mut netns: Vec<SpaceRecord> = stock.spaces.iter().map(space).collect();
    let own = survey.own_netns.map(NetnsId::get);
    for space in netns.iter_mut().filter(|one| Some(one.state.id) == own && one.state.name.is_none()) {
        "own".clone_into(&mut space.label);
    }
    netns.sort_by_cached_key(|space| {
        let fullest = fullest(&pools, space.state.id).map_or(0, |pool| pool.barred);
        (Some(space.state.id) != own, Reverse(fullest), space.label.clone())
    });
    Check {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: names.nodename().to_string_lossy().into_owned(),
        kernel: names.release().to_string_lossy().into_owned(),
        time: now(),
        verdict: answer::verdict(&judgement.verdict),
        netns,
        pools,
        findings: judgement.findings.iter().map(answer::finding).collect(),
        tracing: tracing(),
        unanswered: unanswered(stock),
        unreadable_processes: stock.unreadable,
        truncated: stock.truncated,
        cost: self_cost(),
    }
}

/// The fullest TCP pool for connect of a namespace; pools come with the fullest first.
fn fullest(pools: &[PoolRecord], netns: u32) -> Option<&PoolRecord> {
    pools.iter().find(|pool| pool.netns == netns && pool.remote_port.is_some() && pool.proto == "tcp")
}

/// The time now: RFC 3339, UTC.
pub(super) fn now() -> String {
    Rfc3339::text(Clock::sample().utc(monotonic_now()))
}

/// Questions that had no answer, each with its reason.
pub(super) fn unanswered(stock: &Stock) -> Vec<String> {
    let told = |failure: &crate::stock::Failure| {
        let space = stock.space(failure.netns).map(|space| space.namespace.label());
        let label = space.unwrap_or_else(|| format!("net:[{}]", failure.netns.get()));
        let cause = std::error::Error::source(&failure.error).map(|cause| format!(": {cause}"));
        let cause = cause.as_deref().unwrap_or_default();
        // Without the number that Rust adds.
        let cause = cause.split(" (os error").next().unwrap_or_default();
        format!("netns {label}: {}{cause}", failure.error)
    };
    stock.failures.iter().map(told).collect()
}

/// A namespace as a record.
pub(super) fn space(space: &NetnsStock) -> SpaceRecord {
    let config = space.config.as_ref();
    let settings = space.settings.unwrap_or_default();
    let counters = space.counters.unwrap_or_default();
    SpaceRecord {
        state: netns_state(&space.namespace, config, space.settings.as_ref()),
        label: space.namespace.label(),
        cliff: config.and_then(cliff),
        pays_back_per_s: config.map(|config| f64::from(config.effective()) / f64::from(TIME_WAIT_S)),
        sockets: space.sockets.as_ref().map(|sockets| sockets.list.len()),
        tcp_fin_timeout_s: settings.tcp_fin_timeout_s,
        tcp_max_tw_buckets: settings.tcp_max_tw_buckets,
        ip_unprivileged_port_start: settings.ip_unprivileged_port_start,
        ip_autobind_reuse: settings.ip_autobind_reuse,
        time_waits: counters.time_waits,
        conntrack: ConntrackRecord {
            count: counters.conntrack_count,
            max: settings.nf_conntrack_max,
            time_wait_s: settings.nf_conntrack_tcp_timeout_time_wait_s,
        },
    }
}

/// Unreserved ports of the half that connects take first.
fn cliff(config: &NetnsConfig) -> Option<u32> {
    let strides = config.step_width.is_some_and(|width| width != 0);
    let ports = PortSet::effective(config.range, &config.reserved);
    (!strides).then(|| ports.count_of(Parity::of(config.range.low())))
}

/// What the host shows without a trial: the symbols are not read, either, for that takes its time.
fn tracing() -> TracingRecord {
    let Ok(facts) = Facts::read() else { return TracingRecord::default() };
    let mut told = TracingRecord {
        missing_capabilities: facts.missing_capabilities.iter().map(|&name| name.to_owned()).collect(),
        ..TracingRecord::default()
    };
    for backend in Backend::ALL {
        match plan::plan(&facts, backend, plan::Wishes::default()) {
            Ok(_) => told.possible.push(backend.name().to_owned()),
            Err(refusal) => told.impossible.push(format!("{backend}: {refusal}")),
        }
    }
    told
}

/// The evidence for a ticket.
#[must_use]
pub fn bundle(survey: &Survey, check: Check, proc_root: &Path) -> Bundle {
    let names = rustix::system::uname();
    let boot_id = fs::read_to_string(proc_root.join("sys/kernel/random/boot_id"));
    Bundle {
        schema: SCHEMA,
        boot_id: boot_id.ok().map(|id| id.trim().to_owned()),
        kernel_build: names.version().to_string_lossy().into_owned(),
        machine: names.machine().to_string_lossy().into_owned(),
        check,
        netns: survey.stock.spaces.iter().map(detail).collect(),
    }
}

fn detail(space: &NetnsStock) -> SpaceDetail {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for socket in space.list() {
        *counts.entry((socket.protocol.name(), socket.state.name())).or_default() += 1;
    }
    let sockets = counts.into_iter().map(|((proto, state), count)| SocketCount {
        proto: proto.to_owned(),
        state: state.to_owned(),
        count,
    });
    let untold = space.sockets.iter().flat_map(|sockets| &sockets.untold);
    SpaceDetail {
        id: space.namespace.id.get(),
        sockets: sockets.collect(),
        untold: untold.map(|proto| proto.name().to_owned()).collect(),
        interrupted: space.sockets.as_ref().map(|sockets| sockets.interrupted),
        counters: counters(&space.counters.unwrap_or_default()),
    }
}

fn counters(counters: &Counters) -> BTreeMap<String, Option<u64>> {
    let all = [
        ("active_opens", counters.active_opens),
        ("attempt_fails", counters.attempt_fails),
        ("tw", counters.tw),
        ("tw_recycled", counters.tw_recycled),
        ("time_wait_overflow", counters.time_wait_overflow),
        ("syn_retrans", counters.syn_retrans),
        ("time_waits", counters.time_waits),
        ("conntrack_count", counters.conntrack_count.map(u64::from)),
        ("conntrack_drop", counters.conntrack_drop),
        ("conntrack_insert_failed", counters.conntrack_insert_failed),
    ];
    all.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
