//! This host: what is known of it before a backend is tried, and one try.

use std::{borrow::Cow, fs, io, thread};

use aya::Btf;
use tracer_ebpf::abi::{Config, tune};
use zerocopy::FromBytes as _;

use super::{
    Armed, Backend, KernelError, Settings,
    attach::{self, Parts},
    btf::KernelTypes,
    calls::Stacks,
    facts::{self, Facts, TABLE_PERTURB},
    hooks::{Refusal, Role, Verdict},
    object,
    plan::{Plan, Wishes, plan},
    sets,
};

/// Everything about the host that does not depend on the backend.
pub(super) struct Host {
    pub(super) facts: Facts,
    pub(super) types: KernelTypes,
    object: Cow<'static, [u8]>,
    socket_key: [u64; 2],
}

/// Kernel functions whose presence or parameters decide how the programs are set up.
const FUNCTIONS: [&str; 6] = [
    "__inet_check_established",
    "__inet_hash_connect",
    "bpf_get_current_task_btf",
    "bpf_skc_to_tcp_sock",
    "inet_csk_bind_conflict",
    "inet_sk_get_local_port_range",
];

impl Host {
    /// Reads it, for these backends. What takes its time is done at once: the symbols, the types, and a trial.
    pub(super) fn read(settings: &Settings, backends: &[Backend]) -> Result<Self, KernelError> {
        let mut facts = Facts::read()?;
        if !facts.missing_capabilities.is_empty() {
            return Err(KernelError::NotPermitted { missing: facts.missing_capabilities.join(", ") });
        }
        raise_memlock();
        log::debug!("facts are read");
        let tries_tracing = facts.has_btf && backends.contains(&Backend::Fentry);
        let types = thread::scope(|scope| {
            // Afterwards, where there may be no thread more.
            let symbols = thread::Builder::new().spawn_scoped(scope, facts::kernel_symbols).ok();
            let types = KernelTypes::read(settings.btf.as_deref(), &FUNCTIONS);
            log::debug!("types are read");
            if tries_tracing {
                facts.tracing_refused = facts::tracing_refusal();
                log::debug!("trampolines are tried");
            }
            facts.symbols = match symbols.map(thread::ScopedJoinHandle::join) {
                Some(Ok(symbols)) => symbols,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => facts::kernel_symbols(),
            };
            log::debug!("symbols are read");
            types
        })?;
        Ok(Self { facts, types, object: object::bytes()?, socket_key: random_key()? })
    }

    /// `Ok(Err(_))` when this backend does not run here and another may.
    pub(super) fn try_backend(
        &self,
        settings: &Settings,
        backend: Backend,
    ) -> Result<Result<Armed, Refusal>, KernelError> {
        let wishes = Wishes { releases: settings.releases, collisions: settings.collisions };
        let mut plan = match plan(&self.facts, backend, wishes) {
            Ok(plan) => plan,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // Only trampolines need it parsed as aya does.
        let btf = if backend == Backend::Fentry { Btf::from_sys_fs().ok() } else { None };
        let mut tuning = self.tuning(settings, backend);
        loop {
            let config = self.config(settings, &plan, tuning)?;
            let parts = Parts {
                object: &self.object,
                config: &config,
                offsets: &self.types.offsets,
                buffer_bytes: settings.buffer_bytes,
                btf: btf.as_ref(),
            };
            log::debug!("{backend}: trying");
            let mut ebpf = attach::create(&parts)?;
            log::debug!("{backend}: maps are made");
            sets::fill(&mut ebpf, &settings.filter)?;
            let loaded = attach::load_all(&mut ebpf, &plan.hooks, parts.btf, &self.facts);
            log::debug!("{backend}: programs are loaded");
            let tried = loaded.and_then(|()| {
                attach::with_tracefs(|| attach::attach_all(&mut ebpf, &plan.hooks, &self.facts))
            });
            match tried {
                Ok(()) => {
                    log::debug!("{backend}: hooks are attached");
                    return Armed::tested(ebpf, backend, plan, self, config.tune);
                }
                Err(failed) => {
                    drop(ebpf);
                    log::debug!("{backend}: {}: {}", failed.hook.program, failed.refusal);
                    let rejected = matches!(failed.refusal, Refusal::Rejected(_));
                    if let Some(less) = demand_less(tuning).filter(|_| rejected) {
                        tuning = less;
                    } else if failed.hook.role == Role::Required {
                        return Ok(Err(failed.refusal));
                    } else {
                        tuning = self.tuning(settings, backend);
                        plan.hooks.retain(|hook| *hook != failed.hook);
                        plan.left_out.push((failed.hook, Verdict::Not(failed.refusal)));
                    }
                }
            }
        }
    }

    fn tuning(&self, settings: &Settings, backend: Backend) -> u32 {
        let has = |name: &str| self.types.functions.contains_key(name);
        let mut tuning = tune::PROBE_READ;
        let mut on = |set: bool, bit: u32| tuning |= if set { bit } else { 0 };
        on(settings.explicit, tune::EXPLICIT);
        on(settings.releases, tune::RELEASES);
        on(settings.count_only, tune::COUNT_ONLY);
        on(settings.stacks.is_some(), tune::STACKS);
        on(settings.stacks == Some(Stacks::Failures), tune::FAILED_STACKS);
        on(backend == Backend::Kprobe, tune::COUNT_ENTRIES);
        on(backend != Backend::Tracepoint && has("bpf_get_current_task_btf"), tune::TASK_BTF);
        on(backend == Backend::Fentry && has("bpf_skc_to_tcp_sock"), tune::SKC_TO_TCP);
        tuning
    }

    fn config(&self, settings: &Settings, plan: &Plan, tuning: u32) -> Result<Config, KernelError> {
        let watches_time_wait = plan.hooks.iter().any(|hook| hook.program.ends_with("_tw_end"));
        let arguments = |name: &str, usual: u32| {
            let found = self.types.functions.get(name);
            found.and_then(|found| u32::try_from(found.parameters).ok()).unwrap_or(usual)
        };
        let mut tuning = tuning;
        let mut on = |set: bool, bit: u32| tuning |= if set { bit } else { 0 };
        on(watches_time_wait, tune::TIME_WAIT);
        on(plan.counts_collisions(), tune::COLLISIONS);
        Ok(Config {
            socket_key: self.socket_key,
            table_perturb: self.facts.symbols.get(TABLE_PERTURB).copied().unwrap_or(0),
            wake_bytes: u64::from(settings.buffer_bytes / 4),
            tune: tuning,
            connect_ret: arguments("__inet_hash_connect", 4),
            check_ret: arguments("__inet_check_established", 4),
            conflict_ret: arguments("inet_csk_bind_conflict", 5),
            filter: settings.filter.to_config().map_err(|error| KernelError::Object(error.to_string()))?,
        })
    }
}

/// What to do without when the kernel refuses a program, one thing at a time: typed task pointers, typed TCP pointers.
fn demand_less(tuning: u32) -> Option<u32> {
    [tune::TASK_BTF, tune::SKC_TO_TCP].into_iter().find(|bit| tuning & bit != 0).map(|bit| tuning & !bit)
}

/// Before 5.11 maps and programs count against the limit of locked memory.
fn raise_memlock() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit { current: None, maximum: None };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        log::debug!("the limit of locked memory stays: {error}");
    }
}

fn random_key() -> Result<[u64; 2], KernelError> {
    let path = "/dev/urandom";
    let failed = |source: io::Error| KernelError::Read { path: path.into(), source };
    let mut bytes = [0; 16];
    io::Read::read_exact(&mut fs::File::open(path).map_err(failed)?, &mut bytes).map_err(failed)?;
    Ok(<[u64; 2]>::read_from_bytes(&bytes).unwrap_or([1, 1]))
}
