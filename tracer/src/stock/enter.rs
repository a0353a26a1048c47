//! Going into a network namespace, on a thread that is not used for anything else.

use std::{
    fs::File,
    io,
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    panic,
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    fs::{OFlags, fstat},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::StockError;
use crate::{
    event::{NetnsId, Pid},
    privileges::raise_to_enter,
};

/// A network namespace held open: it cannot vanish, and its number cannot be given to another.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
    id: NetnsId,
}

impl Netns {
    /// Opens `/proc/PID/ns/net`, a file of `/run/netns`, or the like.
    pub fn open(path: &Path) -> Result<Self, StockError> {
        let failed = |source| StockError::Read { path: path.to_owned(), source };
        // Whatever else lies there under a name is not waited for.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
        let inode = fstat(&file).map_err(|errno| failed(errno.into()))?.st_ino;
        let id = u32::try_from(inode).ok().and_then(NetnsId::new);
        let id = id.ok_or_else(|| StockError::Enter { path: path.to_owned(), source: not_a_namespace() })?;
        Ok(Self { file, path: path.to_owned(), id })
    }

    /// Opens the namespace of a process.
    pub fn of_process(proc_root: &Path, pid: Pid) -> Result<Self, StockError> {
        Self::open(&proc_root.join(pid.0.to_string()).join("ns/net"))
    }

    /// Opens that of the running thread.
    pub(super) fn own() -> Result<Self, StockError> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// Its inode number.
    #[must_use]
    pub const fn id(&self) -> NetnsId {
        self.id
    }

    /// Itself, if it is the namespace of this number: a process may have moved on, and its file with it.
    pub(super) fn checked(self, id: NetnsId) -> Result<Self, StockError> {
        if self.id == id {
            return Ok(self);
        }
        let source = io::Error::new(io::ErrorKind::NotFound, "another namespace is there now");
        Err(StockError::Enter { path: self.path, source })
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Does the work with a thread inside. Our own namespace takes no rights, and no thread.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, StockError> {
        if Self::own().is_ok_and(|own| own.id == self.id) {
            return Ok(work());
        }
        travel(|enter| enter(self).map(|()| work()))
            .map_err(|source| StockError::Thread { path: self.path.clone(), source })?
    }
}

/// Does the work on a thread of its own, which enters namespaces by what it is given, and is in the last one then; an error
/// if no thread can be had.
pub(super) fn travel<T: Send>(work: impl FnOnce(Enter) -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
            raise_to_enter();
            work(enter)
        })?;
        // The work panicked: so do we, as if it had run here.
        Ok(thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
    })
}

/// Moves the running thread into a namespace.
pub(super) type Enter = fn(&Netns) -> Result<(), StockError>;

fn enter(netns: &Netns) -> Result<(), StockError> {
    move_into_link_name_space(netns.file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| StockError::Enter { path: netns.path.clone(), source: errno.into() })
}

fn not_a_namespace() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a namespace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_needs_no_rights() {
        let own = Netns::of_process(Path::new("/proc"), Pid(std::process::id())).unwrap();
        assert_eq!(own.inside(|| 5).unwrap(), 5);
    }

    #[test]
    fn what_is_no_namespace_is_refused_with_a_hint() {
        let file = Netns::open(Path::new("/proc/self/stat"));
        let refused = file.and_then(|file| file.inside(|| 5)).unwrap_err();
        assert!(matches!(refused, StockError::Enter { .. }), "{refused:?}");
        let missing = Netns::open(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/at/all") && missing.hint().is_some());
    }
}
