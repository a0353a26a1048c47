//! Verdicts, pools and findings as records.

use std::collections::BTreeMap;

use crate::{
    event::{MonoNs, NetnsId, Port},
    findings::{Command, Finding, HeldPools, Holding, Prospect, Verdict, Worst},
    output::records::{
        CommandRecord, FindingRecord, ForecastRecord, HalfRecord, HalvesRecord, HoldRecord, LineRecord,
        PoolHolderRecord, PoolRecord, PoolSearchRecord, SideRecord, VerdictRecord,
    },
    stats::{Forecast, Searched},
    stock::{Half, Parity, Pool, PoolKey},
};

/// A verdict as a record.
#[must_use]
pub fn verdict(verdict: &Verdict) -> VerdictRecord {
    VerdictRecord {
        word: verdict.word.name().to_owned(),
        reason: verdict.reason.clone(),
        finding: verdict.finding.map(|id| id.to_string()),
    }
}

/// A finding as a record.
#[must_use]
pub fn finding(finding: &Finding) -> FindingRecord {
    FindingRecord {
        id: finding.id.to_string(),
        severity: finding.severity.name().to_owned(),
        takes_in: finding.takes_in.iter().map(ToString::to_string).collect(),
        lint: finding.id.is_lint(),
        title: finding.title.clone(),
        evidence: finding.evidence.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        lines: finding
            .lines
            .iter()
            .map(|line| LineRecord { label: line.label.to_owned(), text: line.text.clone() })
            .collect(),
        advice: finding
            .advice
            .iter()
            .map(|advice| match &advice.risk {
                Some(risk) => format!("{} (risk: {risk})", advice.text),
                None => advice.text.clone(),
            })
            .collect(),
        wont_help: finding.wont_help.iter().map(|text| (*text).to_owned()).collect(),
        commands: finding.commands.iter().map(command).collect(),
    }
}

/// A command as a record.
#[must_use]
pub fn command(command: &Command) -> CommandRecord {
    CommandRecord {
        netns: command.netns.map(NetnsId::get),
        run: command.run.clone(),
        persist: command.persist.clone(),
        undo: command.undo.clone(),
        risk: command.risk.clone(),
    }
}

/// The pools of namespaces as records, the fullest first.
#[must_use]
pub fn pools(spaces: &[HeldPools]) -> Vec<PoolRecord> {
    let mut all: Vec<PoolRecord> = spaces
        .iter()
        .flat_map(|space| space.iter().map(|(pool, peak, holders)| record(space.netns, pool, peak, holders)))
        .collect();
    let share = |pool: &PoolRecord| pool.utilisation.unwrap_or(0.0);
    all.sort_by(|one, other| share(other).total_cmp(&share(one)));
    all
}

/// The pools that were nearly full in a window from `start` on and are among the fullest no longer, as they were at
/// their fullest, the fullest first.
#[must_use]
pub fn vanished(spaces: &[HeldPools], start: MonoNs) -> Vec<PoolRecord> {
    let mut all: Vec<(NetnsId, &Worst)> = spaces
        .iter()
        .flat_map(|space| {
            let is_there = |worst: &&Worst| space.iter().any(|(pool, ..)| pool.key == worst.pool.key);
            space.worst.iter().filter(move |worst| !is_there(worst)).map(|worst| (space.netns, worst))
        })
        .collect();
    let share = |worst: &Worst| worst.pool.utilisation().unwrap_or(0.0);
    all.sort_by(|(_, one), (_, other)| share(other).total_cmp(&share(one)).then(one.at.cmp(&other.at)));
    all.into_iter()
        .map(|(netns, worst)| PoolRecord {
            held_after_s: Some(seconds(worst.at.since(start))),
            ..record(netns, &worst.pool, worst.pool.barred, &worst.holders)
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a window has less than 52 bits of nanoseconds for 52 days")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn record(netns: NetnsId, pool: &Pool, peak: u32, holders: &[Holding]) -> PoolRecord {
    let (remote_addr, remote_port) = match pool.key {
        PoolKey::Connect { raddr, rport, .. } => (Some(raddr), Some(rport)),
        PoolKey::Bind { .. } => (None, None),
    };
    let half = |half: Half| HalfRecord { of: half.of, barred: half.barred };
    let held: BTreeMap<String, u32> =
        pool.held.iter().map(|(state, ports)| (state.name().to_owned(), ports)).collect();
    PoolRecord {
        netns: netns.get(),
        proto: pool.key.proto().name().to_owned(),
        local_addr: pool.key.laddr(),
        remote_addr,
        remote_port: remote_port.map(Port::get),
        range: [pool.range.low(), pool.range.high()],
        effective: pool.effective,
        held_after_s: None,
        barred: pool.barred,
        peak_barred: peak,
        utilisation: pool.utilisation(),
        barred_by_binds: pool.barred_by_binds,
        held,
        reusable_time_wait: pool.reusable_time_wait,
        halves: pool.halves.map(|halves| HalvesRecord {
            first: match halves.first {
                Parity::Even => "even".to_owned(),
                Parity::Odd => "odd".to_owned(),
            },
            even: half(halves.even),
            odd: half(halves.odd),
        }),
        failures: None,
        sustainable_per_s: None,
        cliff_per_s: None,
        hold: None,
        exhausted_in_s: None,
        search: None,
        holders: holders.iter().map(holder).collect(),
    }
}

/// Adds to records of pools what the flow tells of them.
pub fn add_prospects(pools: &mut [PoolRecord], prospects: &[Prospect]) {
    for pool in pools {
        let found = prospects.iter().find(|one| {
            let (raddr, rport) = match one.key {
                PoolKey::Connect { raddr, rport, .. } => (Some(raddr), Some(rport.get())),
                PoolKey::Bind { .. } => (None, None),
            };
            one.netns.get() == pool.netns
                && one.key.proto().name() == pool.proto
                && one.key.laddr() == pool.local_addr
                && (raddr, rport) == (pool.remote_addr, pool.remote_port)
        });
        let Some(Prospect { hold, forecast, stayed, crossed, .. }) = found else { continue };
        pool.sustainable_per_s = hold.and_then(|hold| hold.sustainable_per_s(pool.effective));
        pool.cliff_per_s =
            hold.filter(|_| pool.halves.is_some()).and_then(|hold| hold.cliff_per_s(pool.effective));
        pool.hold = hold.map(|hold| HoldRecord {
            seconds: hold.hold_s,
            life_s: hold.life_s,
            time_wait_share: hold.time_wait_share,
            closes: hold.closes,
        });
        pool.exhausted_in_s = forecast.map(|(forecast, basis)| outlook(forecast, basis));
        pool.search =
            stayed.map(|stayed| PoolSearchRecord { stayed: side(stayed), crossed: crossed.map(side) });
    }
}

fn outlook(forecast: Forecast, basis: &str) -> ForecastRecord {
    let none = ForecastRecord {
        estimate: None,
        low: None,
        high: None,
        levels_off_at: None,
        basis: basis.to_owned(),
    };
    match forecast {
        Forecast::Full => {
            let now = Some(0.0);
            ForecastRecord { estimate: now, low: now, high: now, basis: "stock".to_owned(), ..none }
        }
        Forecast::In { estimate_s, low_s, high_s } => {
            ForecastRecord { estimate: Some(estimate_s), low: Some(low_s), high: Some(high_s), ..none }
        }
        Forecast::LevelsOff { utilisation } => ForecastRecord { levels_off_at: Some(utilisation), ..none },
        Forecast::Falls => none,
    }
}

fn side(side: Searched) -> SideRecord {
    SideRecord {
        searches: side.searches,
        mean_ns: side.mean_ns,
        p50_ns: side.times.p50,
        p99_ns: side.times.p99,
    }
}

fn holder(holding: &Holding) -> PoolHolderRecord {
    let text = |text: Option<&str>| text.map(str::to_owned);
    PoolHolderRecord {
        pid: holding.pid.map(|pid| pid.0),
        processes: holding.processes,
        comm: text(holding.process.comm()),
        exe: text(holding.process.exe()),
        unit: text(holding.process.unit()),
        container: text(holding.process.container()),
        pod: text(holding.process.pod()),
        ports: holding.ports,
        time_wait: holding.time_wait,
    }
}
