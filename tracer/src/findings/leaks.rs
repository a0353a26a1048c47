//! PS015 and PS018: sockets that are never given back, and processes near their limit of descriptors.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Case, Descriptors, Finding, Holding, Severity, place::Place, seen::pools, wording};
use crate::{
    event::{MonoNs, Protocol},
    stats::{Row, Slope},
    stock::{NetnsStock, Socket, State},
};

/// What grows for less than this may only be starting.
const LEAST_NS: u64 = 60_000_000_000;
/// Growth that cannot be told from a handful of connections says nothing.
const LEAST_GROWTH: u32 = 10;
/// 97.5 % of a normal distribution: two counts that differ by this many standard deviations are not the same.
const Z: f64 = 1.96;
/// A process from here on will soon be refused a descriptor.
const NEAR: f64 = 0.95;
/// The states that leak, each for its own reason.
const LEAKS: [State; 5] =
    [State::CloseWait, State::SynSent, State::FinWait2, State::Bound, State::Established];

/// What is held outside TIME_WAIT grows.
pub(super) fn ps015(case: &Case<'_>) -> Vec<Finding> {
    let Some(before) = case.before else { return Vec::new() };
    let length = case.stock.began.since(before.ended);
    if length < LEAST_NS {
        return Vec::new();
    }
    Place::all(case).filter_map(|place| of(case, &place, before.space(place.id())?, length)).collect()
}

fn of(case: &Case<'_>, place: &Place<'_>, before: &NetnsStock, length: u64) -> Option<Finding> {
    // Without both dumps whole, a difference is no growth.
    let told =
        |space: &NetnsStock| space.sockets.as_ref().is_some_and(|one| !one.truncated && !one.interrupted);
    if !told(place.space) || !told(before) {
        return None;
    }
    let (was, is) = (by_state(place, before), by_state(place, place.space));
    let count = |counts: &BTreeMap<State, u32>, state| counts.get(&state).copied().unwrap_or(0);
    let grown: Vec<(State, u32, u32)> = LEAKS
        .into_iter()
        .map(|state| (state, count(&was, state), count(&is, state)))
        .filter(|(_, was, is)| grows(*was, *is))
        .filter(|(state, ..)| *state != State::Established || still_grows(case, place))
        .collect();
    let (state, was, is) = grown.iter().copied().max_by_key(|(_, was, is)| is.saturating_sub(*was))?;
    let title = format!(
        "{} sockets grew from {} to {} in {}",
        state.name(),
        wording::count(was),
        wording::count(is),
        wording::seconds(length)
    );
    let lines: Vec<String> = grown
        .iter()
        .map(|(state, was, is)| {
            format!("{} {} -> {}", state.name(), wording::count(*was), wording::count(*is))
        })
        .collect();
    let states: BTreeMap<&str, [u32; 2]> =
        grown.iter().map(|(state, was, is)| (state.name(), [*was, *is])).collect();
    let (why, remedy) = cure(state);
    let to = busiest(place, state);
    let finding = Finding::new(15, Severity::Warning, title)
        .fact("netns", place.id().get())
        .fact("window_s", wording::real(length) / 1e9)
        .fact("states", json!(states))
        .fact("most_to", json!(to.as_ref().map(|(to, _)| to)))
        .line("by state", lines.join(", "))
        .maybe_line("to", to.map(|(to, ports)| format!("{to} {}", wording::count(ports))))
        .line("why", why)
        .advise(remedy, None)
        .in_vain(if state == State::FinWait2 {
            &["tcp_tw_reuse"]
        } else {
            &["tcp_fin_timeout", "tcp_tw_reuse"]
        });
    Some(finding.done())
}

/// Whether the second count is above the first by more than chance: growth − 1.96 √(sum) > 0.
fn grows(was: u32, is: u32) -> bool {
    let growth = is.saturating_sub(was);
    let sum = f64::from(was) + f64::from(is);
    growth >= LEAST_GROWTH && f64::from(growth) > Z * sum.sqrt()
}

/// Whether open connections go on growing, to the end: those of a service that starts, level off.
fn still_grows(case: &Case<'_>, place: &Place<'_>) -> bool {
    let Some(flow) = case.flow.filter(|flow| flow.stats.settings().releases) else { return false };
    let rows = flow.stats.destinations();
    let grows = |row: &Row, at: MonoNs| {
        let minute = LEAST_NS / 1_000_000_000;
        [minute, minute / 2].into_iter().all(|seconds| {
            let net = row.net_per_second(at, seconds);
            net.and_then(|net| Slope::of(&net)).is_some_and(|slope| slope.low > 0.0)
        })
    };
    let long = flow.at.since(flow.start) > LEAST_NS;
    long && rows
        .iter()
        .take(64)
        .any(|one| one.key.netns().is_none_or(|netns| netns == place.id()) && grows(one.row, flow.at))
}

fn by_state(place: &Place<'_>, space: &NetnsStock) -> BTreeMap<State, u32> {
    let mut counts = BTreeMap::new();
    for socket in space.list().iter().filter(|one| in_range(place, one)) {
        let sum: &mut u32 = counts.entry(socket.state).or_default();
        *sum = sum.saturating_add(1);
    }
    counts
}

/// Whether it is a TCP socket with a port of the range.
fn in_range(place: &Place<'_>, socket: &Socket) -> bool {
    let within = place.config().zip(socket.local_port);
    socket.protocol == Protocol::Tcp && within.is_some_and(|(config, port)| config.range.contains(port.get()))
}

/// Where most sockets of a state go to.
fn busiest(place: &Place<'_>, state: State) -> Option<(String, u32)> {
    let mut counts = BTreeMap::new();
    for socket in place.space.list().iter().filter(|one| one.state == state && in_range(place, one)) {
        let Some(port) = socket.remote_port else { continue };
        let sum: &mut u32 = counts.entry((socket.remote_addr, port)).or_default();
        *sum = sum.saturating_add(1);
    }
    let ((addr, port), most) = counts.into_iter().max_by_key(|(_, most)| *most)?;
    Some((wording::endpoint(addr, port), most))
}

const fn cure(state: State) -> (&'static str, &'static str) {
    match state {
        State::CloseWait => (
            "the peer has closed, the application never does: CLOSE_WAIT lasts as long as the process",
            "mend the application: it must close its socket when the peer has closed",
        ),
        State::SynSent => (
            "the peer does not answer: each attempt holds its port for about two minutes",
            "give connects a timeout of their own, and stop calling a peer that is dead",
        ),
        State::FinWait2 => (
            "we have closed, the peer never does: the one state that tcp_fin_timeout shortens",
            "lower net.ipv4.tcp_fin_timeout, or mend the peer",
        ),
        State::Bound => (
            "bound, and never connected or closed; before Linux 6.8 `ss` does not show such sockets",
            "mend the application: it must close what it has bound",
        ),
        _ => (
            "connections are opened and not closed, minute after minute",
            "mend the application: bound its pool, close what is idle",
        ),
    }
}

/// A holder of a full pool that is near to its limit of open files.
pub(super) fn ps018(case: &Case<'_>) -> Vec<Finding> {
    let holders = pools(case).flat_map(|seen| seen.holders);
    let near = |holding: &Holding| {
        let descriptors = holding.descriptors?;
        let share = wording::share(descriptors.open, descriptors.limit)?;
        (share >= NEAR).then_some((descriptors, share))
    };
    let mut worst: Option<(&Holding, Descriptors, f64)> = None;
    for holding in holders {
        if let Some((descriptors, share)) = near(holding)
            && worst.is_none_or(|(_, _, most)| share > most)
        {
            worst = Some((holding, descriptors, share));
        }
    }
    worst.map(|(holding, descriptors, share)| limit(holding, descriptors, share)).into_iter().collect()
}

fn limit(holding: &Holding, descriptors: Descriptors, share: f64) -> Finding {
    let name = wording::process(&holding.process, holding.pid);
    let title = format!("{name} has {} of its open files", wording::percent(share));
    Finding::new(18, Severity::Info, title)
        .fact("program", name)
        .fact("open", descriptors.open)
        .fact("limit", descriptors.limit)
        .line(
            "files",
            format!("{} of {}", wording::count(descriptors.open), wording::count(descriptors.limit)),
        )
        .line("why", "the next socket fails with EMFILE, and that is no want of ports")
        .advise("LimitNOFILE= in its unit, or ulimit -n where it starts", Some("more files, more memory"))
        .done()
}
