//! The end of a report: from what was gathered to a verdict, findings and the document.

use std::{collections::BTreeMap, sync::Arc};

use rustc_hash::FxHashMap;

use super::{
    accounts::with_kernel,
    answer, check, exhibits,
    gather::Gathered,
    host::Host,
    look::{Moment, Peaks},
    report::{self, Span},
    survey::{Known, Survey},
};
use crate::{
    enrich::{Cgroup, Clock, Process, Rfc3339},
    event::{MonoNs, NetnsId, Pid, Port, Protocol},
    findings::{Finding, Flow, Refusal, Victim, judge, prospects},
    output::{
        html::Exhibits,
        records::{CommandEnd, Header, PoolRecord, Report, SCHEMA, Window},
    },
    stats::{By, Identity, ProcessKey, RefusalRow, Stats},
    stock::{PoolKey, PortSet, Socket, Stock, StockError, Wanted},
};

/// What was watched, and how it ended.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The header, made at the start.
    pub header: Header,
    /// How processes are collapsed.
    pub by: By,
    /// Which interval it was, from 1; none of the whole.
    pub interval: Option<u32>,
    /// The stock at its start.
    pub before: Arc<Stock>,
    /// The command of `-- CMD`.
    pub command: Option<CommandEnd>,
    /// Its CPU time and that of its descendants.
    pub command_cpu_ns: Option<u64>,
}

/// A report and what it rests on.
#[derive(Debug)]
pub struct Conclusion {
    /// The document.
    pub report: Report,
    /// The findings in it.
    pub findings: Vec<Finding>,
    /// What a page shows beside the document.
    pub exhibits: Exhibits,
    /// The stock at the end.
    pub stock: Arc<Stock>,
}

/// Draws the conclusion. It looks at the host: where that is this one, not on a thread that must not wait.
///
/// # Errors
///
/// /proc cannot be listed.
pub fn conclude(gathered: &Gathered, watched: Watched, host: &dyn Host) -> Result<Conclusion, StockError> {
    conclude_and(gathered, watched, host, |_, _| ()).map(|(conclusion, ())| conclusion)
}

/// As [`conclude`], with what `see` takes from that on which it rests.
///
/// # Errors
///
/// /proc cannot be listed.
pub fn conclude_and<T>(
    gathered: &Gathered,
    watched: Watched,
    host: &dyn Host,
    see: impl FnOnce(&Survey, &[Refusal]) -> T,
) -> Result<(Conclusion, T), StockError> {
    let Gathered { stats, before, peaks, series, accounting, at } = gathered;
    let span = Span { start: stats.settings().start, at: *at };
    let mut known = Flowed { stats, before: before.as_deref(), peaks, makers: FxHashMap::default() };
    let mut survey = Survey::take(host, &Wanted::default(), &mut known)?;
    let mut refusals = refusals(stats);
    survey.add_unlisted(&refusals, host, &mut known)?;
    survey.name_keepers(&mut refusals, host, &mut known)?;
    let flow = Flow {
        start: span.start,
        at: span.at,
        stats,
        refusals: &refusals,
        lost: accounting.lost,
        unavailable: &watched.header.fields_unavailable,
        command_cpu_ns: watched.command_cpu_ns,
        is_load: watched.command.is_some(),
    };
    let case = survey.case(Some(&watched.before), Some(&flow));
    let judgement = judge(&case);
    let mut pools = answer::pools(&survey.pools);
    answer::add_prospects(&mut pools, &prospects(&case));
    pools.extend(answer::vanished(&survey.pools, span.start));
    add_failures(&mut pools, &refusals);
    // The picture of a command's report is of its own pools, whatever else is full on the host.
    let alone = watched.command.as_ref().is_some_and(|command| command.alone);
    let destinations = attempts(stats);
    let config = |netns: NetnsId| survey.stock.space(netns)?.config.as_ref();
    let report = Report {
        schema: SCHEMA,
        header: watched.header,
        window: window(span, host.clock()),
        interval: watched.interval,
        verdict: answer::verdict(&judgement.verdict),
        totals: report::totals(stats, span, series),
        processes: report::processes(stats, watched.by, span),
        destinations: report::destinations(stats, span),
        rows_bound: report::rows_bound(stats, watched.by),
        pools,
        collisions: report::collisions(stats),
        search: report::search(stats, span),
        reuse: report::reuse(stats, span),
        distribution: report::distribution(stats, config),
        call_sites: None,
        findings: judgement.findings.iter().map(answer::finding).collect(),
        accounting: accounting.clone(),
        command: watched.command,
        cost: with_kernel(host.cost(), accounting),
    };
    let mine = |netns: NetnsId, key: &PoolKey| is_of(&destinations, netns, key);
    let exhibits = Exhibits {
        timeline: exhibits::timeline(series, &watched.before, &survey, *at, mine),
        search_times: stats.search_times(),
        map: survey.map(|netns, key| !alone || mine(netns, key)),
        spaces: survey.stock.spaces.iter().map(check::space).collect(),
    };
    let seen = see(&survey, &refusals);
    let stock = Arc::new(survey.stock);
    Ok((Conclusion { report, findings: judgement.findings, exhibits, stock }, seen))
}

#[expect(clippy::cast_precision_loss, reason = "a window has less than 52 bits of nanoseconds for 52 days")]
fn window(span: Span, clock: Clock) -> Window {
    Window {
        started: Rfc3339::text(clock.utc(span.start)),
        ended: Rfc3339::text(clock.utc(span.at)),
        seconds: span.at.since(span.start) as f64 / 1e9,
    }
}

/// What the flow knows beside the stock.
struct Flowed<'a> {
    stats: &'a Stats,
    /// Of the time before; none where there was none.
    before: Option<&'a Stats>,
    peaks: &'a Peaks,
    makers: FxHashMap<ProcessKey, Process>,
}

impl Known for Flowed<'_> {
    fn binders(&self, netns: NetnsId) -> PortSet {
        let before = self.before.into_iter().flat_map(|before| before.bound_ports(netns));
        self.stats.bound_ports(netns).chain(before).collect()
    }

    fn follows_releases(&self) -> bool {
        self.stats.settings().releases
    }

    fn peak(&self, netns: NetnsId, key: &PoolKey) -> u32 {
        self.peaks.barred(netns, key)
    }

    fn moments(&self, netns: NetnsId) -> Vec<Arc<Moment>> {
        self.peaks.moments(netns).map(Arc::clone).collect()
    }

    fn maker(&mut self, netns: NetnsId, socket: &Socket) -> Option<(Pid, Process)> {
        let remote = match socket.remote_port {
            Some(port) => (socket.remote_addr, port.get()),
            None => (socket.local_addr, 0),
        };
        let port = socket.local_port?.get();
        let mut known = [Some(self.stats), self.before].into_iter().flatten();
        let owned = |stats: &'_ Stats| stats.owner(netns, socket.protocol, port, remote);
        let (stats, key) = known.find_map(|stats| Some((stats, owned(stats)?)))?;
        let process = self
            .makers
            .entry(key)
            .or_insert_with(|| stats.identity(key).map_or_else(Process::unknown, process_of));
        Some((key.pid, process.clone()))
    }
}

fn process_of(identity: &Identity) -> Process {
    let [unit, container, pod] = [&identity.unit, &identity.container, &identity.pod].map(Option::as_deref);
    let cgroup = Cgroup::new(None, unit, container, pod);
    Process::new(identity.comm.as_deref(), identity.exe.as_deref(), Some(Arc::new(cgroup)))
}

/// Failures by pool and cause, the most first.
fn refusals(stats: &Stats) -> Vec<Refusal> {
    let (rows, _) = stats.refusals();
    let attempts = attempts(stats);
    let mut all: Vec<Refusal> = rows
        .iter()
        .map(|row| {
            let beside = stats.given_beside(&row.key).map(|given| given.saturating_add(row.count));
            refusal(row, &attempts, beside)
        })
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.count));
    all
}

type Remote = (Option<NetnsId>, Protocol, std::net::IpAddr, Option<Port>);

/// Allocations by destination.
fn attempts(stats: &Stats) -> FxHashMap<Remote, u64> {
    let destinations = stats.destinations();
    let counted = destinations.iter().map(|one| {
        let key = (one.key.netns(), one.key.protocol(), one.key.addr(), one.key.port());
        (key, one.row.allocations())
    });
    counted.collect()
}

/// Whether it is the pool of one of these destinations, or of their kind of binds.
fn is_of(destinations: &FxHashMap<Remote, u64>, netns: NetnsId, key: &PoolKey) -> bool {
    match *key {
        PoolKey::Connect { proto, raddr, rport, .. } => {
            destinations.contains_key(&(Some(netns), proto, raddr, Some(rport)))
        }
        PoolKey::Bind { proto, .. } => {
            destinations.keys().any(|(of, with, ..)| *of == Some(netns) && *with == proto)
        }
    }
}

fn refusal(row: &RefusalRow, attempts: &FxHashMap<Remote, u64>, beside: Option<u64>) -> Refusal {
    let mut groups: BTreeMap<_, Victim> = BTreeMap::new();
    for victim in &row.victims {
        let process = &victim.process;
        let group = groups.entry(process.program()).or_insert_with(|| Victim {
            pid: victim.pid,
            processes: 0,
            process: process.clone(),
            count: 0,
        });
        group.processes += 1;
        group.count += victim.count;
    }
    let mut victims: Vec<Victim> = groups.into_values().collect();
    victims.sort_by_key(|one| std::cmp::Reverse(one.count));
    let key = row.key;
    let asked = key.raddr.and_then(|raddr| attempts.get(&(key.netns, key.proto, raddr, key.rport)));
    Refusal {
        netns: key.netns,
        proto: key.proto,
        site: key.site,
        requested: key.requested,
        laddr: key.laddr,
        raddr: key.raddr,
        rport: key.rport,
        cause: key.cause,
        errno: row.errno,
        count: row.count,
        attempts: asked.copied().or(beside).unwrap_or(0).max(row.count),
        first: MonoNs(row.first.0),
        last: MonoNs(row.last.0),
        victims,
        holders: Vec::new(),
    }
}

/// Pools with their failures in the window.
fn add_failures(pools: &mut [PoolRecord], refusals: &[Refusal]) {
    for pool in pools {
        let same = |refusal: &&Refusal| {
            refusal.netns.map(NetnsId::get) == Some(pool.netns)
                && refusal.proto.name() == pool.proto
                && refusal.laddr == Some(pool.local_addr)
                && refusal.raddr == pool.remote_addr
                && refusal.rport.map(Port::get) == pool.remote_port
                && refusal.requested.is_none()
        };
        pool.failures = Some(refusals.iter().filter(same).map(|refusal| refusal.count).sum());
    }
}
