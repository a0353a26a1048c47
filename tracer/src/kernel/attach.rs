//! Loading and attaching: one try of one plan with one configuration.

use std::{
    collections::HashMap,
    num::NonZero,
    os::fd::OwnedFd,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{CgroupAttachMode, Program, ProgramError},
};
use tracer_ebpf::abi::{CALLS, Config, FieldOffsets, names, tune};
use zerocopy::IntoBytes as _;

use super::{
    KernelError, cgroup,
    facts::Facts,
    hooks::{Hook, Refusal, Target},
    private::with_mounted,
};

const OTHER_TYPE: &str = "the program in the BPF object is of another type";

/// What the programs are loaded with.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The BPF object.
    pub object: &'a [u8],
    /// Frozen settings.
    pub config: &'a Config,
    /// Offsets of kernel fields.
    pub offsets: &'a FieldOffsets,
    /// Size of the ring.
    pub buffer_bytes: u32,
    /// The kernel's types, for trampolines.
    pub btf: Option<&'a Btf>,
}

/// Why a try ended: the hook that did not go in.
#[derive(Debug)]
pub struct Failed {
    /// The hook.
    pub hook: Hook,
    /// Why.
    pub refusal: Refusal,
}

/// Creates the maps; no program is loaded yet.
///
/// # Errors
///
/// The object is broken, or the kernel refuses a map.
pub fn create(parts: &Parts<'_>) -> Result<Ebpf, KernelError> {
    // With releases: as many ports held at a time as are followed, some 25 MB of kernel memory.
    let mut object = parts.object.to_vec();
    let blanks = super::blanks::fill(&mut object, parts.config, parts.offsets)
        .map_err(|error| KernelError::Object(error.to_string()))?;
    log::debug!("{blanks} blanks are filled in");
    let live_entries = if parts.config.tune & tune::RELEASES != 0 { 131_072 } else { 1 };
    let calls = if parts.config.tune & tune::STACKS != 0 { CALLS } else { 1 };
    EbpfLoader::new()
        .btf(None)
        .override_global(names::CONFIG_GLOBAL, parts.config.as_bytes(), true)
        .map_max_entries(names::EVENTS, parts.buffer_bytes)
        .map_max_entries(names::LIVE, live_entries)
        .map_max_entries(names::CALLS, calls)
        .map_max_entries(names::STACKS, calls)
        .load(&object)
        .map_err(|error| KernelError::Object(chain(&error)))
}

/// Loads the programs of a plan, several at once: the verifier takes a tenth of a second for the largest, and the
/// kernel verifies as many at a time as there are callers with CAP_BPF.
///
/// # Errors
///
/// The first hook of the plan whose program the kernel refuses.
pub fn load_all(ebpf: &mut Ebpf, hooks: &[Hook], btf: Option<&Btf>, facts: &Facts) -> Result<(), Failed> {
    let mut programs: HashMap<&str, &mut Program> = ebpf.programs_mut().collect();
    let jobs: Vec<_> = hooks.iter().map(|hook| (*hook, programs.remove(hook.program))).collect();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let (jobs, failed) = (Mutex::new(jobs.into_iter().enumerate()), Mutex::new(None));
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((at, (hook, program))) = next() {
            let Err(refusal) = load(program, &hook, btf, facts) else { continue };
            // Whatever comes before it in the plan is taken already; what comes after it does not matter.
            while next().is_some() {}
            let mut first = failed.lock().unwrap_or_else(PoisonError::into_inner);
            if first.as_ref().is_none_or(|(other, _)| at < *other) {
                *first = Some((at, Failed { hook, refusal }));
            }
        }
    };
    thread::scope(|scope| {
        // This one does it alone where there may be no more.
        let others: Vec<_> =
            (1..workers).map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        work();
        // The end of a scope does not wait until its threads are gone: these would have all rights when ours are given up.
        for other in others {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, first)) => Err(first),
        None => Ok(()),
    }
}

fn load(program: Option<&mut Program>, hook: &Hook, btf: Option<&Btf>, facts: &Facts) -> Result<(), Refusal> {
    let missing = |what: &str| Refusal::Missing(what.to_owned());
    let program = program.ok_or_else(|| missing("the BPF object has no such program"))?;
    let types = || btf.ok_or_else(|| missing("the kernel has no BTF"));
    let function = pick(hook.target.functions(), facts);
    let loaded = match program {
        Program::FEntry(program) => program.load(function, types()?),
        Program::FExit(program) => program.load(function, types()?),
        Program::KProbe(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => return Err(missing(OTHER_TYPE)),
    };
    loaded.map_err(refused)
}

/// Attaches every hook of a plan, in its order; their programs are loaded.
///
/// # Errors
///
/// The first hook that the kernel refuses; those before it stay attached until `ebpf` is dropped.
pub fn attach_all(ebpf: &mut Ebpf, hooks: &[Hook], facts: &Facts) -> Result<(), Failed> {
    let wants_cgroup = hooks.iter().any(|hook| matches!(hook.target, Target::Cgroup));
    let cgroup = wants_cgroup.then(|| cgroup::root(facts.cgroup2.as_deref()));
    for hook in hooks {
        attach(ebpf, hook, facts, cgroup.as_ref()).map_err(|refusal| Failed { hook: *hook, refusal })?;
    }
    Ok(())
}

fn attach(
    ebpf: &mut Ebpf,
    hook: &Hook,
    facts: &Facts,
    cgroup: Option<&Result<OwnedFd, String>>,
) -> Result<(), Refusal> {
    let missing = |what: &str| Refusal::Missing(what.to_owned());
    let program =
        ebpf.program_mut(hook.program).ok_or_else(|| missing("the BPF object has no such program"))?;
    let function = pick(hook.target.functions(), facts);
    let attached = match (program, hook.target) {
        (Program::FEntry(program), Target::Fentry(_)) => program.attach().map(drop),
        (Program::FExit(program), Target::Fexit(_)) => program.attach().map(drop),
        (Program::KProbe(program), Target::Kprobe(_)) => program.attach(function, 0).map(drop),
        (Program::RawTracePoint(program), Target::RawTracepoint(name)) => program.attach(name).map(drop),
        (Program::TracePoint(program), Target::Syscalls(names)) => {
            names.iter().try_for_each(|name| program.attach("syscalls", name).map(drop))
        }
        (program, Target::Cgroup) => {
            return match cgroup {
                Some(Ok(root)) => attach_cgroup(program, root),
                Some(Err(reason)) => Err(missing(reason)),
                None => Err(missing("no root of cgroups was opened")),
            };
        }
        _ => return Err(missing(OTHER_TYPE)),
    };
    attached.map_err(refused)
}

/// By link, whose flags must be 0; links of this kind always coexist with others.
fn attach_cgroup(program: &mut Program, cgroup: &OwnedFd) -> Result<(), Refusal> {
    let mode = CgroupAttachMode::Single;
    let attached = match program {
        Program::CgroupSockAddr(program) => program.attach(cgroup, mode).map(drop),
        Program::CgroupSock(program) => program.attach(cgroup, mode).map(drop),
        Program::SockOps(program) => program.attach(cgroup, mode).map(drop),
        _ => return Err(Refusal::Missing(OTHER_TYPE.to_owned())),
    };
    attached.map_err(refused)
}

/// The first of several names that this kernel has.
fn pick<'a>(names: &[&'a str], facts: &Facts) -> &'a str {
    let known = names.iter().find(|name| facts.symbols.contains_key(**name));
    known.or(names.first()).copied().unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn refused(error: ProgramError) -> Refusal {
    match &error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            log::debug!("{log}");
            let reason = io_error.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default();
            match last_words(&log) {
                Some(words) => Refusal::Rejected(format!("the kernel does not load it: {reason} ({words})")),
                None => Refusal::Refused(format!("the kernel does not load it: {reason}")),
            }
        }
        _ => Refusal::Refused(chain(&error)),
    }
}

/// What the verifier said last before its statistics: the reason, most of the time.
fn last_words(log: &str) -> Option<&str> {
    const STATISTICS: [&str; 3] = ["verification time", "stack depth", "processed "];
    let told = |line: &&str| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start));
    log.lines().map(str::trim).rfind(told)
}

/// An error and its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

/// Runs `work` where tracefs is mounted at one of its usual places.
pub fn with_tracefs<T: Send>(work: impl FnMut() -> T + Send) -> T {
    let here = if Path::new("/sys/kernel/debug/tracing/events").exists() {
        "/sys/kernel/debug/tracing/events"
    } else {
        "/sys/kernel/tracing/events"
    };
    with_mounted("tracefs", Path::new("/sys/kernel/tracing"), Path::new(here), work)
}
