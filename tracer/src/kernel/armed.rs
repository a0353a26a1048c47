//! A kernel half that runs: armed, tested, and read.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd},
};

use aya::{
    Btf, Ebpf,
    maps::{Array, MapData, RingBuf},
};
use tracer_ebpf::abi::{Config, Control, Mode, Record, names, tune};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{
    Backend, KernelError, Settings,
    attach::{self, Parts},
    btf::KernelTypes,
    counts::{self, Counts, Tally, broken},
    facts::Facts,
    hooks::{Hook, Refusal, Role, Verdict},
    object,
    plan::{Plan, Wishes, plan},
    selftest::{self, Learnt},
    sets,
};

/// Hooks that are attached and seen to work.
pub struct Armed {
    backend: Backend,
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    hooks: Vec<(Hook, Verdict)>,
    unavailable: Vec<&'static str>,
    refused: Vec<(Backend, Refusal)>,
    release: String,
    range_takes_every_port: bool,
}

/// One backend and what became of it.
pub struct Trial {
    /// The backend.
    pub backend: Backend,
    /// Its hooks, or why there are none.
    pub outcome: Result<Vec<(Hook, Verdict)>, Refusal>,
}

/// Arms the best backend that this kernel runs, or the one that was asked for.
///
/// # Errors
///
/// No right to trace, no backend that runs, or a BTF or object that cannot be used.
pub fn arm(settings: &Settings) -> Result<Armed, KernelError> {
    let host = Host::read(settings)?;
    let mut refused = Vec::new();
    for backend in settings.backend.candidates() {
        match host.try_backend(settings, backend)? {
            Ok(mut armed) => {
                armed.refused = refused;
                armed.run()?;
                return Ok(armed);
            }
            Err(refusal) => refused.push((backend, refusal)),
        }
    }
    Err(KernelError::NoBackend(refused))
}

/// Tries every backend, and takes each down again.
///
/// # Errors
///
/// As [`arm`], but for backends that do not run: they are the answer here.
pub fn survey(settings: &Settings) -> Result<Vec<Trial>, KernelError> {
    let host = Host::read(settings)?;
    Backend::ALL
        .into_iter()
        .map(|backend| {
            let outcome = host.try_backend(settings, backend)?.map(|armed| armed.hooks);
            Ok(Trial { backend, outcome })
        })
        .collect()
}

/// Everything about the host that does not depend on the backend.
struct Host {
    facts: Facts,
    types: KernelTypes,
    btf: Option<Btf>,
    object: std::borrow::Cow<'static, [u8]>,
    socket_key: [u64; 2],
}

/// Kernel functions whose presence or parameters decide how the programs are set up.
const FUNCTIONS: [&str; 4] = [
    "__inet_hash_connect",
    "bpf_get_current_task_btf",
    "bpf_skc_to_tcp_sock",
    "inet_sk_get_local_port_range",
];

impl Host {
    fn read(settings: &Settings) -> Result<Self, KernelError> {
        let facts = Facts::read()?;
        if !facts.missing_capabilities.is_empty() {
            return Err(KernelError::NotPermitted { missing: facts.missing_capabilities.join(", ") });
        }
        raise_memlock();
        log::debug!("facts are read");
        let types = KernelTypes::read(settings.btf.as_deref(), &FUNCTIONS)?;
        log::debug!("types are read");
        let btf = if facts.has_btf { Btf::from_sys_fs().ok() } else { None };
        Ok(Self { facts, types, btf, object: object::bytes()?, socket_key: random_key()? })
    }

    /// `Ok(Err(_))` when this backend does not run here and another may.
    fn try_backend(
        &self,
        settings: &Settings,
        backend: Backend,
    ) -> Result<Result<Armed, Refusal>, KernelError> {
        let mut plan = match plan(&self.facts, backend, Wishes { releases: settings.releases }) {
            Ok(plan) => plan,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut tuning = self.tuning(settings, backend);
        loop {
            let config = self.config(settings, &plan, tuning)?;
            let parts = Parts {
                object: &self.object,
                config: &config,
                offsets: &self.types.offsets,
                buffer_bytes: settings.buffer_bytes,
                btf: self.btf.as_ref(),
            };
            log::debug!("{backend}: trying");
            let mut ebpf = attach::create(&parts, &self.facts)?;
            log::debug!("{backend}: maps are made");
            sets::fill(&mut ebpf, &settings.filter)?;
            let tried =
                attach::with_tracefs(|| attach::attach_all(&mut ebpf, &plan.hooks, parts.btf, &self.facts));
            match tried {
                Ok(()) => {
                    log::debug!("{backend}: hooks are attached");
                    return self.test(ebpf, backend, plan, config.tune);
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
        on(backend == Backend::Kprobe, tune::COUNT_ENTRIES);
        on(backend != Backend::Tracepoint && has("bpf_get_current_task_btf"), tune::TASK_BTF);
        on(backend == Backend::Fentry && has("bpf_skc_to_tcp_sock"), tune::SKC_TO_TCP);
        tuning
    }

    fn config(&self, settings: &Settings, plan: &Plan, tuning: u32) -> Result<Config, KernelError> {
        let watches_time_wait = plan.hooks.iter().any(|hook| hook.program.ends_with("_tw_end"));
        let arguments = self.types.functions.get("__inet_hash_connect").map_or(4, |found| found.parameters);
        Ok(Config {
            socket_key: self.socket_key,
            table_perturb: self.facts.symbols.get("table_perturb").copied().unwrap_or(0),
            wake_bytes: u64::from(settings.buffer_bytes / 4),
            tune: tuning | if watches_time_wait { tune::TIME_WAIT } else { 0 },
            connect_ret: u32::try_from(arguments).unwrap_or(4),
            filter: settings.filter.to_config().map_err(|error| KernelError::Object(error.to_string()))?,
        })
    }

    fn test(
        &self,
        ebpf: Ebpf,
        backend: Backend,
        plan: Plan,
        tuning: u32,
    ) -> Result<Result<Armed, Refusal>, KernelError> {
        let mut armed = Armed::new(ebpf, backend, plan, self, tuning)?;
        armed.switch(Control { mode: Mode::SelfTest as u32, ..Control::default() })?;
        let made = selftest::make()?;
        let seen = selftest::watch(&made, || armed.drain_records());
        let learnt = selftest::judge(&made, &seen);
        if !learnt.unseen.is_empty() {
            let unseen = learnt.unseen.len();
            let told =
                format!("attached, but {unseen} of {} of its own allocations were not seen", made.len());
            return Ok(Err(Refusal::Silent(told)));
        }
        armed.learn(&learnt)?;
        log::debug!("{backend}: tested");
        Ok(Ok(armed))
    }
}

/// What to do without when the kernel refuses a program, one thing at a time: typed task pointers, typed
/// TCP pointers, reads of kernel memory (lockdown=confidentiality).
fn demand_less(tuning: u32) -> Option<u32> {
    [tune::TASK_BTF, tune::SKC_TO_TCP].into_iter().find(|bit| tuning & bit != 0).map(|bit| tuning & !bit)
}

impl Armed {
    fn new(
        mut ebpf: Ebpf,
        backend: Backend,
        plan: Plan,
        host: &Host,
        tuning: u32,
    ) -> Result<Self, KernelError> {
        let map = ebpf
            .take_map(names::EVENTS)
            .ok_or(KernelError::Map { map: names::EVENTS, reason: "it is not in the object".to_owned() })?;
        let ring = RingBuf::try_from(map).map_err(|error| broken(names::EVENTS, &error))?;
        let mut unavailable: Vec<&'static str> = backend.blind_fields().to_vec();
        if tuning & tune::TIME_WAIT == 0 {
            unavailable.push("time_wait_reused");
        }
        if host.facts.symbols.get("table_perturb").copied().unwrap_or(0) == 0 {
            unavailable.extend(["candidates", "candidates_exact", "collisions"]);
        }
        let mut hooks: Vec<_> = plan.hooks.into_iter().map(|hook| (hook, Verdict::Attached)).collect();
        hooks.extend(plan.left_out);
        let release = host.facts.release.clone();
        // Since 6.8 it tells its caller whether the socket has a range of its own; it was void before.
        let range_takes_every_port =
            host.types.functions.get("inet_sk_get_local_port_range").is_some_and(|found| !found.is_void);
        Ok(Self {
            backend,
            ebpf,
            ring,
            hooks,
            unavailable,
            refused: Vec::new(),
            release,
            range_takes_every_port,
        })
    }

    fn learn(&mut self, learnt: &Learnt) -> Result<(), KernelError> {
        if !learnt.search_start_agrees {
            self.unavailable.extend(["candidates", "candidates_exact", "collisions"]);
        }
        self.unavailable.sort_unstable();
        self.unavailable.dedup();
        let mut control = self.control()?;
        control.self_pid = learnt.self_pid.unwrap_or(0);
        self.switch(control)
    }

    /// Starts to record.
    fn run(&mut self) -> Result<(), KernelError> {
        let control = Control { mode: Mode::Run as u32, ..self.control()? };
        self.switch(control)
    }

    /// Stops recording; what is in the ring can still be read.
    ///
    /// # Errors
    ///
    /// The kernel refuses to write the map.
    pub fn stop(&mut self) -> Result<(), KernelError> {
        let control = Control { mode: Mode::Off as u32, ..self.control()? };
        self.switch(control)
    }

    fn control(&self) -> Result<Control, KernelError> {
        let map: Array<&MapData, [u8; size_of::<Control>()]> = counts::map(&self.ebpf, names::CONTROL)?
            .try_into()
            .map_err(|error| broken(names::CONTROL, &error))?;
        let bytes = map.get(&0, 0).map_err(|error| broken(names::CONTROL, &error))?;
        Ok(Control::read_from_bytes(&bytes).unwrap_or_default())
    }

    fn switch(&mut self, control: Control) -> Result<(), KernelError> {
        let failed = |error: &dyn std::error::Error| broken(names::CONTROL, error);
        let map = self
            .ebpf
            .map_mut(names::CONTROL)
            .ok_or(KernelError::Map { map: names::CONTROL, reason: "it is not in the object".to_owned() })?;
        let mut map: Array<&mut MapData, [u8; size_of::<Control>()]> =
            map.try_into().map_err(|error| failed(&error))?;
        let mut bytes = [0; size_of::<Control>()];
        bytes.copy_from_slice(control.as_bytes());
        map.set(0, bytes, 0).map_err(|error| failed(&error))
    }

    /// Hands every record that waits in the ring to `sink`, in order; returns how many there were.
    pub fn drain(&mut self, mut sink: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while let Some(item) = self.ring.next() {
            sink(&item);
            count += 1;
        }
        count
    }

    fn drain_records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        self.drain(|bytes| records.extend(Record::read_from_bytes(bytes).ok()));
        records
    }

    /// The backend.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Every hook of the backend and what became of it.
    #[must_use]
    pub fn hooks(&self) -> &[(Hook, Verdict)] {
        &self.hooks
    }

    /// Better backends that do not run here, and why.
    #[must_use]
    pub fn refused(&self) -> &[(Backend, Refusal)] {
        &self.refused
    }

    /// Fields of the records that are never filled in, sorted.
    #[must_use]
    pub fn unavailable(&self) -> &[&'static str] {
        &self.unavailable
    }

    /// Whether connects with `IP_LOCAL_PORT_RANGE` take every port in turn (Linux 6.8).
    #[must_use]
    pub fn range_takes_every_port(&self) -> bool {
        self.range_takes_every_port
    }

    /// `uname -r`.
    #[must_use]
    pub fn kernel_release(&self) -> &str {
        &self.release
    }

    /// The counters.
    ///
    /// # Errors
    ///
    /// The kernel refuses to show the map.
    pub fn counts(&self) -> Result<Counts, KernelError> {
        counts::read(&self.ebpf)
    }

    /// What the ring did not carry, by process.
    ///
    /// # Errors
    ///
    /// The kernel refuses to show the map.
    pub fn tallies(&self) -> Result<Vec<Tally>, KernelError> {
        counts::tallies(&self.ebpf)
    }
}

impl AsFd for Armed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
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
