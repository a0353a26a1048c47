//! What there is to be seen.

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr, sync::Arc};

use crate::{
    event::{Errno, NetnsId, Port},
    findings::{HeldPools, Refusal},
    output::{
        records::{Accounting, PoolRecord, Report},
        report::who,
    },
    stock::{Pool, PoolKey, PortMap, Stock},
};

/// Everything that the screens show.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The report on the last minute or so; none until the host was looked at.
    pub report: Option<Arc<Report>>,
    /// What else was seen when it was drawn up.
    pub seen: Arc<Seen>,
    /// Each second, the newest last.
    pub rates: Vec<Rate>,
    /// The accounts since the start.
    pub accounting: Accounting,
    /// The time of day.
    pub time: String,
    /// Seconds since the report was drawn up.
    pub age_s: u64,
    /// The last events, the newest last.
    pub events: Vec<EventRow>,
    /// The command that runs beside it.
    pub command: Option<Commanded>,
    /// It is no host that is watched, but a recording.
    pub played: Option<Played>,
}

/// A recording, and how it is played.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// `2x`, `max`, `paused`, `its end`; empty where nobody waits.
    pub state: String,
}

/// A command, and what a person must know of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commanded {
    /// Its first word.
    pub name: String,
    /// Where what it prints goes.
    pub output: String,
    /// It was asked to end, and has not done so.
    pub is_interrupted: bool,
}

/// A second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Ports that were asked for.
    pub asked: u32,
    /// Of these, refused.
    pub refused: u32,
}

/// An event as a row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// As [`crate::output::cells`] has them.
    pub cells: Vec<String>,
    /// A choice or a check that failed.
    pub failed: bool,
}

/// What tells a pool from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolId {
    /// Network namespace.
    pub netns: u32,
    /// Protocol.
    pub proto: String,
    /// Local address.
    pub local: IpAddr,
    /// The destination, of a pool for connect.
    pub remote: Option<(IpAddr, u16)>,
}

impl PoolId {
    /// That of a record.
    #[must_use]
    pub fn of(pool: &PoolRecord) -> Self {
        Self {
            netns: pool.netns,
            proto: pool.proto.clone(),
            local: pool.local_addr,
            remote: pool.remote_addr.zip(pool.remote_port),
        }
    }

    fn of_key(netns: NetnsId, key: &PoolKey) -> Self {
        let remote = match *key {
            PoolKey::Connect { raddr, rport, .. } => Some((raddr, rport.get())),
            PoolKey::Bind { .. } => None,
        };
        Self { netns: netns.get(), proto: key.proto().name().to_owned(), local: key.laddr(), remote }
    }

    /// That of those who were refused; none where it was for a port that they named, or not for a pool's want.
    fn of_refusal(refusal: &Refusal) -> Option<Self> {
        if refusal.requested.is_some() {
            return None;
        }
        Some(Self {
            netns: refusal.netns?.get(),
            proto: refusal.proto.name().to_owned(),
            local: refusal.laddr?,
            remote: refusal.raddr.zip(refusal.rport.map(Port::get)),
        })
    }

    /// What to call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self.remote {
            Some((addr, port)) => format!("{} > {}", self.local, SocketAddr::new(addr, port)),
            None => format!("{} bind {}", self.proto, self.local),
        }
    }
}

/// What was seen beside a report.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What to call namespaces, by number.
    pub names: BTreeMap<u32, String>,
    /// Who was refused, by pool.
    pub victims: Vec<Victims>,
    /// The range of the pool that was asked for.
    pub picture: Option<Picture>,
}

/// The range of a pool.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The pool.
    pub pool: PoolId,
    /// Its ports.
    pub map: PortMap,
}

/// Who was refused a port of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victims {
    /// The pool.
    pub pool: PoolId,
    /// What they were told.
    pub error: Option<String>,
    /// How often.
    pub count: u64,
    /// Of so many attempts.
    pub attempts: u64,
    /// Who, the most first.
    pub rows: Vec<Victim>,
}

/// Who was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// What it is, hostile names made harmless.
    pub name: String,
    /// How often.
    pub count: u64,
}

impl Seen {
    /// What is worth keeping of the host and of those who were refused; with the picture of the pool that is `wanted`.
    #[must_use]
    pub fn of(stock: &Stock, pools: &[HeldPools], refusals: &[Refusal], wanted: Option<&PoolId>) -> Self {
        let names = stock.spaces.iter().map(|space| (space.namespace.id.get(), space.namespace.label()));
        let victims = refusals.iter().filter_map(|refusal| {
            let rows = refusal.victims.iter().map(|victim| {
                let place = [victim.process.container(), victim.process.unit()];
                let name = victim.process.comm().or(victim.process.exe());
                let pid = (victim.processes == 1).then_some(victim.pid.0);
                Victim { name: who(name, victim.processes.into(), place, pid), count: victim.count }
            });
            Some(Victims {
                pool: PoolId::of_refusal(refusal)?,
                error: refusal.errno.and_then(Errno::name).map(str::to_owned),
                count: refusal.count,
                attempts: refusal.attempts,
                rows: rows.collect(),
            })
        });
        let picture = wanted.and_then(|wanted| picture(stock, pools, wanted));
        Self { names: names.collect(), victims: victims.collect(), picture }
    }

    /// What to call a namespace.
    #[must_use]
    pub fn netns(&self, id: u32) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

fn picture(stock: &Stock, pools: &[HeldPools], wanted: &PoolId) -> Option<Picture> {
    let held = pools.iter().find(|held| held.netns.get() == wanted.netns)?;
    let is_wanted = |pool: &&Pool| PoolId::of_key(held.netns, &pool.key) == *wanted;
    let pool = held.pools.connect.iter().chain(&held.pools.bind).find(is_wanted)?;
    let map = PortMap::of(stock.space(held.netns)?, Some(pool))?;
    Some(Picture { pool: wanted.clone(), map })
}
