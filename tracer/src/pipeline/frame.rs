//! The first and the last record of a trace, from what the rooms know.

use std::{collections::BTreeMap, fs};

use rustix::time::{ClockId, clock_gettime};

use super::accounts::{Accounts, kind, outcome, protocol};
use crate::{
    enrich::{Clock, Rfc3339, monotonic_now},
    event::{Comm, Errno, Kind, NetnsId, Outcome},
    kernel::{
        Armed, Backend,
        counts::{Counts, Tally},
        hooks::Verdict,
    },
    output::records::{
        Diagnostics, FilterValue, Footer, Header, HookState, LostBy, NetnsState, SCHEMA, SelfCost,
    },
    stock::{Namespace, Namespaces, NetnsConfig, Settings, TimeWaitReuse},
};

/// What the header tells beside the kernel half.
#[derive(Clone, Debug, Default)]
pub struct FrameFacts {
    /// Filters in force.
    pub filters: BTreeMap<String, FilterValue>,
    /// Namespaces of the host.
    pub namespaces: Namespaces,
    /// Their settings.
    pub configs: Vec<NetnsConfig>,
    /// What else they are set to.
    pub settings: Vec<(NetnsId, Settings)>,
    /// Size of the ring.
    pub buffer_bytes: u64,
}

/// The header of a trace that starts now.
#[must_use]
pub fn header(armed: &Armed, facts: &FrameFacts) -> Header {
    let approximate: &[&str] = if armed.backend() == Backend::Tracepoint { &["search_ns"] } else { &[] };
    Header {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        kernel: armed.kernel_release().to_owned(),
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned()),
        started: Rfc3339::text(Clock::sample().utc(armed.started())),
        backend: armed.backend().name().to_owned(),
        fields_unavailable: armed.unavailable().iter().map(|name| (*name).to_owned()).collect(),
        fields_approximate: approximate.iter().map(|name| (*name).to_owned()).collect(),
        netns: facts.namespaces.list.iter().map(|space| netns(space, facts)).collect(),
        filters: facts.filters.clone(),
        hooks: armed.hooks().iter().map(|(hook, verdict)| hook_state(hook, verdict)).collect(),
        buffer_bytes: facts.buffer_bytes,
    }
}

fn now() -> String {
    Rfc3339::text(Clock::sample().utc(monotonic_now()))
}

fn netns(space: &Namespace, facts: &FrameFacts) -> NetnsState {
    let config = facts.configs.iter().find(|config| config.id == space.id);
    let settings = facts.settings.iter().find(|(id, _)| *id == space.id).map(|(_, settings)| settings);
    netns_state(space, config, settings)
}

/// A namespace with its range and with what decides how soon a port can be taken again.
pub(super) fn netns_state(
    space: &Namespace,
    config: Option<&NetnsConfig>,
    settings: Option<&Settings>,
) -> NetnsState {
    NetnsState {
        id: space.id.get(),
        name: space.name.clone(),
        range: config.map(|config| [config.range.low(), config.range.high()]),
        reserved: config.map(|config| config.reserved_text.clone()),
        effective: config.map(NetnsConfig::effective),
        step_width: config.and_then(|config| config.step_width),
        tcp_tw_reuse: settings.and_then(|settings| settings.tcp_tw_reuse).map(number),
        tcp_tw_reuse_delay_ms: settings.and_then(|settings| settings.tcp_tw_reuse_delay_ms),
        tcp_timestamps: settings.and_then(|settings| settings.tcp_timestamps),
    }
}

const fn number(reuse: TimeWaitReuse) -> u32 {
    match reuse {
        TimeWaitReuse::Off => 0,
        TimeWaitReuse::Everywhere => 1,
        TimeWaitReuse::Loopback => 2,
        TimeWaitReuse::Unknown(number) => number,
    }
}

/// One hook, as records tell it.
#[must_use]
pub fn hook_state(hook: &crate::kernel::hooks::Hook, verdict: &Verdict) -> HookState {
    HookState {
        hook: hook.target.place(),
        program: hook.program.to_owned(),
        verdict: verdict.word().to_owned(),
        reason: if let Verdict::Not(refusal) = verdict { Some(refusal.to_string()) } else { None },
    }
}

/// The footer of a trace that ends now.
#[must_use]
pub fn footer(accounts: &Accounts, counts: &Counts, tallies: &[Tally], decode_errors: u64) -> Footer {
    footer_of(accounts, tallies, diagnostics(counts, decode_errors), now(), accounts.cost())
}

/// What went wrong inside.
pub(super) fn diagnostics(counts: &Counts, decode_errors: u64) -> Diagnostics {
    let raw = counts.raw();
    Diagnostics {
        no_entry: raw.no_entry,
        spilled: raw.spilled,
        spill_full: raw.spill_full,
        read_failed: raw.read_failed,
        live_full: raw.live_full,
        tally_full: raw.tally_full,
        decode_errors,
    }
}

/// A footer of these.
pub(super) fn footer_of(
    accounts: &Accounts,
    tallies: &[Tally],
    diagnostics: Diagnostics,
    ended: String,
    cost: SelfCost,
) -> Footer {
    let mut lost_by: Vec<LostBy> = tallies.iter().map(lost_by).collect();
    lost_by.sort_by(|one, other| other.count.cmp(&one.count).then(one.pid.cmp(&other.pid)));
    Footer {
        seen: accounts.seen,
        emitted: accounts.emitted,
        filtered: accounts.filtered,
        lost: accounts.lost,
        missed: accounts.missed,
        inner_calls: accounts.inner_calls,
        inner_missed: accounts.inner_missed,
        ended,
        totals: accounts.totals.clone(),
        lost_by,
        diagnostics,
        cost,
        host: None,
    }
}

fn lost_by(tally: &Tally) -> LostBy {
    let cell = tally.cell;
    let error = match outcome(cell.result) {
        Outcome::Ok => None,
        Outcome::Failed { errno } => Some(errno.and_then(Errno::name).unwrap_or("unknown").to_owned()),
    };
    LostBy {
        pid: Some(tally.pid),
        comm: Some(Comm(tally.comm).lossy().into_owned()),
        site: site(kind(cell.kind)).to_owned(),
        proto: protocol(cell.protocol).name().to_owned(),
        error,
        count: cell.count,
    }
}

/// The word for a kind of event in tables of counts.
#[must_use]
pub(super) fn site(kind: Kind) -> &'static str {
    kind.site().map_or("release", crate::event::Site::name)
}

#[expect(clippy::cast_precision_loss, reason = "a CPU time has less than 52 bits of nanoseconds for 52 days")]
pub(super) fn self_cost() -> SelfCost {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.split_ascii_whitespace().next())
        .and_then(|value| value.parse::<u64>().ok());
    SelfCost {
        cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        rss_bytes: peak_kib.unwrap_or(0) * 1024,
        kernel_ns_per_event: None,
    }
}
