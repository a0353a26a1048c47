//! Who descends from this process, where no cgroup tells the command from the rest.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use rustix::process::{WaitOptions, set_child_subreaper, waitpid};

use super::forks::{Fork, Forks, Next};
use crate::{
    enrich::{monotonic_now, parent},
    event::{MonoNs, Pid, StartTime},
};

/// Generations that are gone back.
const MOST_GENERATIONS: usize = 256;
/// How long a process without a known start is believed to be the same one.
const TRUST_NS: u64 = 5_000_000_000;

/// How descendants are told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// They run in a cgroup of their own.
    Cgroup,
    /// The kernel told every fork.
    Forks,
    /// By the parents of each process, read when it was first seen.
    Parents,
}

impl ToldBy {
    /// The word that stands in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Forks => "forks",
            Self::Parents => "parents",
        }
    }
}

/// The descendants of this process: of a command that it starts, and of nothing else.
#[derive(Debug)]
pub struct Descent {
    own: Pid,
    proc_root: PathBuf,
    /// The command, which is waited for elsewhere.
    command: Option<Pid>,
    forks: Option<Forks>,
    /// Forks were lost: who is not known may be a descendant all the same.
    lost: bool,
    /// Everything that was forked before this time is known.
    told_until: MonoNs,
    born: FxHashMap<Pid, Births>,
    read: FxHashMap<(Pid, Option<StartTime>), Seen>,
}

/// The last two processes of a number, and whether they descend from us: the older one may still have events.
#[derive(Clone, Copy, Debug)]
struct Births {
    last: (MonoNs, bool),
    before: Option<(MonoNs, bool)>,
}

/// What `/proc` told of a process; none where it was gone.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: MonoNs,
    ours: Option<bool>,
}

impl Descent {
    /// Follows forks from now on, before the command is started.
    #[must_use]
    pub fn follow(proc_root: &Path) -> Self {
        let forks =
            Forks::listen().inspect_err(|errno| log::info!("the kernel does not tell forks: {errno}")).ok();
        let own = Pid(std::process::id());
        if forks.is_none() {
            keep_orphans();
        }
        let mut born = FxHashMap::default();
        born.insert(own, Births { last: (MonoNs(0), true), before: None });
        Self {
            own,
            proc_root: proc_root.to_owned(),
            command: None,
            forks,
            lost: false,
            told_until: MonoNs(0),
            born,
            read: FxHashMap::default(),
        }
    }

    /// The command was started: had the kernel told forks, it would have told this one.
    pub fn started(&mut self, command: Pid) {
        self.command = Some(command);
        self.take_forks();
        if self.forks.is_some() && !self.born.contains_key(&command) {
            log::info!("the kernel does not tell forks to this namespace");
            self.forks = None;
            keep_orphans();
        }
    }

    /// How descendants are told.
    #[must_use]
    pub fn told_by(&self) -> ToldBy {
        if self.forks.is_some() && !self.lost { ToldBy::Forks } else { ToldBy::Parents }
    }

    /// Whether a process that did something at a time was a descendant; none where it cannot be known any more.
    pub fn is_ours(&mut self, pid: Pid, start: Option<StartTime>, at: MonoNs) -> Option<bool> {
        if self.forks.is_none() {
            return self.ask(pid, start, at);
        }
        if at >= self.told_until {
            self.take_forks();
        }
        match self.was_ours(pid, at) {
            None if self.lost => self.ask(pid, start, at),
            // It is older than the command.
            known => Some(known.unwrap_or(false)),
        }
    }

    /// Whether a process of this number ever was a descendant.
    #[must_use]
    pub fn ever_ours(&self, pid: Pid) -> bool {
        let born =
            self.born.get(&pid).is_some_and(|births| births.last.1 || births.before.is_some_and(|one| one.1));
        born || self.read.iter().any(|((number, _), seen)| *number == pid && seen.ours == Some(true))
    }

    /// Takes in the forks that were told, or buries the orphans that came to this process and have ended.
    pub fn keep_up(&mut self) {
        if self.forks.is_some() {
            return self.take_forks();
        }
        let children =
            std::fs::read_to_string(self.proc_root.join(format!("self/task/{}/children", self.own.0)));
        for pid in children.unwrap_or_default().split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            if self.command.is_none_or(|command| i64::from(command.0) != i64::from(pid)) {
                // One that still runs is none to bury.
                let buried = waitpid(rustix::process::Pid::from_raw(pid), WaitOptions::NOHANG);
                log::debug!("orphan {pid}: {buried:?}");
            }
        }
    }

    fn take_forks(&mut self) {
        let Some(forks) = self.forks.take() else { return };
        let now = monotonic_now();
        loop {
            match forks.next() {
                Next::Fork(fork) => self.born(fork),
                Next::Other => {}
                Next::Lost => {
                    self.lost = true;
                    log::warn!("some forks were not told: descendants are told by their parents, too");
                }
                Next::Nothing => break,
            }
        }
        self.told_until = now;
        self.forks = Some(forks);
    }

    fn born(&mut self, Fork { at, parent, child }: Fork) {
        let ours = self.was_ours(parent, at) == Some(true);
        match self.born.get_mut(&child) {
            Some(births) => *births = Births { last: (at, ours), before: Some(births.last) },
            None if ours => {
                self.born.insert(child, Births { last: (at, true), before: None });
            }
            None => {}
        }
    }

    fn was_ours(&self, pid: Pid, at: MonoNs) -> Option<bool> {
        let births = self.born.get(&pid)?;
        let alive = |(born, _): &(MonoNs, bool)| *born <= at;
        [Some(births.last), births.before].into_iter().flatten().find(alive).map(|(_, ours)| ours)
    }

    /// Asks `/proc`, once a process.
    fn ask(&mut self, pid: Pid, start: Option<StartTime>, at: MonoNs) -> Option<bool> {
        let is_same = |seen: &&Seen| start.is_some() || at.since(seen.at) < TRUST_NS;
        if let Some(seen) = self.read.get(&(pid, start)).filter(is_same) {
            return seen.ours;
        }
        let ours = self.line(pid, start);
        self.read.insert((pid, start), Seen { at, ours });
        ours
    }

    /// Goes up from a process to us, or to one whose parent is none.
    fn line(&self, pid: Pid, start: Option<StartTime>) -> Option<bool> {
        let mut next = parent(&self.proc_root, pid, start)?;
        for _ in 0..MOST_GENERATIONS {
            if next == self.own {
                return Some(true);
            }
            if next.0 <= 1 {
                return Some(false);
            }
            // A parent that ends meanwhile has left its child to us, or to process 1: the next look tells.
            next = match parent(&self.proc_root, next, None) {
                Some(parent) => parent,
                None => parent(&self.proc_root, pid, start)?,
            };
        }
        Some(false)
    }
}

/// Descendants whose parent ends come to this process, not to process 1.
fn keep_orphans() {
    let own = i32::try_from(std::process::id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Err(errno) = set_child_subreaper(own) {
        log::debug!("descendants without a parent go elsewhere: {errno}");
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    fn without_forks(proc_root: &Path) -> Descent {
        let own = Pid(100);
        let born = FxHashMap::from_iter([(own, Births { last: (MonoNs(0), true), before: None })]);
        Descent {
            own,
            proc_root: proc_root.to_owned(),
            command: None,
            forks: None,
            lost: false,
            told_until: MonoNs(u64::MAX),
            born,
            read: FxHashMap::default(),
        }
    }

    fn fork(at: u64, parent: u32, child: u32) -> Fork {
        Fork { at: MonoNs(at), parent: Pid(parent), child: Pid(child) }
    }

    #[test]
    fn descendants_are_followed_and_numbers_that_come_again_are_others() {
        let mut descent = without_forks(Path::new("/nowhere"));
        for one in [fork(10, 100, 7), fork(20, 7, 8), fork(30, 1, 9), fork(40, 9, 8), fork(50, 8, 6)] {
            descent.born(one);
        }
        let was = |pid, at| descent.was_ours(Pid(pid), MonoNs(at));
        assert_eq!([was(7, 10), was(8, 39), was(8, 40)], [Some(true), Some(true), Some(false)]);
        assert_eq!([was(9, 60), was(6, 60), was(8, 19)], [None; 3]);
        assert!(descent.ever_ours(Pid(8)) && !descent.ever_ours(Pid(9)));
    }

    #[test]
    fn parents_lead_to_us_or_to_the_first_process() {
        let root = std::env::temp_dir().join(format!("portscope-{}-descent", std::process::id()));
        for (pid, parent) in [(100, 1), (7, 100), (8, 7), (9, 1), (10, 9), (1, 0)] {
            let dir = root.join(pid.to_string());
            fs::create_dir_all(&dir).unwrap();
            let rest = "1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8189515 9 10\n";
            fs::write(dir.join("stat"), format!("{pid} (a) b) S {parent} {rest}")).unwrap();
        }
        let mut descent = without_forks(&root);
        let mut ask = |pid| descent.is_ours(Pid(pid), None, MonoNs(1));
        let found = [ask(8), ask(7), ask(10), ask(77)];
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, [Some(true), Some(true), Some(false), None]);
        // What was read once is known when the process is gone.
        assert_eq!(descent.is_ours(Pid(8), None, MonoNs(2)), Some(true));
        assert!(descent.ever_ours(Pid(8)) && !descent.ever_ours(Pid(10)));
    }

    #[test]
    fn a_child_of_ours_is_known_however_it_is_told() {
        let mut descent = Descent::follow(Path::new("/proc"));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let (pid, other) = (Pid(child.id()), Pid(1));
        descent.started(pid);
        let now = monotonic_now();
        let found = (descent.is_ours(pid, None, now), descent.is_ours(other, None, now));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, (Some(true), Some(false)), "{:?}", descent.told_by());
    }
}
