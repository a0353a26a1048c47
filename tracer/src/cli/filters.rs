//! What to show: the filter options, and what becomes of them.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path};

use clap::Args;

use super::{Failure, words};
use crate::{
    event::NetnsId,
    kernel::{
        KernelError,
        cgroup::is_whole,
        facts,
        settings::{Filter, FilterSettings},
    },
    output::{
        escape,
        records::{FilterValue, Header},
    },
    stock::{NAMED, Netns, Stock},
};

/// Show only events …; they touch what is shown, never what is counted as seen
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filters {
    /// … of these processes (comma lists, repeatable)
    #[arg(short, long, value_name = "PID")]
    pid: Vec<String>,
    /// … of processes whose thread or leader has this name; a trailing * matches any ending
    #[arg(short = 'n', long, value_name = "NAME")]
    comm: Vec<String>,
    /// … of these user ids
    #[arg(short, long, value_name = "UID")]
    uid: Vec<String>,
    /// … with these local ports (80,9000-9100); a failure matches when the range it searched overlaps
    #[arg(short = 'L', short_alias = 'P', long, value_name = "PORTS")]
    local_port: Vec<String>,
    /// … with these remote ports
    #[arg(short = 'D', long, value_name = "PORTS")]
    remote_port: Vec<String>,
    /// … to these networks (10.0.0.0/8)
    #[arg(long, value_name = "CIDR")]
    remote: Vec<String>,
    /// … of these protocols: tcp, udp, udplite, icmp, sctp, dccp
    #[arg(long, value_name = "PROTO")]
    proto: Vec<String>,
    /// … of IPv4
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// … of IPv6
    #[arg(short = '6')]
    ipv6: bool,
    /// … in these network namespaces: inode number, process id, path, or name
    #[arg(short = 'N', long, value_name = "NETNS")]
    netns: Vec<String>,
    /// … of this cgroup and all below it (path below the version 2 mount)
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// … of this container (the beginning of its id)
    #[arg(long, value_name = "ID")]
    container: Option<String>,
    /// … of this Kubernetes pod (the beginning of its UID)
    #[arg(long, value_name = "UID")]
    pod: Option<String>,
    /// … at these sites: connect, bind, listen, autobind
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
}

const PROTOCOLS: [&str; 6] = ["tcp", "udp", "udplite", "icmp", "sctp", "dccp"];
const SITES: [&str; 4] = ["connect", "bind", "listen", "autobind"];
/// Kinds of records of each site: the choice, and the check of a port that was named.
const KINDS_OF_SITE: [u32; 4] = [1 | 1 << 4, 1 << 1 | 1 << 5, 1 << 2 | 1 << 6, 1 << 3];

impl Filters {
    /// The filters that the kernel half judges.
    pub(super) fn in_kernel(&self, failed: bool, cgroup2: Option<&Path>) -> Result<Filter, Failure> {
        let netns = words::list(&self.netns).map(netns).collect::<Result<_, _>>()?;
        Ok(Filter { netns, ..self.but_netns(failed, cgroup2)? })
    }

    fn but_netns(&self, failed: bool, cgroup2: Option<&Path>) -> Result<Filter, Failure> {
        let family = if self.ipv4 { Some(4) } else { self.ipv6.then_some(6) };
        let config = FilterSettings {
            names: words::list(&self.comm).map(str::to_owned).collect(),
            local_ports: words::port_ranges(&self.local_port).map_err(Failure::usage)?,
            remote_ports: words::port_ranges(&self.remote_port).map_err(Failure::usage)?,
            kinds: bits("site", &self.site, &SITES)?.map(kinds),
            protocols: bits("protocol", &self.proto, &PROTOCOLS)?,
            family,
            failed,
            cgroup: self.cgroup.as_deref().map(|path| cgroup(path, cgroup2)).transpose()?,
        };
        let filter = Filter {
            pids: words::numbers("process id", &self.pid).map_err(Failure::usage)?,
            uids: words::numbers("user id", &self.uid).map_err(Failure::usage)?,
            netns: Vec::new(),
            remote: words::networks(&self.remote).map_err(Failure::usage)?,
            config,
        };
        filter.to_config().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(filter)
    }

    /// The filters in force, judged of a recording with this header; none where all passes.
    pub(super) fn in_recording(&self, failed: bool, header: &Header) -> Result<Option<Filter>, Failure> {
        if self.cgroup.is_some() {
            return Err(Failure::usage(
                "--cgroup and -r exclude each other: a recording does not tell who is below",
            )
            .hint("record with it: portscope record --cgroup PATH -w FILE"));
        }
        let netns = words::list(&self.netns).map(|word| recorded_netns(word, header));
        let netns = netns.collect::<Result<_, _>>()?;
        let filter = Filter { netns, ..self.but_netns(failed, None)? };
        Ok((filter != Filter::default()).then_some(filter))
    }

    /// Whether a cgroup is named.
    pub(super) fn names_cgroup(&self) -> bool {
        self.cgroup.is_some()
    }

    /// The container, which only userspace can judge.
    pub(super) fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// The pod, likewise.
    pub(super) fn pod(&self) -> Option<&str> {
        self.pod.as_deref()
    }

    /// The filters in force, for the header.
    pub(super) fn told(&self, failed: bool) -> BTreeMap<String, FilterValue> {
        let lists = [
            ("pid", &self.pid),
            ("comm", &self.comm),
            ("uid", &self.uid),
            ("local_port", &self.local_port),
            ("remote_port", &self.remote_port),
            ("remote", &self.remote),
            ("proto", &self.proto),
            ("netns", &self.netns),
            ("site", &self.site),
        ];
        let mut told: BTreeMap<String, FilterValue> = lists
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(name, given)| {
                (name.to_owned(), FilterValue::Any(words::list(given).map(str::to_owned).collect()))
            })
            .collect();
        for (name, word) in [("cgroup", &self.cgroup), ("container", &self.container), ("pod", &self.pod)] {
            if let Some(word) = word {
                told.insert(name.to_owned(), FilterValue::Any(vec![word.clone()]));
            }
        }
        for (name, set) in [("ipv4", self.ipv4), ("ipv6", self.ipv6), ("failed", failed)] {
            if set {
                told.insert(name.to_owned(), FilterValue::Set(true));
            }
        }
        told
    }
}

/// One bit for each word, numbered as in `names`.
fn bits(what: &str, given: &[String], names: &[&str]) -> Result<Option<u32>, Failure> {
    let mut bits = None;
    for word in words::list(given) {
        let at = names.iter().position(|name| *name == word).ok_or_else(|| {
            Failure::usage(format!("'{word}' is no {what}: there are {}", names.join(", ")))
        })?;
        bits = Some(bits.unwrap_or(0) | 1 << at);
    }
    Ok(bits)
}

fn kinds(sites: u32) -> u32 {
    KINDS_OF_SITE
        .iter()
        .enumerate()
        .filter(|(at, _)| sites >> at & 1 != 0)
        .fold(0, |all, (_, kinds)| all | kinds)
}

/// Inode numbers of namespaces lie far above any process id.
const FIRST_INODE: u32 = 0x8000_0000;

fn netns(word: &str) -> Result<u32, Failure> {
    let path = match word.parse::<u32>() {
        Ok(inode) if inode >= FIRST_INODE => return Ok(inode),
        Ok(pid) => format!("/proc/{pid}/ns/net"),
        Err(_) if word.contains('/') => word.to_owned(),
        Err(_) => format!("{NAMED}/{word}"),
    };
    let failed = |why: String| Failure::usage(format!("'{word}' is no network namespace: {path}: {why}"));
    let meta = fs::metadata(&path).map_err(|error| failed(super::exit::reason(&error)))?;
    u32::try_from(meta.ino()).map_err(|_wide| failed("it is no namespace file".to_owned()))
}

/// The inode number of a namespace of a recording, given as such, or by its name there.
fn recorded_netns(word: &str, header: &Header) -> Result<u32, Failure> {
    if let Some(inode) = word.parse::<u32>().ok().filter(|inode| *inode >= FIRST_INODE) {
        return Ok(inode);
    }
    let named = header.netns.iter().find(|netns| netns.name.as_deref() == Some(word));
    named.map(|netns| netns.id).ok_or_else(|| {
        let all: Vec<String> = header
            .netns
            .iter()
            .map(|netns| netns.name.clone().unwrap_or_else(|| netns.id.to_string()))
            .collect();
        Failure::usage(format!("the recording has no network namespace '{}'", escape(word))).hint(format!(
            "give an inode number or a name; at its start there were {}",
            escape(&all.join(", "))
        ))
    })
}

/// Those of a recording, given by number or name; empty where none is given, which means all.
pub(super) fn recorded_namespaces(given: &[String], header: &Header) -> Result<Vec<NetnsId>, Failure> {
    let numbers: Vec<u32> =
        words::list(given).map(|word| recorded_netns(word, header)).collect::<Result<_, _>>()?;
    Ok(numbers.into_iter().filter_map(NetnsId::new).collect())
}

/// Namespaces by their inode number, process, path or name; none where none is given, which means all.
pub(super) fn namespaces(given: &[String]) -> Result<Option<Vec<NetnsId>>, Failure> {
    let numbers: Vec<u32> = words::list(given).map(netns).collect::<Result<_, _>>()?;
    Ok((!numbers.is_empty()).then(|| numbers.into_iter().filter_map(NetnsId::new).collect()))
}

/// Complains about a namespace that nothing leads to.
pub(super) fn all_found(wanted: Option<&[NetnsId]>, stock: &Stock) -> Result<(), Failure> {
    match wanted.unwrap_or_default().iter().find(|id| stock.space(**id).is_none()) {
        None => Ok(()),
        Some(id) => Err(Failure::new(format!(
            "the network namespace {} cannot be reached: no process that we may look at is in it, and it has no \
             name below {NAMED}",
            id.get()
        ))
        .hint("`lsns -t net` lists those that processes are in, `ip netns` those that have a name")),
    }
}

/// The one namespace of `-N`, or that of this process.
pub(super) fn one_namespace(given: &[String]) -> Result<Netns, Failure> {
    match namespaces(given)?.as_deref() {
        None => Ok(Netns::open(Path::new("/proc/self/ns/net"))?),
        Some([id]) => {
            let all = crate::stock::namespaces(Path::new("/proc"), Path::new(NAMED))?;
            let found = all.list.into_iter().find(|one| one.id == *id);
            let found = found.ok_or_else(|| {
                Failure::new(format!(
                    "no process and no name below {NAMED} leads to the namespace {}",
                    id.get()
                ))
            })?;
            Ok(Netns::open(&found.path)?)
        }
        Some(_) => Err(Failure::usage("give one network namespace here, not several")),
    }
}

fn cgroup(word: &str, mount: Option<&Path>) -> Result<(u32, u64), Failure> {
    let mount =
        mount.ok_or_else(|| Failure::usage("--cgroup: no cgroup version 2 hierarchy is mounted here"))?;
    if !facts::filters_by_cgroup() {
        return Err(KernelError::CgroupFilter.into());
    }
    // The kernel counts levels from the root of all.
    if !is_whole(mount) {
        let part = "this process sees only a part of the host's cgroups, of which it is not told how far down it begins";
        return Err(Failure::usage(format!("--cgroup: {part}: filter by --container, -p or -n instead")));
    }
    let given = Path::new(word);
    let below = given.strip_prefix(mount).unwrap_or(given);
    let below = below.strip_prefix("/").unwrap_or(below);
    let path = mount.join(below);
    let meta = fs::metadata(&path).map_err(|error| {
        Failure::usage(format!("'{word}' is no cgroup: {}: {}", path.display(), super::exit::reason(&error)))
    })?;
    let level = u32::try_from(below.components().count()).unwrap_or(u32::MAX);
    Ok((level, meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_site_stands_for_its_choices_and_its_checks() {
        let filters = Filters { site: words(&["bind,autobind"]), ..Filters::default() };
        let filter = filters.in_kernel(false, None).unwrap();
        assert_eq!(filter.config.kinds, Some(1 << 1 | 1 << 5 | 1 << 3));
    }

    #[test]
    fn an_unknown_word_is_named_with_those_that_are_known() {
        let filters = Filters { proto: words(&["tpc"]), ..Filters::default() };
        let Err(Failure::Usage { told, .. }) = filters.in_kernel(false, None) else { panic!("accepted") };
        assert!(told.starts_with("'tpc' is no protocol: there are tcp, udp"), "{told}");
    }

    #[test]
    fn filters_are_told_by_the_name_of_their_option() {
        let filters = Filters { pid: words(&["1,2"]), ipv6: true, ..Filters::default() };
        let told = filters.told(true);
        assert_eq!(told.keys().collect::<Vec<_>>(), ["failed", "ipv6", "pid"]);
        assert_eq!(told["pid"], FilterValue::Any(words(&["1", "2"])));
    }
}
