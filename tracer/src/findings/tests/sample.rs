//! Made-up cases.

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf};

use tracer_ebpf::abi::Record;
use zerocopy::IntoBytes as _;

use crate::{
    enrich::Process,
    event::{
        Cause, Errno, MonoNs, NetnsId, Pid, Port, PortRange, Protocol, Reserved, Search, SearchRules, Site,
        decode,
    },
    findings::{
        Case, Finding, Flow, HeldPools, Holding, Judgement, Listening, Refusal, Victim, judge, judge::RULES,
    },
    stats::{self, Stats},
    stock::{
        Counters, Ground, MOST_POOLS, Namespace, NetnsConfig, NetnsStock, Pools, PortSet, Settings, Socket,
        Sockets, State, Stock, TimeWaitReuse, parse_reserved,
    },
};

pub(super) const START: MonoNs = MonoNs(1_000_000_000_000);
pub(super) const NETNS: u32 = 4_026_531_840;
pub(super) const US: &str = "10.0.3.14";
pub(super) const REDIS: &str = "10.0.9.2";

pub(super) fn netns() -> NetnsId {
    NetnsId::new(NETNS).unwrap()
}

pub(super) fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

pub(super) fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn program(name: &str) -> Process {
    Process::new(Some(name), Some(&format!("/usr/bin/{name}")), None)
}

/// A case and all that it borrows.
pub(super) struct Scene {
    pub(super) stock: Stock,
    pub(super) before: Option<Stock>,
    pub(super) pools: Vec<HeldPools>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) stats: Stats,
    /// There is a flow.
    pub(super) traced: bool,
    pub(super) seconds: u64,
    pub(super) lost: u64,
    pub(super) cpu_ns: Option<u64>,
    pub(super) is_load: bool,
    pub(super) own: Option<NetnsId>,
    pub(super) listeners: Vec<Listening>,
    pub(super) agents: Vec<&'static str>,
}

impl Scene {
    /// The host's namespace without a socket; nothing is traced.
    pub(super) fn new(low: u16, high: u16, reserved: &str) -> Self {
        Self {
            stock: stock(low, high, reserved),
            before: None,
            pools: Vec::new(),
            refusals: Vec::new(),
            stats: Stats::new(stats::Settings {
                releases: true,
                checks: true,
                ..stats::Settings::new(START)
            }),
            traced: false,
            seconds: 30,
            lost: 0,
            cpu_ns: None,
            is_load: false,
            own: Some(netns()),
            listeners: Vec::new(),
            agents: Vec::new(),
        }
    }

    /// The default range, and a quiet flow.
    pub(super) fn traced() -> Self {
        Self { traced: true, ..Self::new(32_768, 60_999, "") }
    }

    pub(super) fn space(&mut self) -> &mut NetnsStock {
        &mut self.stock.spaces[0]
    }

    pub(super) fn settings(&mut self) -> &mut Settings {
        self.space().settings.as_mut().unwrap()
    }

    pub(super) fn counters(&mut self) -> &mut Counters {
        self.space().counters.as_mut().unwrap()
    }

    /// Puts sockets there, and makes the pools anew.
    pub(super) fn put(&mut self, sockets: impl IntoIterator<Item = Socket>) {
        self.space().sockets.as_mut().unwrap().list.extend(sockets);
        let space = &self.stock.spaces[0];
        let ground = Ground {
            sockets: space.list(),
            config: space.config.as_ref().unwrap(),
            settings: space.settings.as_ref().unwrap(),
            binders: &PortSet::default(),
        };
        let pools = Pools::of(&ground, MOST_POOLS);
        self.pools = vec![HeldPools {
            netns: netns(),
            pools,
            peak_barred: Vec::new(),
            holders: Vec::new(),
            worst: Vec::new(),
        }];
    }

    /// Says who holds the fullest pool for connect.
    pub(super) fn held_by(&mut self, holders: Vec<Holding>) {
        self.pools[0].holders = vec![holders];
    }

    /// Remembers the stock as it is as that of the beginning, `seconds` before what comes.
    pub(super) fn earlier(&mut self, seconds: u64) {
        let space = self.stock.spaces[0].clone();
        let mut before = Stock { spaces: vec![space], ..Stock::default() };
        before.began = START;
        before.ended = START;
        self.stock.began = MonoNs(START.0 + seconds * 1_000_000_000);
        self.stock.ended = self.stock.began;
        self.before = Some(before);
    }

    pub(super) fn feed(&mut self, records: impl IntoIterator<Item = Record>) {
        let reserved = Reserved::default();
        let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
        let process = program("php-fpm");
        for record in records {
            let event = decode(record.as_bytes()).unwrap();
            self.stats.take(&event, &Search::of(&event, &rules), &process);
        }
        self.stats.settle();
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&Case<'_>) -> T) -> T {
        let flow = Flow {
            start: START,
            at: MonoNs(START.0 + self.seconds * 1_000_000_000),
            stats: &self.stats,
            refusals: &self.refusals,
            lost: self.lost,
            unavailable: &[],
            command_cpu_ns: self.cpu_ns,
            is_load: self.is_load,
        };
        look(&Case {
            stock: &self.stock,
            before: self.before.as_ref(),
            pools: &self.pools,
            flow: self.traced.then_some(&flow),
            own_netns: self.own,
            listeners: &self.listeners,
            node_agents: &self.agents,
        })
    }

    pub(super) fn judge(&self) -> Judgement {
        self.with(judge)
    }

    /// What one rule finds.
    pub(super) fn find(&self, id: u16) -> Vec<Finding> {
        let (_, rule) = RULES.into_iter().find(|(number, _)| *number == id).unwrap();
        self.with(rule)
    }

    /// The one thing that a rule finds.
    pub(super) fn only(&self, id: u16) -> Finding {
        let mut found = self.find(id);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    pub(super) fn is_silent(&self, id: u16) -> bool {
        self.find(id).is_empty()
    }
}

fn stock(low: u16, high: u16, reserved: &str) -> Stock {
    let namespace = Namespace {
        id: netns(),
        name: Some("host".into()),
        pid: Some(Pid(1)),
        path: PathBuf::from("/proc/1/ns/net"),
    };
    let config = NetnsConfig {
        id: netns(),
        range: PortRange::new(low, high).unwrap(),
        reserved: parse_reserved(reserved).unwrap(),
        reserved_text: reserved.to_owned(),
        step_width: None,
    };
    let settings = Settings {
        tcp_tw_reuse: Some(TimeWaitReuse::Loopback),
        tcp_timestamps: Some(1),
        ip_unprivileged_port_start: Some(1_024),
        tcp_max_tw_buckets: Some(131_072),
        nf_conntrack_max: Some(262_144),
        ..Settings::default()
    };
    let counters = Counters {
        syn_retrans: Some(5),
        time_wait_overflow: Some(0),
        conntrack_count: Some(3_114),
        conntrack_drop: Some(0),
        conntrack_insert_failed: Some(0),
        ..Counters::default()
    };
    let space = NetnsStock {
        namespace,
        config: Some(config),
        settings: Some(settings),
        counters: Some(counters),
        sockets: Some(Sockets::default()),
    };
    Stock { spaces: vec![space], ..Stock::default() }
}

pub(super) fn socket(state: State, local: u16, remote: Option<(&str, u16)>) -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        state,
        local_addr: if remote.is_some() { addr(US) } else { addr("0.0.0.0") },
        remote_addr: remote.map_or(addr("0.0.0.0"), |(text, _)| addr(text)),
        local_port: Port::new(local),
        remote_port: remote.and_then(|(_, number)| Port::new(number)),
        inode: None,
        interface: None,
        time_left_ms: (state == State::TimeWait).then_some(NonZeroU32::new(40_000).unwrap()),
        uid: None,
        v6only: None,
    }
}

/// `count` connections to redis, from ports `first` and on, `step` apart.
pub(super) fn connections(state: State, first: u16, count: u16, step: u16) -> Vec<Socket> {
    (0..count).map(|place| socket(state, first + place * step, Some((REDIS, 6_379)))).collect()
}

pub(super) fn holding(name: &str, processes: u32, ports: u32) -> Holding {
    Holding {
        pid: Some(Pid(977)),
        processes,
        process: program(name),
        ports,
        time_wait: 0,
        example: None,
        descriptors: None,
    }
}

pub(super) fn refusal(site: Site, cause: Cause, errno: Errno, count: u64) -> Refusal {
    let is_connect = site == Site::Connect;
    Refusal {
        netns: Some(netns()),
        proto: Protocol::Tcp,
        site,
        requested: None,
        laddr: Some(addr(US)),
        raddr: is_connect.then_some(addr(REDIS)),
        rport: is_connect.then_some(port(6_379)),
        cause: Some(cause),
        errno: Some(errno),
        count,
        attempts: count * 4,
        first: MonoNs(START.0 + 6_000_000_000),
        last: MonoNs(START.0 + 29_000_000_000),
        victims: vec![
            Victim {
                pid: Pid(20_411),
                processes: 48,
                process: program("php-fpm"),
                count: count - count / 10,
            },
            Victim { pid: Pid(31), processes: 1, process: program("curl"), count: count / 10 },
        ],
        holders: Vec::new(),
    }
}
