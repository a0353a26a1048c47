//! The command of `report -- CMD`, `top -- CMD` and `record -- CMD`: how its descendants are told from the rest of the
//! host, and what becomes of its exit status.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::Path,
    process::ExitCode,
};

use super::{
    Failure,
    exit::{self, complain, reason},
    filters::Filters,
};
use crate::{
    enrich::reaped_cpu_ns,
    kernel::{Armed, cgroup::is_whole, facts},
    load::{self, Descent, Ended as LoadEnded, Load, OwnCgroup, ToldBy},
    output::{escape, records::CommandEnd},
    pipeline::{Ended, Intake},
};

/// Does the work for a command, or for none, and tells the exit status.
pub(super) fn run_for(command: &[OsString], work: impl FnOnce() -> Result<u8, Failure>) -> ExitCode {
    if let Some(command) = command.first()
        && let Some((error, status)) = load::unrunnable(command, env::var_os("PATH").as_deref())
    {
        complain(&format!("cannot run {}: {}", escape(&command.to_string_lossy()), reason(&error)));
        complain(&format!("the status {status} is portscope's own: the command was not run"));
        return ExitCode::from(status);
    }
    match work() {
        Ok(status) => ExitCode::from(status),
        Err(failed) if command.is_empty() => exit::status(Err(failed)),
        // Whose status it is must be clear: ours is 125 where there is a command, as with env and timeout.
        Err(failed) => {
            exit::status(Err(failed));
            complain("the status 125 is portscope's own: the command was not run, or not reported on");
            ExitCode::from(125)
        }
    }
}

/// The command's own status.
pub(super) fn own_status(ended: Ended) -> u8 {
    match ended {
        Ended::Load(load::Ended { status, signal }) if status != 0 => {
            let how = signal.map_or(String::new(), |signal| format!(", killed by signal {signal}"));
            complain(&format!("the status {status} is the command's own{how}"));
            status
        }
        _ => 0,
    }
}

/// How the command is told from the rest, and what becomes of it.
#[derive(Debug, Default)]
pub(super) struct Command {
    name: Option<String>,
    cgroup: Option<OwnCgroup>,
    /// Why there is no cgroup of its own.
    without: Option<String>,
}

impl Command {
    /// Makes a cgroup for the command where one can be made, unless `all` of the host is wanted.
    pub(super) fn prepare(words: &[OsString], all: bool, filters: &Filters) -> Result<Self, Failure> {
        let name = words.first().map(|word| word.to_string_lossy().into_owned());
        if name.is_none() || all {
            return Ok(Self { name, ..Self::default() });
        }
        if filters.names_cgroup() {
            return Err(Failure::usage("--cgroup and a command exclude each other")
                .hint("the command and its descendants are told from the rest; use --all to see others"));
        }
        Ok(match own_cgroup()? {
            Ok(cgroup) => Self { name, cgroup: Some(cgroup), without: None },
            Err(why) => Self { name, cgroup: None, without: Some(why) },
        })
    }

    /// The cgroup above its own, which is written to when that goes.
    pub(super) fn above(&self) -> Option<&Path> {
        self.cgroup.as_ref().map(OwnCgroup::parent)
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

    /// Starts it, inside its cgroup if it has one; with a log away from the terminal.
    pub(super) fn start(
        &self,
        words: &[OsString],
        intake: &mut Intake,
        log: Option<&File>,
    ) -> Result<Option<Load>, Failure> {
        if words.is_empty() {
            return Ok(None);
        }
        let entrance = self.cgroup.as_ref().map(OwnCgroup::entrance);
        let load =
            Load::start(words, entrance.as_deref(), log).map_err(|error| Failure::new(error.to_string()))?;
        if let Some((descent, pid)) = intake.descent().zip(load.pid()) {
            descent.started(pid);
        }
        Ok(Some(load))
    }

    /// What a report tells of it while it runs.
    pub(super) fn told(&self, intake: &mut Intake) -> Option<CommandEnd> {
        let name = self.name.clone()?;
        let untold = intake.untold();
        let followed = intake.descent().map(|descent| descent.told_by());
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
    pub(super) fn end(&self, intake: &mut Intake, ended: Ended) -> Option<CommandEnd> {
        let status = if let Ended::Load(LoadEnded { status, .. }) = ended { Some(status) } else { None };
        Some(CommandEnd { status, ..self.told(intake)? })
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
    // The kernel counts levels from the root of all.
    if !is_whole(&mount) {
        return Ok(Err("only a part of the host's cgroups is seen here".to_owned()));
    }
    if !facts::filters_by_cgroup() {
        return Ok(Err("this kernel does not tell a tracing program the cgroup of a command".to_owned()));
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Ok(OwnCgroup::make(&mount, &own).map_err(|error| {
        format!("cannot make a cgroup for the command below {} ({})", mount.display(), reason(&error))
    }))
}
