//! Verdicts, pools and findings as records.

use std::collections::BTreeMap;

use crate::{
    event::{NetnsId, Port},
    findings::{Command, Finding, HeldPools, Holding, Verdict},
    output::records::{
        CommandRecord, FindingRecord, HalfRecord, HalvesRecord, LineRecord, PoolHolderRecord, PoolRecord,
        VerdictRecord,
    },
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
        exhausted_in_s: None,
        holders: holders.iter().map(holder).collect(),
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
        ports: holding.ports,
        time_wait: holding.time_wait,
    }
}
