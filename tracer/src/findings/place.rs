//! A network namespace as a place to give commands for.

use super::{Case, Command, wording};
use crate::{
    enrich::misleads,
    event::{NetnsId, Port, PortRange, Protocol},
    stock::{NAMED, NetnsConfig, NetnsStock, PortSet, Settings, Socket, State, TimeWaitReuse},
};

/// Where a wider range begins first: below it most services have their ports.
const MODEST_LOW: u16 = 15_000;
/// Where it may begin: below are the ports that IANA calls system ports.
const LEAST_LOW: u16 = 1_024;
/// The default end of the range.
const USUAL_HIGH: u16 = 60_999;
/// Ports that Kubernetes gives to services (`--service-node-port-range`).
pub(super) const NODE_PORTS: (u16, u16) = (30_000, 32_767);
/// A wider range must bring a tenth more to be worth it.
const WORTH: f64 = 1.1;

/// A namespace of a case.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) space: &'a NetnsStock,
    own: Option<NetnsId>,
    /// A cluster gives ports of the host to services.
    has_node_ports: bool,
}

/// A range that would be wider.
pub(super) struct Wider {
    /// The range.
    pub(super) range: PortRange,
    /// Its ports, without the reserved ones and those to be reserved.
    pub(super) effective: u32,
    /// Ports with a listener, and a node's ports for services, that the wider range would swallow: to be
    /// reserved first.
    pub(super) swallows: Vec<u16>,
}

impl Wider {
    /// What it would swallow, as ports and stretches of ports.
    pub(super) fn swallows_text(&self) -> Vec<String> {
        stretches(&self.swallows.iter().copied().collect())
    }
}

impl<'a> Place<'a> {
    /// The namespace of this number; the only one where the number is not known.
    pub(super) fn of(case: &Case<'a>, netns: Option<NetnsId>) -> Option<Self> {
        let space = match (netns, case.stock.spaces.as_slice()) {
            (Some(netns), _) => case.stock.space(netns),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        space.map(|space| Self::new(case, space))
    }

    /// All namespaces of a case.
    pub(super) fn all(case: &Case<'a>) -> impl Iterator<Item = Self> {
        let case = *case;
        case.stock.spaces.iter().map(move |space| Self::new(&case, space))
    }

    fn new(case: &Case<'a>, space: &'a NetnsStock) -> Self {
        let is_host = space.namespace.name.as_deref() == Some("host");
        Self { space, own: case.own_netns, has_node_ports: is_host && !case.node_agents.is_empty() }
    }

    pub(super) const fn id(&self) -> NetnsId {
        self.space.namespace.id
    }

    pub(super) const fn config(&self) -> Option<&'a NetnsConfig> {
        self.space.config.as_ref()
    }

    pub(super) fn settings(&self) -> Settings {
        self.space.settings.unwrap_or_default()
    }

    /// Whether the host itself lives in it.
    pub(super) fn is_host(&self) -> bool {
        self.space.namespace.name.as_deref() == Some("host")
    }

    /// The command as it has to be typed here to work there.
    pub(super) fn there(&self, command: &str) -> String {
        let namespace = &self.space.namespace;
        match (&namespace.name, namespace.pid) {
            _ if self.own == Some(namespace.id) => command.to_owned(),
            // A name outlives the processes; `host` is none of its own.
            (Some(name), _) if !self.is_host() && is_typed(name) => {
                format!("nsenter --net={} {command}", file(&format!("{NAMED}/{name}")))
            }
            (_, Some(pid)) => format!("nsenter -t {} -n {command}", pid.0),
            (_, None) => {
                let path = namespace.path.to_string_lossy().into_owned();
                // What leads nowhere is better than what may lead to another one.
                let path = if is_typed(&path) { path } else { format!("net:[{}]", namespace.id.get()) };
                format!("nsenter --net={} {command}", file(&path))
            }
        }
    }

    /// A command with nothing to keep or to take back.
    pub(super) fn once(&self, command: &str, risk: Option<&str>) -> Command {
        Command {
            netns: Some(self.id()),
            run: self.there(command),
            persist: None,
            undo: None,
            risk: risk.map(str::to_owned),
        }
    }

    /// Ends a socket by ss(8), with the risk of it; the kernel needs CONFIG_INET_DIAG_DESTROY.
    pub(super) fn kill(&self, port: Port, socket: &Socket) -> Command {
        let kind = match socket.protocol {
            Protocol::Tcp => "-tK",
            Protocol::Udp => "-uK",
            _ => "-K",
        };
        if socket.state == State::TimeWait {
            let command = format!("ss {kind} state time-wait 'sport = :{}'", port.get());
            return self.once(&command, Some("late segments of the old connection may reach a new one"));
        }
        let from = wording::endpoint(socket.local_addr, port);
        let to = socket
            .remote_port
            .map(|remote| format!(" dst {}", wording::endpoint(socket.remote_addr, remote)));
        let command = format!("ss {kind} src {from}{}", to.unwrap_or_default());
        // The kernel takes the port back from a dead socket only if it had chosen it (SOCK_BINDPORT_LOCK in
        // `tcp_set_state`, net/ipv4/tcp.c).
        let risk = if self.config().is_some_and(|config| config.range.contains(port.get())) {
            "its owner sees the connection aborted; had it bound this port by name, it keeps it until it closes"
        } else {
            "its owner sees the connection aborted, and keeps the port, which it bound by name, until it closes"
        };
        self.once(&command, Some(risk))
    }

    /// Sets a sysctl of the namespace; `now` is what it is set to.
    pub(super) fn set(&self, sysctl: &str, value: &str, now: Option<&str>, risk: Option<&str>) -> Command {
        let write = |value: &str| self.there(&format!("sysctl -w {sysctl}={}", quoted(value)));
        Command {
            netns: Some(self.id()),
            run: write(value),
            persist: Some(self.persist(sysctl, value)),
            undo: now.map(write),
            risk: risk.map(str::to_owned),
        }
    }

    fn persist(&self, sysctl: &str, value: &str) -> String {
        if self.is_host() {
            return format!("/etc/sysctl.d/60-ports.conf: {sysctl} = {value}");
        }
        let kubelet = match sysctl {
            "net.ipv4.ip_local_port_range" => "a safe sysctl",
            "net.ipv4.ip_local_reserved_ports" => "a safe sysctl from Kubernetes 1.27 on",
            _ => "not a safe sysctl: the kubelet must allow it",
        };
        format!(
            "pod: securityContext.sysctls, {sysctl} = {value} ({kubelet}); docker run --sysctl {sysctl}={}",
            quoted(value)
        )
    }

    /// Reserves ports beside those that are reserved; none where what is set is not known.
    pub(super) fn reserve(&self, ports: &[u16], risk: Option<&str>) -> Option<Command> {
        let config = self.config()?;
        let set: PortSet = config
            .reserved
            .stretches()
            .flat_map(|(first, last)| first..=last)
            .chain(ports.iter().copied())
            .collect();
        let text = stretches(&set).join(",");
        Some(self.set("net.ipv4.ip_local_reserved_ports", &text, Some(&config.reserved_text), risk))
    }

    /// Ports outside of the effective range that have a listener or a datagram socket without a peer.
    fn served(&self, range: PortRange, config: &NetnsConfig) -> Vec<u16> {
        let is_served = |port: Port| {
            range.contains(port.get())
                && !config.range.contains(port.get())
                && !config.reserved.contains(port.get())
        };
        let serves = |state: State, proto: Protocol| {
            state == State::Listen || (proto != Protocol::Tcp && state == State::Bound)
        };
        let ports = self.space.list().iter().filter(|one| serves(one.state, one.protocol));
        let services = (NODE_PORTS.0..=NODE_PORTS.1).filter(|_| self.has_node_ports);
        let all = ports.filter_map(|one| one.local_port).chain(services.filter_map(Port::new));
        let set: PortSet = all.filter(|port| is_served(*port)).map(Port::get).collect();
        set.iter().collect()
    }

    /// A range that is worth widening to; none where there is none, or where the range is not known.
    ///
    /// Its low end is no privileged port: the kernel refuses that with EINVAL.
    pub(super) fn wider(&self) -> Option<Wider> {
        let config = self.config()?;
        let start = self.settings().ip_unprivileged_port_start.unwrap_or(0);
        let start = u16::try_from(start).ok()?;
        let now = f64::from(config.effective());
        let lows = [(MODEST_LOW, USUAL_HIGH), (LEAST_LOW, USUAL_HIGH), (LEAST_LOW, u16::MAX)];
        lows.into_iter().find_map(|(low, high)| {
            let (low, high) =
                (low.max(start).min(config.range.low().max(start)), high.max(config.range.high()));
            // Ends of one parity make halves of different size.
            let low = if (low ^ high) & 1 == 0 { low.checked_add(1)? } else { low };
            let range = PortRange::new(low, high)?;
            let swallows = self.served(range, config);
            let mut ports = PortSet::effective(range, &config.reserved);
            for port in &swallows {
                ports.remove(*port);
            }
            let effective = ports.count();
            (f64::from(effective) >= now * WORTH && effective > 0).then_some(Wider {
                range,
                effective,
                swallows,
            })
        })
    }
}

/// What `tcp_tw_reuse` is set to, as it is written.
pub(super) fn reuse_text(reuse: TimeWaitReuse) -> String {
    match reuse {
        TimeWaitReuse::Off => "0".to_owned(),
        TimeWaitReuse::Everywhere => "1".to_owned(),
        TimeWaitReuse::Loopback => "2".to_owned(),
        TimeWaitReuse::Unknown(number) => number.to_string(),
    }
}

/// Whether a name can be typed as it is shown: what a terminal obeys is not shown, a backslash is shown twice, and bytes that
/// are no text are shown as something else. A double quote would have a line broken at a blank.
fn is_typed(name: &str) -> bool {
    !name.chars().any(|letter| misleads(letter) || matches!(letter, '\\' | '"' | '\u{fffd}'))
}

/// A path as a word of the shell. It has no backslash, which is doubled where it is shown, and its blanks are where no line is
/// broken.
fn file(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if path.bytes().all(is_plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', "'\"'\"'").replace(' ', "'\" \"'"))
}

/// Numbers stand alone; whatever else is quoted.
fn quoted(value: &str) -> String {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.to_owned()
    } else {
        format!("\"{value}\"")
    }
}

/// A set as the kernel writes it: `9100,9200-9210`.
fn stretches(set: &PortSet) -> Vec<String> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for port in set.iter() {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
            _ => runs.push((port, port)),
        }
    }
    let texts = runs.iter().map(
        |(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        },
    );
    texts.collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What a shell takes a word for.
    fn by_a_shell(word: &str) -> String {
        let done = Command::new("sh").arg("-c").arg(format!("printf %s {word}")).output().unwrap();
        assert!(done.status.success(), "{word}");
        String::from_utf8(done.stdout).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_name_is_one_word_of_the_shell_as_it_is_shown(name in "[a-z $`;&|<>(){}*?!#~'\"\\\\\n\u{1b}\u{202e}é-]{1,24}") {
            let word = file(&name);
            if is_typed(&name) {
                prop_assert_eq!(by_a_shell(&word), name);
                prop_assert!(!word.contains('\\') && !word.contains(misleads), "{}", word);
                // Lines are broken at blanks outside of double quotes.
                let mut quoted = false;
                for letter in word.chars() {
                    quoted ^= letter == '"';
                    prop_assert!(quoted || letter != ' ', "{}", word);
                }
            } else {
                let harm = name.contains(['\n', '\u{1b}', '\u{202e}', '\\', '"']);
                prop_assert!(harm, "{}", word);
            }
        }
    }

    #[test]
    fn a_name_with_commands_in_it_runs_none() {
        let word = file("a'; echo $(id) `id`; '");
        assert_eq!(by_a_shell(&word), "a'; echo $(id) `id`; '");
    }
}
