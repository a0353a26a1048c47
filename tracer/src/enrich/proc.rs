//! What `/proc` tells of a process, as long as it lives.

use std::{
    fs::{self, File},
    io::Read as _,
    os::fd::OwnedFd,
    path::Path,
};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use crate::event::{Comm, Pid, StartTime};

/// No file of interest is longer.
const MOST_BYTES: u64 = 64 * 1024;
/// Ticks a second in `/proc/PID/stat`: `USER_HZ`, the same on every architecture of ours.
const NS_PER_TICK: u64 = 10_000_000;

/// The directory of one live process. Reading through it can never reach another one that got its number.
#[derive(Debug)]
pub(super) struct ProcessDir(OwnedFd);

impl ProcessDir {
    /// Opens the directory of a process, unless the process is gone, or it is another one of the same number.
    pub(super) fn open(root: &Path, pid: Pid, start: Option<StartTime>) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = root.join(itoa::Buffer::new().format(pid.0));
        let dir = Self(openat(CWD, &path, flags, Mode::empty()).ok()?);
        let ticks = start_ticks(&dir.read("stat")?)?;
        start.is_none_or(|start| same_start(start, ticks)).then_some(dir)
    }

    /// The parent.
    fn parent(&self) -> Option<Pid> {
        fields(&self.read("stat")?)?.nth(1)?.parse().ok().map(Pid)
    }

    /// Name of the first thread.
    pub(super) fn comm(&self) -> Option<Comm> {
        let name = self.read("comm")?;
        Some(Comm::from_name(name.strip_suffix(b"\n").unwrap_or(&name)))
    }

    /// Path of the executable; none for the kernel's own threads, and for lack of permission.
    pub(super) fn exe(&self) -> Option<String> {
        let target = readlinkat(&self.0, "exe", Vec::new()).ok()?;
        Some(String::from_utf8_lossy(target.as_bytes()).into_owned())
    }

    /// Text of the file `cgroup`.
    pub(super) fn cgroup(&self) -> Option<String> {
        Some(String::from_utf8_lossy(&self.read("cgroup")?).into_owned())
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let file = openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        File::from(file).take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// The parent of a process, unless the process is gone, or it is another one of the same number.
#[must_use]
pub fn parent(root: &Path, pid: Pid, start: Option<StartTime>) -> Option<Pid> {
    ProcessDir::open(root, pid, start)?.parent()
}

/// Whether a process lives, and is not another one of the same number.
#[must_use]
pub fn is_alive(root: &Path, pid: Pid, start: Option<StartTime>) -> bool {
    ProcessDir::open(root, pid, start).is_some()
}

/// CPU time of the descendants of this process that have ended and were waited for, nanoseconds: the 16th and 17th field
/// of `/proc/self/stat`.
#[must_use]
pub fn reaped_cpu_ns(root: &Path) -> Option<u64> {
    let stat = fs::read(root.join("self/stat")).ok()?;
    let mut ticks = fields(&stat)?.skip(13).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    user.checked_add(system)?.checked_mul(NS_PER_TICK)
}

/// The 22nd field of `/proc/PID/stat`: ticks from boot to the start of the process.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    fields(stat)?.nth(19)?.parse().ok()
}

/// The fields of `/proc/PID/stat` from the third one on. The name in the second one may hold anything, blanks and
/// parentheses too.
fn fields(stat: &[u8]) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    let after = stat.iter().rposition(|byte| *byte == b')')?.checked_add(1)?;
    Some(std::str::from_utf8(stat.get(after..)?).ok()?.split_ascii_whitespace())
}

/// Whether a start in units of 2^20 ns, cut to 32 bits, may be one in ticks: a tick is ten units long.
fn same_start(start: StartTime, ticks: u64) -> bool {
    let from = ticks.wrapping_mul(NS_PER_TICK) >> 20;
    let Ok(from) = u32::try_from(from & u64::from(u32::MAX)) else {
        return false;
    };
    start.0.wrapping_sub(from).wrapping_add(1) <= 11
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_start_is_found_behind_any_name() {
        for name in ["a", "a b", ")", "a) S 1 2", "((", "\u{fffd}"] {
            let stat = format!("7 ({name}) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8189515 9 10\n");
            assert_eq!(start_ticks(stat.as_bytes()), Some(8_189_515), "{name}");
        }
    }

    #[test]
    fn absurd_text_has_no_start() {
        for stat in [&b""[..], b"7", b"7 (a", b"7 (a)", b"7 (a) S 1", b")", b"7 (a) \xff\xff"] {
            assert_eq!(start_ticks(stat), None);
        }
    }

    #[test]
    fn the_start_of_this_process_is_read() {
        let me = Pid(std::process::id());
        let dir = ProcessDir::open(Path::new("/proc"), me, None).unwrap();
        assert!(dir.comm().is_some() && dir.exe().is_some() && dir.cgroup().is_some());
        let ticks = start_ticks(&dir.read("stat").unwrap()).unwrap();
        let start = StartTime(u32::try_from(((ticks * NS_PER_TICK) >> 20) & 0xffff_ffff).unwrap());
        assert!(ProcessDir::open(Path::new("/proc"), me, Some(start)).is_some());
        assert!(
            ProcessDir::open(Path::new("/proc"), me, Some(StartTime(start.0.wrapping_add(100)))).is_none()
        );
    }

    proptest! {
        #[test]
        fn the_start_of_one_process_agrees_with_itself(ns in 0_u64..1 << 60) {
            let start = StartTime(u32::try_from((ns >> 20) & 0xffff_ffff).unwrap());
            prop_assert!(same_start(start, ns / NS_PER_TICK));
            let later = (ns + 30_000_000) / NS_PER_TICK;
            prop_assert!(!same_start(start, later));
        }
    }
}
