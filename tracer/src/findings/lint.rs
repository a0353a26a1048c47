//! PS006, PS008, PS012, PS013, PS014: settings that may hurt one day.

use serde_json::json;

use super::{
    Case, Finding, Severity,
    place::{NODE_PORTS, Place},
    seen::{Seen, pools},
    wording,
};
use crate::{
    event::{NetnsId, PortRange, Protocol},
    stats::{Distribution, HotPort},
    stock::{ExposedListener, PortSet, Settings, TIME_WAIT_S, TimeWaitReuse, exposed_listeners},
};

/// The default range, 32768-60999.
const USUAL_PORTS: u32 = 28_232;
/// Fewer than this and a single busy destination is enough.
const FEW_PORTS: u32 = 10_000;
/// TIME_WAITs that bar so much of a pool are worth a setting.
const MUCH: f64 = 0.25;
/// A port behind a reserved hole is hot at this many times the median, and at [`HOT_USES`].
const HOT_RATIO: f64 = 5.0;
const HOT_USES: u32 = 20;
/// Names on a line.
const MOST_NAMES: usize = 4;

fn lint(id: u16, severity: Severity, title: String, place: &Place<'_>) -> Finding {
    Finding::new(id, severity, title).fact("netns", place.id().get())
}

/// Listeners on ports of the range that are not reserved.
pub(super) fn ps006(case: &Case<'_>) -> Vec<Finding> {
    Place::all(case).filter_map(|place| exposed(case, &place)).collect()
}

fn exposed(case: &Case<'_>, place: &Place<'_>) -> Option<Finding> {
    let config = place.config()?;
    let chosen = chosen(case, place.id());
    let mut listeners: Vec<ExposedListener<'_>> = exposed_listeners(place.space.list(), config, &chosen);
    listeners.retain(|one| one.may_be_fixed && one.socket.protocol == Protocol::Tcp);
    listeners.sort_by_key(|one| one.port);
    listeners.dedup_by_key(|one| one.port);
    let ports: Vec<u16> = listeners.iter().map(|one| one.port.get()).collect();
    let first = ports.first()?;
    let name = |port: u16| {
        let is = |one: &&super::Listening| one.netns == place.id() && one.port.get() == port;
        case.listeners.iter().find(is).map(|one| wording::name(&one.process))
    };
    let who: Vec<String> = ports
        .iter()
        .map(|port| name(*port).map_or_else(|| port.to_string(), |name| format!("{name} {port}")))
        .collect();
    let subject = name(*first).unwrap_or_else(|| "a service".to_owned());
    let others = match ports.len() {
        1 => String::new(),
        more => format!(
            ", and {} others",
            wording::count(u64::try_from(more.saturating_sub(1)).unwrap_or(u64::MAX))
        ),
    };
    let title = format!(
        "{subject} listens on {first}{others}, inside the range, not reserved: can be lost at a restart"
    );
    let mut finding = lint(6, Severity::Info, title, place)
        .fact("ports", json!(ports))
        .line("listeners", wording::some_of(&who, MOST_NAMES))
        .line("why", "while it listens it is safe; between stop and start, a connect may be given its port");
    if let Some(command) = place.reserve(&ports, Some("one port fewer each for connects")) {
        finding = finding.advise_command(command, "");
    }
    Some(finding.done())
}

/// Ports that the kernel was seen to choose for sockets that stay bound.
fn chosen(case: &Case<'_>, netns: NetnsId) -> PortSet {
    let Some(flow) = case.flow else { return PortSet::default() };
    let scopes =
        flow.stats.scopes().filter(|one| one.netns() == Some(netns) && one.protocol() == Protocol::Tcp);
    let used = scopes.flat_map(|scope| (0..=u16::MAX).filter(|port| scope.uses(*port) > 0));
    used.filter(|port| flow.stats.is_bound(netns, *port)).collect()
}

/// The range overlaps the ports that a cluster gives to services.
pub(super) fn ps008(case: &Case<'_>) -> Vec<Finding> {
    let Some(agent) = case.node_agents.first() else { return Vec::new() };
    let on_host = Place::all(case).filter(Place::is_host);
    on_host.filter_map(|place| node_ports(&place, agent)).collect()
}

fn node_ports(place: &Place<'_>, agent: &str) -> Option<Finding> {
    let config = place.config()?;
    let (low, high) = NODE_PORTS;
    let overlap =
        PortSet::effective(config.range, &config.reserved).count_in(PortRange::new(low, high)?, None);
    if overlap == 0 {
        return None;
    }
    let range = format!("{}-{}", config.range.low(), config.range.high());
    let title = format!("{} NodePorts ({low}-{high}) are inside the range {range}", wording::count(overlap));
    let finding = lint(8, Severity::Warning, title, place)
        .fact("overlap", overlap)
        .fact("range", json!([config.range.low(), config.range.high()]))
        .fact("agent", agent)
        .line(
            "why",
            format!(
                "{} runs: a connection that is given a NodePort hides the service there",
                wording::single_line(agent)
            ),
        );
    // Above the NodePorts, and even where the end is odd.
    let start = high.checked_add(1).filter(|start| *start < config.range.high());
    let finding = match start {
        Some(start) => finding.advise_command(
            place.set(
                "net.ipv4.ip_local_port_range",
                &format!("{start} {}", config.range.high()),
                Some(&format!("{} {}", config.range.low(), config.range.high())),
                Some("a smaller range pays back less"),
            ),
            "",
        ),
        None => finding.advise("move the range above the NodePorts", None),
    };
    Some(finding.done())
}

/// Whether `tcp_tw_reuse=1` does nothing, for want of timestamps.
pub(super) fn reuse_without_timestamps(settings: &Settings) -> bool {
    settings.tcp_tw_reuse == Some(TimeWaitReuse::Everywhere) && settings.tcp_timestamps == Some(0)
}

/// `tcp_tw_reuse=1` without timestamps, and TIME_WAITs that it was to take over.
pub(super) fn ps012(case: &Case<'_>) -> Vec<Finding> {
    let idle = Place::all(case).filter(|place| reuse_without_timestamps(&place.settings()));
    idle.filter_map(|place| {
        let share =
            |seen: &Seen<'_>| wording::share(seen.blocking_time_waits().into(), seen.pool.effective.into());
        let waits = pools(case).filter(|seen| seen.netns == place.id());
        let (worst, share) = waits
            .filter_map(|seen| Some((seen, share(&seen)?)))
            .max_by(|one, other| one.1.total_cmp(&other.1))
            .filter(|(_, share)| *share >= MUCH)?;
        let title = format!(
            "tcp_tw_reuse=1 does nothing while tcp_timestamps=0; {} of {} is barred by TIME_WAIT",
            wording::percent(share),
            wording::pool(&worst.pool.key)
        );
        let command =
            place.set("net.ipv4.tcp_timestamps", "1", Some("0"), Some("12 bytes more in each segment"));
        let finding = lint(12, Severity::Warning, title, &place)
            .fact("pool", wording::pool(&worst.pool.key))
            .fact("time_wait_share", share)
            .line("why", "a connect takes a TIME_WAIT over only if both ends used timestamps")
            .advise_command(command, "");
        Some(finding.done())
    })
    .collect()
}

/// A range that is narrow, or whose halves differ.
pub(super) fn ps013(case: &Case<'_>) -> Vec<Finding> {
    Place::all(case).filter_map(|place| narrow(&place)).collect()
}

fn narrow(place: &Place<'_>) -> Option<Finding> {
    let config = place.config()?;
    let (ports, range) = (config.effective(), config.range);
    let same_parity = (range.low() ^ range.high()) & 1 == 0 && range.count() > 1;
    let is_narrow = ports < USUAL_PORTS;
    if !is_narrow && !same_parity {
        return None;
    }
    let severity = if ports < FEW_PORTS { Severity::Warning } else { Severity::Info };
    let text = format!("{}-{}", range.low(), range.high());
    let title = if is_narrow {
        format!(
            "the range {text} has {} ports, fewer than the default {}",
            wording::count(ports),
            wording::count(USUAL_PORTS)
        )
    } else {
        format!(
            "both ends of the range {text} are {}: its halves differ",
            crate::stock::Parity::of(range.low()).name()
        )
    };
    let pays_back = wording::rate(f64::from(ports) / f64::from(TIME_WAIT_S));
    let finding = lint(13, severity, title, place)
        .fact("effective", ports)
        .fact("range", json!([range.low(), range.high()]))
        .fact("same_parity", same_parity)
        .line("pays back", format!("{pays_back} per destination if this side closes first"));
    let parity = same_parity
        .then(|| "ends of one parity: the half that connect takes first has one port more".to_owned());
    let wider = place.wider();
    let swallowed = wider.as_ref().filter(|wider| !wider.swallows.is_empty()).map(|wider| {
        let ports = wording::some_of(&wider.swallows_text(), MOST_NAMES);
        format!("listeners in the wider range, to be reserved first: {ports}")
    });
    let finding = finding
        .fact("swallows", json!(wider.as_ref().map(|wider| wider.swallows_text().join(","))))
        .maybe_line("parity", parity)
        .maybe_line("mind", swallowed);
    let finding = super::relief::widen(finding, place, true);
    let start = place.settings().ip_unprivileged_port_start;
    let limit =
        start.map(|start| format!("a low end below ip_unprivileged_port_start ({start}) is refused: EINVAL"));
    Some(finding.maybe_line("limit", limit).done())
}

/// Ports behind a reserved hole that are used far more often than others.
pub(super) fn ps014(case: &Case<'_>) -> Vec<Finding> {
    let Some(flow) = case.flow else { return Vec::new() };
    let hot = |scope: &crate::stats::Scope| {
        let place = Place::of(case, scope.netns())?;
        let config = place.config()?;
        let spread = Distribution::of(scope, config.range, Some(&config.reserved));
        let is_hot = |one: &&HotPort| {
            one.behind_hole.is_some()
                && one.uses >= HOT_USES
                && one.to_median.is_some_and(|ratio| ratio >= HOT_RATIO)
        };
        let hot: Vec<&HotPort> = spread.hot_ports.iter().filter(is_hot).collect();
        let first = hot.first()?;
        let ports: Vec<String> =
            hot.iter().map(|one| format!("{} x{}", one.port, wording::count(one.uses))).collect();
        let title = format!(
            "ports behind a hole of {} reserved ones are used {:.0} times as often as others",
            wording::count(first.behind_hole.unwrap_or(0)),
            first.to_median.unwrap_or(0.0)
        );
        let finding = lint(14, Severity::Info, title, &place)
            .fact(
                "ports",
                json!(hot.iter().map(|one| json!({"port": one.port, "uses": one.uses})).collect::<Vec<_>>()),
            )
            .fact("hole", json!(first.behind_hole))
            .line("ports", wording::some_of(&ports, MOST_NAMES))
            .line("why", "a search that begins inside the hole ends at the first port behind it")
            .advise("reserve fewer ports in a row", None);
        let finding = match config.step_width {
            Some(0) => finding.advise(
                "set net.ipv4.ip_local_port_step_width above 0",
                Some("ports are taken in another order"),
            ),
            _ => finding,
        };
        Some(finding.done())
    };
    flow.stats.scopes().filter_map(hot).collect()
}
