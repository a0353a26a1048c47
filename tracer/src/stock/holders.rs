//! Which processes hold a socket, found by one walk of `/proc/PID/fd`.

use std::{ffi::CStr, fs, io, path::Path};

use rustc_hash::FxHashSet;
use rustix::{
    fd::OwnedFd,
    fs::{CWD, Dir, Mode, OFlags, openat},
};

use super::{Inode, StockError, namespaces::MOST_PROCESSES};
use crate::{enrich::Process, event::Pid};

/// File descriptors that one walk looks at.
pub const MOST_DESCRIPTORS: usize = 1 << 22;

/// How long to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichHolders {
    /// Until every socket has a holder: that of the lowest number, as `/proc` lists them.
    First,
    /// At all processes: a socket may have several since a fork.
    All,
}

/// A process that holds sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// By number.
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
        let mut missing = wanted.clone();
        let mut all = Self::default();
        if wanted.is_empty() {
            return Ok(all);
        }
        let mut left = MOST_DESCRIPTORS;
        for pid in all.pids(proc_root)? {
            let Some(held) = all.descriptors(proc_root, pid, &wanted, &mut left) else { continue };
            let place = all.processes.len();
            for inode in held.sockets {
                missing.remove(&inode);
                all.holds.push((inode, place));
            }
            all.processes.push(Holder { pid, process: held.process });
            if which == WhichHolders::First && missing.is_empty() {
                break;
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

    /// All processes that hold any of the sockets, by number.
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

    /// The wanted sockets that a process holds; none where there are none, where it ended, or where it may not be
    /// looked at.
    fn descriptors(
        &mut self,
        proc_root: &Path,
        pid: Pid,
        wanted: &FxHashSet<Inode>,
        left: &mut usize,
    ) -> Option<Held> {
        let path = proc_root.join(pid.0.to_string()).join("fd");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            openat(CWD, &path, flags, Mode::empty()).and_then(|dir| Ok((Dir::read_from(&dir)?, dir)));
        let (list, dir) = match opened {
            Ok(opened) => opened,
            Err(errno) => {
                let denied = io::Error::from(errno).kind() == io::ErrorKind::PermissionDenied;
                self.unreadable = self.unreadable.saturating_add(usize::from(denied));
                return None;
            }
        };
        let mut sockets = Vec::new();
        let mut witness = None;
        for entry in list.map_while(Result::ok) {
            let name = entry.file_name();
            if name.to_bytes().first() == Some(&b'.') {
                continue;
            }
            let Some(rest) = left.checked_sub(1) else {
                self.truncated = true;
                break;
            };
            *left = rest;
            if let Some(inode) = socket_of(&dir, name).filter(|inode| wanted.contains(inode)) {
                sockets.push(inode);
                witness = Some(entry);
            }
        }
        let witness = witness?;
        // While the directory can be read through its handle, the process lives, and its number with it.
        let process =
            Process::alive(proc_root, pid).filter(|_| socket_of(&dir, witness.file_name()).is_some());
        Some(Held { sockets, process: process.unwrap_or_else(Process::unknown) })
    }
}

struct Held {
    sockets: Vec<Inode>,
    process: Process,
}

/// The socket that a descriptor leads to.
fn socket_of(dir: &OwnedFd, descriptor: &CStr) -> Option<Inode> {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 32];
    let (link, _) = rustix::fs::readlinkat_raw(dir, descriptor, buffer.as_mut_slice()).ok()?;
    parse_link(link)
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
