//! Loading and attaching: one try of one plan with one configuration.

use std::{fs::File, path::Path};

use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{CgroupAttachMode, Program, ProgramError},
};
use tracer_ebpf::abi::{Config, FieldOffsets, names, tune};
use zerocopy::IntoBytes as _;

use super::{
    KernelError,
    facts::Facts,
    hooks::{Hook, Refusal, Target},
};

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
pub fn create(parts: &Parts<'_>, facts: &Facts) -> Result<Ebpf, KernelError> {
    // With releases: as many ports held at a time as are followed, some 25 MB of kernel memory.
    let mut object = parts.object.to_vec();
    let blanks = super::blanks::fill(&mut object, parts.config, parts.offsets)
        .map_err(|error| KernelError::Object(error.to_string()))?;
    log::debug!("{blanks} blanks are filled in");
    let live_entries = if parts.config.tune & tune::RELEASES != 0 { 131_072 } else { 1 };
    EbpfLoader::new()
        .btf(None)
        .override_global(names::CONFIG_GLOBAL, parts.config.as_bytes(), true)
        .map_max_entries(names::EVENTS, parts.buffer_bytes)
        .map_max_entries(names::COUNTERS, facts.possible_cpus)
        .map_max_entries(names::LIVE, live_entries)
        .load(&object)
        .map_err(|error| KernelError::Object(chain(&error)))
}

/// Loads and attaches every hook of a plan, in its order.
///
/// # Errors
///
/// The first hook that the kernel refuses; those before it stay attached until `ebpf` is dropped.
pub fn attach_all(ebpf: &mut Ebpf, hooks: &[Hook], btf: Option<&Btf>, facts: &Facts) -> Result<(), Failed> {
    let cgroup = facts.cgroup2.as_deref().map(File::open).and_then(Result::ok);
    for hook in hooks {
        attach(ebpf, hook, btf, facts, cgroup.as_ref()).map_err(|refusal| Failed { hook: *hook, refusal })?;
    }
    Ok(())
}

fn attach(
    ebpf: &mut Ebpf,
    hook: &Hook,
    btf: Option<&Btf>,
    facts: &Facts,
    cgroup: Option<&File>,
) -> Result<(), Refusal> {
    let missing = |what: &str| Refusal::Missing(what.to_owned());
    let program =
        ebpf.program_mut(hook.program).ok_or_else(|| missing("the BPF object has no such program"))?;
    let function = pick(hook.target.functions(), facts);
    match (program, hook.target) {
        (Program::FEntry(program), Target::Fentry(_)) => {
            program.load(function, btf.ok_or_else(|| missing("the kernel has no BTF"))?).map_err(refused)?;
            program.attach().map(drop).map_err(refused)
        }
        (Program::FExit(program), Target::Fexit(_)) => {
            program.load(function, btf.ok_or_else(|| missing("the kernel has no BTF"))?).map_err(refused)?;
            program.attach().map(drop).map_err(refused)
        }
        (Program::KProbe(program), Target::Kprobe(_)) => {
            program.load().map_err(refused)?;
            program.attach(function, 0).map(drop).map_err(refused)
        }
        (Program::RawTracePoint(program), Target::RawTracepoint(name)) => {
            program.load().map_err(refused)?;
            program.attach(name).map(drop).map_err(refused)
        }
        (Program::TracePoint(program), Target::Syscalls(names)) => {
            program.load().map_err(refused)?;
            names.iter().try_for_each(|name| program.attach("syscalls", name).map(drop)).map_err(refused)
        }
        (program, Target::Cgroup) => {
            let cgroup = cgroup.ok_or_else(|| missing("no cgroup version 2 hierarchy can be opened"))?;
            attach_cgroup(program, cgroup)
        }
        _ => Err(missing("the program in the BPF object is of another type")),
    }
}

/// By link, whose flags must be 0; links of this kind always coexist with others.
fn attach_cgroup(program: &mut Program, cgroup: &File) -> Result<(), Refusal> {
    let mode = CgroupAttachMode::Single;
    match program {
        Program::CgroupSockAddr(program) => {
            program.load().map_err(refused)?;
            program.attach(cgroup, mode).map(drop).map_err(refused)
        }
        Program::CgroupSock(program) => {
            program.load().map_err(refused)?;
            program.attach(cgroup, mode).map(drop).map_err(refused)
        }
        Program::SockOps(program) => {
            program.load().map_err(refused)?;
            program.attach(cgroup, mode).map(drop).map_err(refused)
        }
        _ => Err(Refusal::Missing("the program in the BPF object is of another type".to_owned())),
    }
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
fn chain(error: &dyn std::error::Error) -> String {
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

/// Runs `work` where tracefs is mounted at its usual place: here if it is, else on a thread with a mount
/// namespace of its own, so that nothing on the host changes.
pub fn with_tracefs<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Path::new("/sys/kernel/tracing/events").exists()
        || Path::new("/sys/kernel/debug/tracing/events").exists()
    {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Err(error) = mount_tracefs_privately() {
                log::debug!("tracefs cannot be mounted: {error}");
            }
            work()
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn mount_tracefs_privately() -> rustix::io::Result<()> {
    use rustix::{
        mount::{MountFlags, MountPropagationFlags, mount, mount_change},
        thread::UnshareFlags,
    };
    #[expect(deprecated, reason = "the flag that makes it unsafe, CLONE_FILES, is not used")]
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tracefs", "/sys/kernel/tracing", "tracefs", MountFlags::empty(), None)
}
