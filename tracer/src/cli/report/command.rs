//! The command of `report -- CMD`: how its descendants are told from the rest of the host.

use std::{fs, path::Path};

use super::{
    super::{
        Failure,
        exit::{complain, reason},
    },
    Args,
};
use crate::{
    enrich::reaped_cpu_ns,
    kernel::{Armed, facts},
    load::{Descent, Ended as LoadEnded, Load, OwnCgroup, ToldBy},
    output::records::CommandEnd,
    pipeline::{Ended, Gatherer},
};

/// How the command is told from the rest, and what becomes of it.
#[derive(Debug, Default)]
pub(super) struct Command {
    name: Option<String>,
    cgroup: Option<OwnCgroup>,
    /// Why there is no cgroup of its own.
    without: Option<String>,
}

impl Command {
    /// Makes a cgroup for the command where one can be made.
    pub(super) fn prepare(args: &Args) -> Result<Self, Failure> {
        let name = args.command.first().map(|word| word.to_string_lossy().into_owned());
        if name.is_none() || args.all {
            return Ok(Self { name, ..Self::default() });
        }
        if args.filters.names_cgroup() {
            return Err(Failure::usage("--cgroup and a command exclude each other")
                .hint("the command and its descendants are told from the rest; use --all to see others"));
        }
        Ok(match own_cgroup()? {
            Ok(cgroup) => Self { name, cgroup: Some(cgroup), without: None },
            Err(why) => Self { name, cgroup: None, without: Some(why) },
        })
    }

    /// Depth and id of its cgroup, for the filter of the kernel half.
    pub(super) fn cgroup(&self) -> Option<(u32, u64)> {
        self.cgroup.as_ref().map(|own| (own.level(), own.id()))
    }

    /// Its descendants, followed from now on, where there is no cgroup.
    pub(super) fn follow(&self, armed: &Armed, is_quiet: bool) -> Result<Option<Descent>, Failure> {
        let Some(why) = &self.without else { return Ok(None) };
        if armed.own_pid()?.is_some_and(|pid| pid != std::process::id()) {
            return Err(Failure::new(format!(
                "{why}, and from inside a PID namespace its forks cannot be followed"
            ))
            .hint("report on the whole host with --all, or run portscope in the host's PID namespace"));
        }
        if !is_quiet {
            complain(&format!("{why}: following its forks instead"));
        }
        Ok(Some(Descent::follow(Path::new("/proc"))))
    }

    /// Starts it, inside its cgroup if it has one.
    pub(super) fn start(&self, args: &Args, gatherer: &mut Gatherer) -> Result<Option<Load>, Failure> {
        if args.command.is_empty() {
            return Ok(None);
        }
        let entrance = self.cgroup.as_ref().map(OwnCgroup::entrance);
        let load = Load::start(&args.command, entrance.as_deref())
            .map_err(|error| Failure::new(error.to_string()))?;
        if let Some((descent, pid)) = gatherer.intake().descent().zip(load.pid()) {
            descent.started(pid);
        }
        Ok(Some(load))
    }

    /// What a report tells of it while it runs.
    pub(super) fn told(&self, gatherer: &mut Gatherer) -> Option<CommandEnd> {
        let name = self.name.clone()?;
        let untold = gatherer.intake().untold();
        let followed = gatherer.intake().descent().map(|descent| descent.told_by());
        let told_by = followed.or(self.cgroup.as_ref().map(|_| ToldBy::Cgroup));
        Some(CommandEnd {
            name,
            status: None,
            alone: told_by.is_some(),
            told_by: told_by.map(|by| by.name().to_owned()),
            untold,
        })
    }

    /// The same when it has ended.
    pub(super) fn end(&self, gatherer: &mut Gatherer, ended: Ended) -> Option<CommandEnd> {
        let status = if let Ended::Load(LoadEnded { status, .. }) = ended { Some(status) } else { None };
        Some(CommandEnd { status, ..self.told(gatherer)? })
    }

    /// CPU time of it and its descendants; of those that ended, where there is no cgroup.
    pub(super) fn cpu_ns(&self) -> Option<u64> {
        match &self.cgroup {
            Some(own) => own.cpu_ns(),
            None => self.name.as_ref().and_then(|_| reaped_cpu_ns(Path::new("/proc"))),
        }
    }
}

/// A cgroup for the command, or why there can be none.
fn own_cgroup() -> Result<Result<OwnCgroup, String>, Failure> {
    let Some(mount) = facts::cgroup2_mount()? else {
        return Ok(Err("no cgroup version 2 hierarchy is mounted for the command".to_owned()));
    };
    if !facts::filters_by_cgroup() {
        return Ok(Err("this kernel does not tell a tracing program the cgroup of a command".to_owned()));
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Ok(OwnCgroup::make(&mount, &own).map_err(|error| {
        format!("cannot make a cgroup for the command below {} ({})", mount.display(), reason(&error))
    }))
}
