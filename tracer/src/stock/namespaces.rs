//! Which network namespaces there are.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::fstatfs;
use serde::{Deserialize, Serialize};

use super::{Netns, StockError};
use crate::event::{NetnsId, Pid};

/// Where `ip netns` keeps named namespaces.
pub const NAMED: &str = "/run/netns";
/// What the namespace is called that the host started in.
const HOST: &str = "host";

/// Processes that are looked at.
pub(super) const MOST_PROCESSES: usize = 65_536;
/// Namespaces that are listed.
const MOST_NAMESPACES: usize = 4_096;
/// `NSFS_MAGIC` of `include/uapi/linux/magic.h`.
const NSFS: u32 = 0x6e73_6673;

/// A network namespace, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its inode number.
    pub id: NetnsId,
    /// `host` for the one that the host started in, else its name under [`NAMED`], if it has one.
    pub name: Option<String>,
    /// The first process in it; none where only its name keeps it.
    pub pid: Option<Pid>,
    /// A file to open it by; not written: it leads nowhere on another host, or later.
    #[serde(skip)]
    pub path: PathBuf,
}

impl Namespace {
    /// What to call it: its name, its first process, or its number.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.name, self.pid) {
            (Some(name), _) => name.clone(),
            (None, Some(pid)) => format!("pid {}", pid.0),
            (None, None) => format!("net:[{}]", self.id.get()),
        }
    }
}

/// The network namespaces of a host, as far as they were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// By number.
    pub list: Vec<Namespace>,
    /// Processes whose namespace we may not know.
    pub unreadable: usize,
    /// There were more processes or namespaces than are looked at.
    pub truncated: bool,
}

/// Lists the namespaces of all processes under `proc_root` (their first threads') and those under `named_dir`.
pub fn namespaces(proc_root: &Path, named_dir: &Path) -> Result<Namespaces, StockError> {
    let mut found = BTreeMap::new();
    let mut all = Namespaces::default();
    scan_processes(proc_root, &mut found, &mut all)?;
    let names = scan_names(named_dir, &mut found);
    let host = host_of(proc_root);
    for (id, namespace) in &mut found {
        namespace.name = if host == Some(*id) { Some(HOST.into()) } else { names.get(id).cloned() };
    }
    all.truncated |= found.len() > MOST_NAMESPACES;
    all.list = found.into_values().take(MOST_NAMESPACES).collect();
    Ok(all)
}

fn scan_processes(
    root: &Path,
    found: &mut BTreeMap<NetnsId, Namespace>,
    all: &mut Namespaces,
) -> Result<(), StockError> {
    let failed = |source| StockError::Read { path: root.to_owned(), source };
    let mut pids: Vec<u32> = fs::read_dir(root)
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    all.truncated = pids.len() > MOST_PROCESSES;
    for pid in pids.into_iter().take(MOST_PROCESSES).map(Pid) {
        let path = link_path(root, pid);
        let id = fs::read_link(&path).map(|link| link.to_str().and_then(parse_link));
        match id {
            Ok(Some(id)) => {
                found.entry(id).or_insert(Namespace { id, name: None, pid: Some(pid), path });
            }
            Ok(None) => all.unreadable = all.unreadable.saturating_add(1),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                all.unreadable = all.unreadable.saturating_add(1);
            }
            // Those that have ended meanwhile, or that only wait to be reaped, are in no namespace.
            Err(_) => {}
        }
    }
    Ok(())
}

/// The names of named namespaces; the first one in the alphabet where there are several.
fn scan_names(dir: &Path, found: &mut BTreeMap<NetnsId, Namespace>) -> BTreeMap<NetnsId, String> {
    let mut names = BTreeMap::new();
    // Most hosts have no such directory.
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    for path in paths.into_iter().take(MOST_NAMESPACES) {
        let Some((netns, name)) = Netns::open(&path).ok().zip(path.file_name()) else { continue };
        // A file that is left over when nothing is mounted on it.
        if !netns.is_namespace() {
            continue;
        }
        // Only one is to be taken for that of the host.
        if name != HOST {
            names.entry(netns.id()).or_insert_with(|| name.to_string_lossy().into_owned());
        }
        found.entry(netns.id()).or_insert(Namespace { id: netns.id(), name: None, pid: None, path });
    }
    names
}

fn link_path(root: &Path, pid: Pid) -> PathBuf {
    root.join(pid.0.to_string()).join("ns/net")
}

fn link_of(root: &Path, pid: Pid) -> Option<NetnsId> {
    parse_link(fs::read_link(link_path(root, pid)).ok()?.to_str()?)
}

/// The namespace that the host started in: that of process 1, or, where that may not be looked at, of the
/// kernel's own first thread.
fn host_of(root: &Path) -> Option<NetnsId> {
    let kernel = || {
        let comm = fs::read(root.join("2/comm")).ok()?;
        (comm.trim_ascii() == b"kthreadd").then(|| link_of(root, Pid(2)))?
    };
    link_of(root, Pid(1)).or_else(kernel)
}

/// Reads `net:[4026531840]`.
fn parse_link(text: &str) -> Option<NetnsId> {
    NetnsId::new(text.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()?)
}

impl Netns {
    /// Whether the file is a namespace at all, of whatever kind.
    #[must_use]
    pub fn is_namespace(&self) -> bool {
        fstatfs(self.file()).is_ok_and(|fs| u32::try_from(fs.f_type) == Ok(NSFS))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt as _, fs::symlink},
    };

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn links_are_read_and_others_refused() {
        assert_eq!(parse_link("net:[4026531840]"), NetnsId::new(4_026_531_840));
        for text in ["", "net:[]", "net:[0]", "mnt:[4026531840]", "net:[x]", "net:[99999999999]", "net:[1"] {
            assert_eq!(parse_link(text), None, "{text}");
        }
    }

    #[test]
    fn processes_names_and_leftovers_are_told_apart() {
        let root = std::env::temp_dir().join(format!("portscope-{}-namespaces", std::process::id()));
        let (proc, named) = (root.join("proc"), root.join("named"));
        for (pid, link) in [(1, "net:[11]"), (20, "net:[12]"), (3, "net:[12]"), (4, "broken")] {
            let dir = proc.join(pid.to_string()).join("ns");
            fs::create_dir_all(&dir).unwrap();
            symlink(link, dir.join("net")).unwrap();
        }
        fs::create_dir_all(proc.join("sys")).unwrap();
        fs::create_dir_all(&named).unwrap();
        fs::write(named.join("leftover"), "").unwrap();
        symlink("/proc/self/ns/net", named.join("blue")).unwrap();
        symlink("/proc/self/ns/net", named.join("azure")).unwrap();
        let all = namespaces(&proc, &named).unwrap();
        fs::remove_dir_all(proc.join("1")).unwrap();
        assert_eq!(host_of(&proc), None);
        fs::create_dir_all(proc.join("2/ns")).unwrap();
        fs::write(proc.join("2/comm"), "kthreadd\n").unwrap();
        symlink("net:[13]", proc.join("2/ns/net")).unwrap();
        assert_eq!(host_of(&proc), NetnsId::new(13));
        fs::remove_dir_all(&root).unwrap();
        let labels: Vec<String> = all.list.iter().map(Namespace::label).collect();
        assert_eq!(labels, ["host", "pid 3", "azure"]);
        assert_eq!((all.unreadable, all.truncated), (1, false));
        assert_eq!(all.list.last().and_then(|one| one.pid), None);
    }

    #[test]
    fn names_may_be_any_bytes_but_that_of_the_host_and_nobody_is_waited_for() {
        let root = std::env::temp_dir().join(format!("portscope-{}-names", std::process::id()));
        let (proc, folder) = (root.join("proc"), root.join("named"));
        let links = ["net:[11]", "net:[\u{1b}[31m]", "net:[4026531840]\n", "net:[-1]", "net:[x]"];
        for (pid, link) in (1..).zip(links) {
            let dir = proc.join(format!("{pid}/ns"));
            fs::create_dir_all(&dir).unwrap();
            symlink(link, dir.join("net")).unwrap();
        }
        fs::create_dir_all(proc.join("99999999999999999999")).unwrap();
        fs::create_dir_all(proc.join("+7/ns")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        // Nobody ever writes to it: whoever waits for that waits for ever.
        mknodat(CWD, folder.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        symlink("/proc/self/ns/net", folder.join("host")).unwrap();
        symlink("gone", folder.join("gone")).unwrap();
        let only =
            |all: Namespaces| all.list.into_iter().find(|one| one.id != NetnsId::new(11).unwrap()).unwrap();
        let all = namespaces(&proc, &folder).unwrap();
        assert_eq!((all.list.len(), all.unreadable), (2, 4), "{:?}", all.list);
        let unnamed = only(all);
        let long = "n".repeat(255);
        let mut names = Vec::new();
        for name in [b"\xff\n\x1b[31m".as_slice(), b"$(id); x", long.as_bytes()] {
            let path = folder.join(OsStr::from_bytes(name));
            symlink("/proc/self/ns/net", &path).unwrap();
            names.extend(only(namespaces(&proc, &folder).unwrap()).name);
            fs::remove_file(path).unwrap();
        }
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((unnamed.name, unnamed.path), (None, folder.join("host")));
        assert_eq!(names, ["\u{fffd}\n\u{1b}[31m", "$(id); x", &long]);
    }

    #[test]
    fn this_hosts_namespaces_include_ours() {
        let all = namespaces(Path::new("/proc"), Path::new(NAMED)).unwrap();
        let own = Netns::of_process(Path::new("/proc"), Pid(std::process::id())).unwrap();
        assert!(all.list.iter().any(|one| one.id == own.id()));
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let error = namespaces(Path::new("/nowhere"), Path::new(NAMED)).unwrap_err();
        assert!(error.to_string().contains("/nowhere"));
    }
}
