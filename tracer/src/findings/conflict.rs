//! PS005, PS020, PS021: a service cannot have the port that it named.

use serde_json::json;

use super::{Case, Finding, Holding, Refusal, Severity, draft, place::Place, seen::window_ns, wording};
use crate::{
    event::{Cause, Port, Protocol, Site},
    stock::{Socket, State, sockets_on},
};

/// Two that named the same port.
const NAMED: &str = "its owner named the port, too: a second instance, or another service on this port";
/// What a service has left.
const LEFT: &str = "most likely an older instance that still serves what it had accepted";
/// What a service tries in vain against somebody who has its port.
const BY_HAND: [&str; 1] = ["SO_REUSEADDR, unless the holder set it too"];

/// Who has a named port.
#[derive(Clone, Copy)]
struct Keeper<'a> {
    socket: &'a Socket,
    holding: Option<&'a Holding>,
}

/// The named port is held by a connection whose port the kernel had chosen.
pub(super) fn ps005(case: &Case<'_>) -> Vec<Finding> {
    lost(case).filter_map(|(refusal, port)| taken(case, refusal, port)).collect()
}

/// The named port is held by a socket whose owner named it, too.
pub(super) fn ps020(case: &Case<'_>) -> Vec<Finding> {
    lost(case).filter_map(|(refusal, port)| second(case, refusal, port)).collect()
}

/// The named port is held by what is left of the service's own connections.
pub(super) fn ps021(case: &Case<'_>) -> Vec<Finding> {
    lost(case).filter_map(|(refusal, port)| own_past(case, refusal, port)).collect()
}

/// Binds of a named port that failed since it was in use.
fn lost<'a>(case: &Case<'a>) -> impl Iterator<Item = (&'a Refusal, Port)> + use<'a> {
    let refusals = case.flow.into_iter().flat_map(|flow| flow.refusals);
    refusals
        .filter(|one| one.cause == Some(Cause::InUse) && one.count > 0)
        .filter(|one| matches!(one.site, Site::Bind | Site::Listen))
        .filter_map(|one| Some((one, one.requested?)))
}

/// The sockets that bar the port now, and who has them; where there are none any more, those that were asked for.
fn keepers<'a>(case: &Case<'a>, refusal: &'a Refusal, port: Port) -> Vec<Keeper<'a>> {
    let bars = |socket: &&Socket| {
        let (own, wanted) = (socket.local_addr, refusal.laddr);
        let meets = wanted.is_none_or(|addr| addr.is_unspecified() || addr == own);
        socket.protocol == refusal.proto && (meets || own.is_unspecified())
    };
    let list = Place::of(case, refusal.netns).map_or(&[][..], |place| place.space.list());
    let now = sockets_on(list, port).filter(bars).map(|socket| Keeper {
        socket,
        holding: refusal.holders.iter().find(|one| one.example == Some(*socket)),
    });
    let now: Vec<Keeper<'a>> = now.collect();
    if !now.is_empty() {
        return now;
    }
    let asked = refusal.holders.iter().filter_map(|one| {
        let socket = one.example.as_ref().filter(|socket| socket.local_port == Some(port))?;
        Some(Keeper { socket, holding: Some(one) })
    });
    asked.collect()
}

/// Whether the kernel was seen to choose the port, or may have: it lies in the effective range.
fn chosen(case: &Case<'_>, refusal: &Refusal, port: Port) -> (bool, bool) {
    let scopes = case.flow.into_iter().flat_map(|flow| flow.stats.scopes());
    let mut scopes = scopes.filter(|one| one.protocol() == refusal.proto && one.netns() == refusal.netns);
    let seen = scopes.any(|scope| scope.uses(port.get()) > 0);
    let config = Place::of(case, refusal.netns).and_then(|place| place.config());
    let within = config
        .is_some_and(|config| config.range.contains(port.get()) && !config.reserved.contains(port.get()));
    (seen, within)
}

/// The keeper that was given the port by the kernel, if that is what bars it.
fn thief<'a>(case: &Case<'a>, refusal: &'a Refusal, port: Port) -> Option<Keeper<'a>> {
    let keepers = keepers(case, refusal, port);
    // Connections on a port with a listener were accepted.
    if keepers.iter().any(|one| one.socket.state == State::Listen) {
        return None;
    }
    let (seen, within) = chosen(case, refusal, port);
    let is_outbound = |one: &&Keeper<'_>| match (one.socket.protocol, one.socket.state) {
        // Workers of a service that has lost its listener still have what they accepted on this port.
        (Protocol::Tcp, state) if state.may_have_connected(Protocol::Tcp) => {
            seen || (within && to_a_service(case, refusal, one.socket))
        }
        (Protocol::Tcp, _) => seen,
        (_, State::Established) => seen || within,
        _ => seen,
    };
    // What lives has a process to name.
    let mut outbound: Vec<Keeper<'a>> = keepers.into_iter().filter(|one| is_outbound(&one)).collect();
    outbound.sort_by_key(|one| one.socket.state == State::TimeWait);
    outbound.first().copied()
}

/// Whether the far end of a connection looks like that of a service: a port below the range.
fn to_a_service(case: &Case<'_>, refusal: &Refusal, socket: &Socket) -> bool {
    let config = Place::of(case, refusal.netns).and_then(|place| place.config());
    config.zip(socket.remote_port).is_some_and(|(config, port)| !config.range.contains(port.get()))
}

fn base(
    id: u16,
    severity: Severity,
    title: String,
    refusal: &Refusal,
    port: Port,
    case: &Case<'_>,
) -> Finding {
    let victims: Vec<String> = refusal
        .victims
        .iter()
        .map(|one| {
            let name = wording::process(&one.process, Some(one.pid));
            // One alone was refused as often as it was refused at all.
            let times = (refusal.victims.len() > 1).then(|| format!(" x{}", wording::count(one.count)));
            name + &times.unwrap_or_default()
        })
        .collect();
    let bound = refusal.laddr.map_or_else(|| port.get().to_string(), |addr| wording::endpoint(addr, port));
    let errno = refusal.errno.map_or_else(|| "in use".to_owned(), |errno| errno.to_string());
    let last =
        case.flow.map(|flow| format!(", last after {}", wording::seconds(refusal.last.since(flow.start))));
    let lost_by = format!(
        "{}: {} {bound} {errno} x{}{}",
        if victims.is_empty() { "unknown".to_owned() } else { wording::some_of(&victims, 2) },
        refusal.site.name(),
        wording::count(refusal.count),
        last.unwrap_or_default()
    );
    Finding::new(id, severity, title)
        .fact("netns", json!(refusal.netns.map(crate::event::NetnsId::get)))
        .fact("proto", refusal.proto.name())
        .fact("port", port.get())
        .fact("refused", refusal.count)
        .fact("window_s", json!(case.flow.map(|flow| wording::real(window_ns(flow)) / 1e9)))
        .fact("victims", draft::victims(refusal))
        .fact("holders", draft::holders(&refusal.holders))
        .line("lost by", lost_by)
}

fn who(keeper: &Keeper<'_>) -> String {
    let socket = keeper.socket;
    let name = match keeper.holding {
        Some(one) => wording::process(&one.process, one.pid),
        None if socket.state == State::TimeWait => "nobody any more".to_owned(),
        None => "a process that was not asked for".to_owned(),
    };
    let local = socket.local_port.map(|port| wording::endpoint(socket.local_addr, port)).unwrap_or_default();
    let remote = socket.remote_port.map(|port| format!(" > {}", wording::endpoint(socket.remote_addr, port)));
    format!("{name} {local}{} {}", remote.unwrap_or_default(), wording::state(socket.state))
}

fn taken(case: &Case<'_>, refusal: &Refusal, port: Port) -> Option<Finding> {
    let keeper = thief(case, refusal, port)?;
    let socket = keeper.socket;
    let proto = refusal.proto.name();
    let title =
        format!("{port}/{proto} is held by an outbound connection; nobody listens", port = port.get());
    let mut finding = base(5, Severity::Critical, title, refusal, port, case)
        .fact("state", socket.state.name())
        .line("holder", who(&keeper));
    let place = Place::of(case, refusal.netns)?;
    if let Some(config) = place.config() {
        let range = format!("{}-{}", config.range.low(), config.range.high());
        finding = finding.line("why", format!("{} is inside {range} and not reserved", port.get()));
    }
    finding = free_it(finding, &place, &keeper, port);
    if let Some(command) = place.reserve(&[port.get()], None) {
        finding = finding.advise_command(command, "");
    }
    let finding = finding.in_vain(&["reserving alone (frees nothing now)"]).in_vain(&BY_HAND);
    Some(finding.done_as(&["free it", "for good"]))
}

/// What ends the socket, with what a person may do instead.
fn free_it(finding: Finding, place: &Place<'_>, keeper: &Keeper<'_>, port: Port) -> Finding {
    let socket = keeper.socket;
    let mut kill = place.kill(port, socket);
    if socket.state == State::TimeWait {
        let left = socket.time_left_ms.map(|left| format!("or wait {} s", left.get().div_ceil(1_000)));
        return finding.advise_command(kill, &left.unwrap_or_default());
    }
    if let (Protocol::Tcp, Some(risk)) = (socket.protocol, &mut kill.risk) {
        let name = keeper.holding.map_or_else(|| "its owner".to_owned(), |one| wording::name(&one.process));
        risk.push_str("; restarting ");
        risk.push_str(&name);
        risk.push_str(" instead can leave 60 s of TIME_WAIT that still bars the bind");
    }
    finding.advise_command(kill, "")
}

fn second(case: &Case<'_>, refusal: &Refusal, port: Port) -> Option<Finding> {
    if thief(case, refusal, port).is_some() {
        return None;
    }
    let keepers = keepers(case, refusal, port);
    let by_rank = |wanted: State| keepers.iter().find(|one| one.socket.state == wanted);
    let lives = || keepers.iter().find(|one| one.socket.state != State::TimeWait);
    let keeper = by_rank(State::Listen).or_else(|| by_rank(State::Bound)).or_else(lives)?;
    // Whoever tried until it had the port has lost nothing.
    let holder = keeper.holding.and_then(|one| one.pid);
    if holder.is_some_and(|pid| refusal.victims.iter().any(|victim| victim.pid == pid)) {
        return None;
    }
    let (verb, why) = match keeper.socket.state {
        State::Listen => ("listened on already", NAMED),
        State::Bound => ("bound already", NAMED),
        _ => ("held by connections, and nobody listens", LEFT),
    };
    let title = format!("{}/{} is {verb}", port.get(), refusal.proto.name());
    let finding = base(20, Severity::Critical, title, refusal, port, case)
        .fact("state", keeper.socket.state.name())
        .line("holder", who(keeper))
        .line("why", why)
        .advise(
            "stop the one that is not wanted, or give one of them another port",
            Some("its clients are cut off"),
        )
        .in_vain(&["reserving the port (for automatic choice only)"])
        .in_vain(&BY_HAND);
    Some(finding.done())
}

fn own_past(case: &Case<'_>, refusal: &Refusal, port: Port) -> Option<Finding> {
    if refusal.proto != Protocol::Tcp || thief(case, refusal, port).is_some() {
        return None;
    }
    let keepers = keepers(case, refusal, port);
    if keepers.iter().any(|one| one.socket.state != State::TimeWait) {
        return None;
    }
    let waits: Vec<&Socket> =
        keepers.iter().map(|one| one.socket).filter(|one| one.state == State::TimeWait).collect();
    let left_ms = waits.iter().filter_map(|one| one.time_left_ms).max()?.get();
    let all = u64::try_from(waits.len()).unwrap_or(u64::MAX);
    let left = left_ms.div_ceil(1_000);
    let title = format!(
        "{}/tcp is barred by {} TIME_WAITs of its own past, for {left} s more",
        port.get(),
        wording::count(all)
    );
    let finding = base(21, Severity::Critical, title, refusal, port, case)
        .fact("time_waits", all)
        .fact("seconds_left", left)
        .line("why", "the service closed its connections first, and binds its port without SO_REUSEADDR")
        .advise("setsockopt(SOL_SOCKET, SO_REUSEADDR, 1) before bind, as servers do", None)
        .advise(format!("wait {left} s"), None);
    let place = Place::of(case, refusal.netns)?;
    let finding = match waits.first() {
        Some(wait) => finding.advise_command(place.kill(port, wait), ""),
        None => finding,
    };
    Some(finding.in_vain(&["tcp_tw_reuse", "tcp_fin_timeout", "reserving the port"]).done())
}
