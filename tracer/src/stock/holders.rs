//! Which processes hold a socket, found by one walk of `/proc/PID/fd`.

use std::{ffi::CStr, fs, io, mem::MaybeUninit, path::Path};

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::{
    fd::OwnedFd,
    fs::{CWD, Dir, Mode, OFlags, fstat, openat, readlinkat_raw},
    path::DecInt,
};
use serde::{Deserialize, Serialize};

use super::{Inode, StockError, namespaces::MOST_PROCESSES};
use crate::{enrich::Process, event::Pid};

/// File descriptors that one walk looks at.
pub const MOST_DESCRIPTORS: usize = 1 << 22;

/// How long to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichHolders {
    /// Until every socket has a holder: that of the lowest number, unless it holds few of them among very many.
    First,
    /// At all processes: a socket may have several since a fork.
    All,
}

/// A process that holds sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its number.
    pub pid: Pid,
    /// Its names; unknown when it ended while it was looked at.
    pub process: Process,
}

/// The holders of some sockets.
///
/// A socket without one is held by nobody that may be looked at: by the kernel, by a process that has ended, by
/// one in a PID namespace outside of ours, or it is under way in a message between two processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// As they were found.
    processes: Vec<Holder>,
    /// Sockets with the places of their holders, in order.
    holds: Vec<(Inode, usize)>,
    /// Processes whose file descriptors we may not see.
    pub unreadable: usize,
    /// There were more processes, or more file descriptors, than are looked at.
    pub truncated: bool,
}

impl Holders {
    /// Looks for the holders of these sockets. Only the descriptors of first threads are looked at: threads
    /// seldom have some of their own.
    pub fn of(
        proc_root: &Path,
        sockets: impl IntoIterator<Item = Inode>,
        which: WhichHolders,
    ) -> Result<Self, StockError> {
        let wanted: FxHashSet<Inode> = sockets.into_iter().collect();
        let mut all = Self::default();
        if wanted.is_empty() {
            return Ok(all);
        }
        let mut search = Search { missing: wanted.clone(), wanted, which, left: MOST_DESCRIPTORS };
        // A link costs some 3 us to read, and a server has as many of them as its clients: those of processes that
        // seem to hold nothing of what is wanted are read last, and mostly not at all.
        let mut unlikely = Vec::new();
        for pid in all.pids(proc_root)? {
            if search.is_over() {
                break;
            }
            let Some(table) = all.open(proc_root, pid) else { continue };
            if search.seems_vain(&table) {
                unlikely.push(pid);
            } else {
                all.take(&mut search, &table, proc_root, pid);
            }
        }
        for pid in unlikely {
            if search.is_over() {
                break;
            }
            if let Some(table) = all.open(proc_root, pid) {
                all.take(&mut search, &table, proc_root, pid);
            }
        }
        all.holds.sort_unstable();
        all.holds.dedup();
        if which == WhichHolders::First {
            all.holds.dedup_by_key(|(inode, _)| *inode);
        }
        Ok(all)
    }

    /// The processes that hold a socket, that of the lowest number first.
    pub fn holders(&self, inode: Inode) -> impl Iterator<Item = &Holder> {
        let first = self.holds.partition_point(|(one, _)| *one < inode);
        let holds = self.holds.get(first..).unwrap_or_default();
        holds
            .iter()
            .take_while(move |(one, _)| *one == inode)
            .filter_map(|(_, place)| self.processes.get(*place))
    }

    /// The same of some sockets alone.
    #[must_use]
    pub fn only(&self, sockets: &[Inode]) -> Self {
        let wanted: FxHashSet<Inode> = sockets.iter().copied().collect();
        let mut some = Self { unreadable: self.unreadable, truncated: self.truncated, ..Self::default() };
        let mut places = FxHashMap::default();
        for (inode, place) in self.holds.iter().filter(|(inode, _)| wanted.contains(inode)) {
            let Some(holder) = self.processes.get(*place) else { continue };
            let place = *places.entry(*place).or_insert_with(|| {
                some.processes.push(holder.clone());
                some.processes.len().saturating_sub(1)
            });
            some.holds.push((*inode, place));
        }
        some
    }

    /// All processes that were found to hold any of the sockets.
    #[must_use]
    pub fn processes(&self) -> &[Holder] {
        &self.processes
    }

    fn pids(&mut self, proc_root: &Path) -> Result<Vec<Pid>, StockError> {
        let listed = fs::read_dir(proc_root)
            .map_err(|source| StockError::Read { path: proc_root.to_owned(), source })?;
        let mut pids: Vec<Pid> =
            listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid)).collect();
        pids.sort_unstable();
        self.truncated = pids.len() > MOST_PROCESSES;
        pids.truncate(MOST_PROCESSES);
        Ok(pids)
    }

    /// The descriptors of a process; none where it ended, or where it may not be looked at.
    fn open(&mut self, proc_root: &Path, pid: Pid) -> Option<Table> {
        let path = proc_root.join(pid.0.to_string()).join("fd");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(dir) => Some(Table::new(dir)),
            Err(errno) => {
                let denied = io::Error::from(errno).kind() == io::ErrorKind::PermissionDenied;
                self.unreadable = self.unreadable.saturating_add(usize::from(denied));
                None
            }
        }
    }

    /// Takes the wanted sockets that a process holds.
    fn take(&mut self, search: &mut Search, table: &Table, proc_root: &Path, pid: Pid) {
        let place = self.processes.len();
        let mut witness = None;
        let all = table.each(|name, inode| {
            let Some(rest) = search.left.checked_sub(1) else { return false };
            search.left = rest;
            if search.wanted.contains(&inode) {
                search.missing.remove(&inode);
                self.holds.push((inode, place));
                witness = Some(name.to_owned());
            }
            !search.is_over()
        });
        self.truncated |= !all && !search.is_over();
        let Some(witness) = witness else { return };
        // While the directory can be read through its handle, the process lives, and its number with it.
        let process = Process::alive(proc_root, pid).filter(|_| socket_of(&table.dir, &witness).is_some());
        self.processes.push(Holder { pid, process: process.unwrap_or_else(Process::unknown) });
    }
}

/// What is looked for.
struct Search {
    wanted: FxHashSet<Inode>,
    missing: FxHashSet<Inode>,
    which: WhichHolders,
    /// Descriptors that may still be looked at.
    left: usize,
}

impl Search {
    fn is_over(&self) -> bool {
        self.which == WhichHolders::First && self.missing.is_empty()
    }

    /// Whether a process has very many descriptors, and no missing socket behind any of some.
    fn seems_vain(&self, table: &Table) -> bool {
        if self.which == WhichHolders::All || table.open < MANY {
            return false;
        }
        let step = (table.open / SAMPLE).max(1);
        let some = (0..table.open).rev().step_by(step).take(SAMPLE);
        let found = some.filter_map(|number| socket_of(&table.dir, DecInt::new(number).as_c_str()));
        !found.into_iter().any(|inode| self.missing.contains(&inode))
    }
}

/// From so many descriptors on, [`SAMPLE`] of them are looked at first.
const MANY: usize = 512;
const SAMPLE: usize = 64;
/// Numbers without a descriptor that are tried before the directory is listed after all.
const MOST_GAPS: usize = 256;

/// The descriptors of a process.
struct Table {
    dir: OwnedFd,
    /// How many there are; 0 where the kernel does not say: it does from 6.2 on.
    open: usize,
}

impl Table {
    fn new(dir: OwnedFd) -> Self {
        let open = fstat(&dir).ok().and_then(|stat| usize::try_from(stat.st_size).ok());
        Self { dir, open: open.unwrap_or(0) }
    }

    /// Calls `found` with each descriptor that is a socket until it says no more; false where it did.
    ///
    /// By number, where the kernel tells how many there are: to list them costs half as much as to read them.
    fn each(&self, mut found: impl FnMut(&CStr, Inode) -> bool) -> bool {
        let (mut met, mut gaps, mut number) = (0_usize, 0_usize, 0_usize);
        while met < self.open && gaps <= MOST_GAPS {
            let name = DecInt::new(number);
            match link_of(&self.dir, name.as_c_str()) {
                None => gaps = gaps.saturating_add(1),
                Some(link) => {
                    met = met.saturating_add(1);
                    if let Link::Socket(inode) = link
                        && !found(name.as_c_str(), inode)
                    {
                        return false;
                    }
                }
            }
            number = number.saturating_add(1);
        }
        if self.open != 0 && met >= self.open {
            return true;
        }
        let Ok(list) = Dir::read_from(&self.dir) else { return true };
        for entry in list.map_while(Result::ok) {
            let name = entry.file_name();
            let read_before =
                name.to_str().ok().and_then(|name| name.parse().ok()).is_none_or(|one: usize| one < number);
            if let Some(inode) = socket_of(&self.dir, name).filter(|_| !read_before)
                && !found(name, inode)
            {
                return false;
            }
        }
        true
    }
}

/// What a descriptor leads to.
enum Link {
    Socket(Inode),
    Other,
}

/// The socket that a descriptor leads to.
fn socket_of(dir: &OwnedFd, descriptor: &CStr) -> Option<Inode> {
    match link_of(dir, descriptor)? {
        Link::Socket(inode) => Some(inode),
        Link::Other => None,
    }
}

/// What a descriptor leads to; none where there is none of this number.
fn link_of(dir: &OwnedFd, descriptor: &CStr) -> Option<Link> {
    let mut buffer = [MaybeUninit::uninit(); 32];
    let (link, _) = readlinkat_raw(dir, descriptor, buffer.as_mut_slice()).ok()?;
    Some(parse_link(link).map_or(Link::Other, Link::Socket))
}

/// Reads `socket:[12345]`.
fn parse_link(link: &[u8]) -> Option<Inode> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok().and_then(Inode::new))?
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::unix::fs::symlink};

    use super::*;
    use crate::{
        event::{Port, Protocol},
        stock::Sockets,
    };

    #[test]
    fn links_are_read_and_others_refused() {
        assert_eq!(parse_link(b"socket:[4242]"), Inode::new(4242));
        for link in
            ["", "socket:[]", "socket:[0]", "socket:[+1]", "socket:[99999999999]", "pipe:[4]", "socket:[1"]
        {
            assert_eq!(parse_link(link.as_bytes()), None, "{link}");
        }
    }

    #[test]
    fn our_own_listener_is_found_as_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = Port::new(listener.local_addr().unwrap().port());
        let all = Sockets::here(Path::new("/proc"), &[Protocol::Tcp], usize::MAX).unwrap();
        let ours = all.list.iter().find(|one| one.local_port == port).unwrap().inode.unwrap();
        for search in [WhichHolders::First, WhichHolders::All] {
            let holders = Holders::of(Path::new("/proc"), [ours], search).unwrap();
            let holder = holders.holders(ours).next().unwrap();
            assert_eq!(holder.pid, Pid(std::process::id()));
            assert!(holder.process.exe().unwrap().contains("portscope") && holder.process.comm().is_some());
        }
    }

    #[test]
    fn a_socket_among_very_many_descriptors_and_gaps_is_found() {
        let null = fs::File::open("/dev/null").unwrap();
        let mut others: Vec<_> = (0..MANY).map(|_| null.try_clone().unwrap()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = Port::new(listener.local_addr().unwrap().port());
        let all = Sockets::here(Path::new("/proc"), &[Protocol::Tcp], usize::MAX).unwrap();
        let ours = all.list.iter().find(|one| one.local_port == port).unwrap().inode.unwrap();
        let is_found = || {
            let holders = Holders::of(Path::new("/proc"), [ours], WhichHolders::First).unwrap();
            holders.holders(ours).next().map(|one| one.pid) == Some(Pid(std::process::id()))
        };
        assert!(is_found());
        others.truncate(MANY / 4);
        assert!(is_found(), "behind the gap that the others left");
    }

    #[test]
    fn a_shared_socket_has_all_its_holders_the_lowest_first() {
        let root = std::env::temp_dir().join(format!("portscope-{}-holders", std::process::id()));
        for (pid, links) in [
            (9, vec!["socket:[7]", "socket:[7]", "/dev/null"]),
            (10, vec!["socket:[7]", "socket:[8]"]),
            (11, vec!["pipe:[9]"]),
        ] {
            let dir = root.join(pid.to_string()).join("fd");
            fs::create_dir_all(&dir).unwrap();
            for (number, link) in links.iter().enumerate() {
                symlink(link, dir.join(number.to_string())).unwrap();
            }
        }
        let (shared, single, nobody) =
            (Inode::new(7).unwrap(), Inode::new(8).unwrap(), Inode::new(9).unwrap());
        let of = |search, wanted: &[Inode]| Holders::of(&root, wanted.iter().copied(), search).unwrap();
        let all = of(WhichHolders::All, &[shared, single, nobody]);
        let first = of(WhichHolders::First, &[shared]);
        let none = of(WhichHolders::First, &[]);
        fs::remove_dir_all(&root).unwrap();
        let pids = |holders: &Holders, inode| holders.holders(inode).map(|one| one.pid.0).collect::<Vec<_>>();
        assert_eq!((pids(&all, shared), pids(&all, single)), (vec![9, 10], vec![10]));
        assert_eq!((pids(&all, nobody), all.processes().len(), all.truncated), (vec![], 2, false));
        assert_eq!((pids(&first, shared), first.processes().len()), (vec![9], 1));
        assert_eq!(none, Holders::default());
    }
}
