//! What makes room in a pool, in the order of its worth, with what it risks.

use super::{
    Finding,
    place::{Place, reuse_text},
    seen::Seen,
    wording,
};
use crate::stock::{PoolKey, State, TIME_WAIT_S, TimeWaitReuse};

/// What is tried in vain against a full pool of connections.
const CONNECT_IN_VAIN: [&str; 5] = [
    "tcp_fin_timeout",
    "ulimit -n",
    "tcp_tw_recycle (removed from Linux)",
    "lower tcp_max_tw_buckets",
    "SO_LINGER 0 (unsent data is lost)",
];
/// What is tried in vain against a full pool for bind.
const BIND_IN_VAIN: [&str; 4] = [
    "tcp_tw_reuse (bind never takes a TIME_WAIT over)",
    "tcp_fin_timeout",
    "ulimit -n",
    "lower tcp_max_tw_buckets",
];

/// Why a pool is full, as its states tell.
pub(super) fn why(seen: &Seen<'_>, asked_per_s: Option<f64>) -> String {
    let pool = seen.pool;
    let most = pool.held.iter().max_by_key(|(_, ports)| *ports).map(|(state, _)| state);
    let asked = asked_per_s.map(|rate| format!("{} asked, ", wording::rate(rate))).unwrap_or_default();
    let pays_back = wording::rate(pool.limits().pays_back_per_s());
    match (pool.key, most) {
        (PoolKey::Connect { .. }, Some(State::TimeWait)) => {
            format!(
                "{asked}we close first, each port out for {TIME_WAIT_S} s: this pool pays back {pays_back}"
            )
        }
        (_, Some(State::CloseWait)) => {
            format!("{asked}the peers have closed, the application has not: CLOSE_WAIT never ends by itself")
        }
        (_, Some(State::SynSent)) => {
            format!("{asked}the peer does not answer: each attempt holds its port for about two minutes")
        }
        (PoolKey::Bind { .. }, _) => {
            format!("{asked}a port that any socket here has is barred to bind(port 0) on this address")
        }
        (_, Some(State::Bound | State::Listen)) => {
            format!("{asked}the ports are bound: a bound port is barred to every connect of the namespace")
        }
        _ => format!(
            "{asked}{} ports are all that one destination can have at once from one address",
            wording::count(pool.effective)
        ),
    }
}

/// Adds what to do about a pool, to a finding about it.
pub(super) fn advise(finding: Finding, seen: &Seen<'_>, place: Option<&Place<'_>>) -> Finding {
    let who = seen.holders.first().map(|holding| format!(" in {}", wording::name(&holding.process)));
    let who = who.unwrap_or_default();
    let is_connect = matches!(seen.pool.key, PoolKey::Connect { .. });
    let finding = if is_connect {
        finding.advise(format!("keep connections open (pool, keep-alive){who}"), None).advise(
            "more 4-tuples: another source address, or more addresses or ports of the destination",
            None,
        )
    } else {
        finding.advise(format!("hold fewer sockets at once{who}, or bind to more than one address"), None)
    };
    let Some(place) = place else { return vain(finding, is_connect) };
    let finding = widen(finding, place, is_connect);
    let finding = if is_connect { reuse(finding, seen, place) } else { finding };
    vain(finding, is_connect)
}

fn vain(finding: Finding, is_connect: bool) -> Finding {
    if is_connect { finding.in_vain(&CONNECT_IN_VAIN) } else { finding.in_vain(&BIND_IN_VAIN) }
}

/// A wider range, the listeners in it reserved first. `pays_back`: its rate of connects is of interest.
pub(super) fn widen(finding: Finding, place: &Place<'_>, pays_back: bool) -> Finding {
    let (Some(wider), Some(config)) = (place.wider(), place.config()) else { return finding };
    let mut finding = finding;
    let mut gain = format!("{} ports", wording::count(wider.effective));
    if pays_back {
        gain = format!("{gain}, {}", wording::rate(f64::from(wider.effective) / f64::from(TIME_WAIT_S)));
    }
    if !wider.swallows.is_empty() {
        gain = format!("{gain}; reserve {} first", wording::some_of(&wider.swallows_text(), 4));
        finding = finding.fact("to_reserve_first", wider.swallows_text().join(","));
        if let Some(command) = place.reserve(&wider.swallows, None) {
            finding.commands.push(command);
        }
    }
    let range = |low: u16, high: u16| format!("{low} {high}");
    let command = place.set(
        "net.ipv4.ip_local_port_range",
        &range(wider.range.low(), wider.range.high()),
        Some(&range(config.range.low(), config.range.high())),
        Some("a service that starts later may find its port given out"),
    );
    finding.advise_command(command, &gain)
}

/// `tcp_tw_reuse`, where TIME_WAITs bar the pool and timestamps are on.
fn reuse(finding: Finding, seen: &Seen<'_>, place: &Place<'_>) -> Finding {
    let settings = place.settings();
    let waits = seen.blocking_time_waits();
    let (Some(now), Some(1..)) = (settings.tcp_tw_reuse, settings.tcp_timestamps) else { return finding };
    if waits == 0 || now == TimeWaitReuse::Everywhere {
        return finding;
    }
    let risk = "NAT or a firewall may drop reused flows; the peer needs timestamps, too";
    let command = place.set("net.ipv4.tcp_tw_reuse", "1", Some(&reuse_text(now)), Some(risk));
    finding.advise_command(command, "")
}
