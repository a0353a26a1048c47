//! Pools of both reports, matched by what they are and not by the number of their namespace.

use super::{
    rows::{change, first},
    settings::name,
    told::Both,
};
use crate::output::records::{PoolChange, PoolRecord, PoolSide};

/// Those of A and B, the refused first, then the fullest.
pub(super) fn changes(both: Both<'_>) -> Vec<PoolChange> {
    let mut left: Vec<&PoolRecord> = both.a.pools.iter().collect();
    let mut all = Vec::new();
    for after in &both.b.pools {
        let mut places =
            (0..left.len()).filter(|at| left.get(*at).is_some_and(|one| is_same(both, one, after)));
        let alike = |at: &usize| left.get(*at).is_some_and(|one| one.netns == after.netns);
        let found = places.clone().find(alike).or_else(|| places.next());
        let before = found.map(|at| left.remove(at));
        all.push(compared(both, before, Some(after)));
    }
    all.extend(left.into_iter().map(|before| compared(both, Some(before), None)));
    let fullest = |one: &PoolChange| {
        let share =
            |side: &Option<PoolSide>| side.as_ref().map_or(0, |side| side.peak_barred.max(side.barred));
        share(&one.a).max(share(&one.b))
    };
    all.sort_by_key(|one| (first(&one.failures), std::cmp::Reverse(fullest(one))));
    all
}

fn is_same(both: Both<'_>, before: &PoolRecord, after: &PoolRecord) -> bool {
    let what = |pool: &PoolRecord| (pool.local_addr, pool.remote_addr, pool.remote_port);
    let names = (name(both.a, before.netns), name(both.b, after.netns));
    let is_one_place = match names {
        (Some(one), Some(other)) => one == other,
        (None, None) => true,
        _ => false,
    };
    is_one_place && before.proto == after.proto && what(before) == what(after)
}

fn compared(both: Both<'_>, before: Option<&PoolRecord>, after: Option<&PoolRecord>) -> PoolChange {
    // One of them is there; a pool of B tells its place as it is now.
    let (report, pool) = match (before, after) {
        (_, Some(pool)) => (Some(both.b), Some(pool)),
        (pool, None) => (Some(both.a), pool),
    };
    let netns = report.zip(pool).and_then(|(report, pool)| name(report, pool.netns)).map(str::to_owned);
    let nowhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    // A pool with refusals is told by every report that has them: one that is not there had none.
    let failures = [before, after].map(|pool| pool.map_or(Some(0), |pool| pool.failures));
    PoolChange {
        netns,
        proto: pool.map(|pool| pool.proto.clone()).unwrap_or_default(),
        local_addr: pool.map_or(nowhere, |pool| pool.local_addr),
        remote_addr: pool.and_then(|pool| pool.remote_addr),
        remote_port: pool.and_then(|pool| pool.remote_port),
        change: change(before.is_some(), after.is_some()),
        a: before.map(side),
        b: after.map(side),
        failures: both.rates("failures", failures, both.bunching_of_failures()),
    }
}

fn side(pool: &PoolRecord) -> PoolSide {
    PoolSide {
        range: pool.range,
        effective: pool.effective,
        barred: pool.barred,
        peak_barred: pool.peak_barred,
        utilisation: pool.utilisation,
        failures: pool.failures,
        sustainable_per_s: pool.sustainable_per_s,
        hold_s: pool.hold.as_ref().map(|hold| hold.seconds),
    }
}
