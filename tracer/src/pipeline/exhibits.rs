//! The course of a run, as a page shows it.

use std::net::SocketAddr;

use super::{
    look::{Key, share},
    series::Series,
    survey::Survey,
};
use crate::{
    event::{MonoNs, NetnsId},
    output::html::{Course, Step, Timeline},
    stock::{PoolKey, Pools, PortSet, Stock},
};

/// Pools whose course is shown.
const MOST_SHOWN: usize = 5;

/// Counts by step and the fullest pools, `mine` first; their first point is how they were in the stock `before`, their
/// last one how they are at the end.
pub(super) fn timeline(
    series: &Series<Key>,
    before: &Stock,
    survey: &Survey,
    at: MonoNs,
    mine: impl Fn(NetnsId, &PoolKey) -> bool,
) -> Timeline {
    let mut series = series.clone();
    let begun = before
        .spaces
        .iter()
        .filter_map(|space| Some((space.namespace.id, space.pools(&PortSet::default())?)));
    let begun: Vec<_> = begun.collect();
    let pools = begun.iter().flat_map(|(netns, pools)| shares(*netns, pools));
    series.look(series.start(), pools, begun.iter().all(|(_, pools)| pools.is_all()));
    let pools = survey.pools.iter().flat_map(|held| shares(held.netns, &held.pools));
    series.look(at, pools, survey.pools.iter().all(|held| held.pools.is_all()));
    let mut tracks: Vec<_> = series.tracks().iter().filter(|track| is_shown(&track.key.1)).collect();
    let rank = |(netns, key): &Key| !mine(*netns, key);
    tracks.sort_by(|one, other| rank(&one.key).cmp(&rank(&other.key)).then(other.peak.total_cmp(&one.peak)));
    let label = |netns: NetnsId| {
        let space = survey.stock.space(netns);
        space.map_or_else(|| format!("net:[{}]", netns.get()), |space| space.namespace.label())
    };
    Timeline {
        step_s: series.step_s(),
        steps: series
            .counts()
            .iter()
            .map(|count| Step { allocations: count.allocations, failures: count.failures })
            .collect(),
        pools: tracks
            .into_iter()
            .take(MOST_SHOWN)
            .map(|track| Course {
                name: format!("{} in {}", name(&track.key.1), label(track.key.0)),
                shares: track.shares.clone(),
            })
            .collect(),
    }
}

fn shares(netns: NetnsId, pools: &Pools) -> impl Iterator<Item = (Key, f32)> {
    let all = pools.connect.iter().chain(&pools.bind);
    all.filter_map(move |pool| Some(((netns, pool.key), share(pool)?)))
}

/// The pool of the wildcard is barred by all the others: it would be shown beside each of them.
fn is_shown(key: &PoolKey) -> bool {
    !matches!(key, PoolKey::Bind { laddr, .. } if laddr.is_unspecified())
}

fn name(key: &PoolKey) -> String {
    match key {
        PoolKey::Connect { laddr, raddr, rport, .. } => {
            format!("{laddr} > {}", SocketAddr::new(*raddr, rport.get()))
        }
        PoolKey::Bind { proto, laddr } => format!("{} bind, {laddr}", proto.name()),
    }
}
