//! A kernel half that runs: armed, tested, and read.

use std::os::fd::{AsFd, BorrowedFd};

use aya::{
    Ebpf,
    maps::{Array, MapData, RingBuf},
};
use tracer_ebpf::abi::{Control, Mode, Record, names, tune};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{
    Backend, KernelError, Settings,
    calls::{self, Call},
    counts::{self, Counts, Tally, broken},
    facts,
    hooks::{Hook, Refusal, Verdict},
    host::Host,
    meter::Meter,
    plan::Plan,
    selftest::{self, Learnt},
    skips::Skips,
};
use crate::{enrich::monotonic_now, event::MonoNs};

/// Fields that are filled in only where collisions are counted by kind.
pub const KINDS: [&str; 3] = ["bucket_collisions", "tuple_collisions", "time_wait_collisions"];

/// What is known of a connect where it is known where its search began.
const OF_STARTS: [&str; 3] = ["candidates", "candidates_exact", "collisions"];

/// Hooks that are attached and seen to work.
pub struct Armed {
    backend: Backend,
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    /// What the programs had skipped before they were to record.
    skipped_before: Skips,
    /// How long the programs run; none where that is not measured.
    meter: Option<Meter>,
    hooks: Vec<(Hook, Verdict)>,
    unavailable: Vec<&'static str>,
    no_candidates: Option<&'static str>,
    refused: Vec<(Backend, Refusal)>,
    release: String,
    range_takes_every_port: bool,
    started: MonoNs,
}

/// One backend and what became of it.
pub struct Trial {
    /// The backend.
    pub backend: Backend,
    /// What it shows, or why it does not run.
    pub outcome: Result<Shown, Refusal>,
}

/// What a backend shows on this kernel.
pub struct Shown {
    /// Its hooks.
    pub hooks: Vec<(Hook, Verdict)>,
    /// Fields of the records that are never filled in, sorted.
    pub unavailable: Vec<&'static str>,
    /// Why searches are not looked into, where the backend could.
    pub no_candidates: Option<&'static str>,
}

/// Arms the best backend that this kernel runs, or the one that was asked for.
///
/// # Errors
///
/// No right to trace, no backend that runs, or a BTF or object that cannot be used.
pub fn arm(settings: &Settings) -> Result<Armed, KernelError> {
    let host = Host::read(settings, &settings.backend.candidates())?;
    let mut refused = Vec::new();
    for backend in settings.backend.candidates() {
        match host.try_backend(settings, backend)? {
            Ok(mut armed) => {
                armed.refused = refused;
                armed.run(settings.kernel_cost)?;
                return Ok(armed);
            }
            Err(refusal) => refused.push((backend, refusal)),
        }
    }
    let not_permitted = refused.iter().find_map(|(_, refusal)| match refusal {
        Refusal::NotPermitted(capability) => Some(*capability),
        _ => None,
    });
    if let Some(missing) = not_permitted {
        return Err(KernelError::NotPermitted { missing: missing.to_owned() });
    }
    if facts::is_locked_down() {
        return Err(KernelError::LockedDown);
    }
    let read_amiss = |refusal: &&Refusal| matches!(refusal, Refusal::Silent(_) | Refusal::Misread(_));
    let amiss = refused.iter().map(|(_, refusal)| refusal).find(read_amiss);
    Err(match amiss.filter(|_| host.types.are_named()) {
        Some(refusal) => {
            KernelError::OtherKernel { path: host.types.path.clone(), difference: refusal.to_string() }
        }
        None => KernelError::NoBackend(refused),
    })
}

/// Tries every backend, and takes each down again.
///
/// # Errors
///
/// As [`arm`], but for backends that do not run: they are the answer here.
pub fn survey(settings: &Settings) -> Result<Vec<Trial>, KernelError> {
    let host = Host::read(settings, &Backend::ALL)?;
    Backend::ALL
        .into_iter()
        .map(|backend| {
            let outcome = host.try_backend(settings, backend)?.map(|armed| Shown {
                hooks: armed.hooks,
                unavailable: armed.unavailable,
                no_candidates: armed.no_candidates,
            });
            Ok(Trial { backend, outcome })
        })
        .collect()
}

impl Armed {
    /// Tests hooks that are attached; `Ok(Err(_))` when they do not see what they should.
    pub(super) fn tested(
        ebpf: Ebpf,
        backend: Backend,
        plan: Plan,
        host: &Host,
        tuning: u32,
    ) -> Result<Result<Self, Refusal>, KernelError> {
        let mut armed = Self::new(ebpf, backend, plan, host, tuning)?;
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
        // Types that the kernel itself tells are right; what else differs from what was asked for has other causes there,
        // such as programs of others that rewrite addresses.
        if let Some(what) = learnt.misread.filter(|_| host.types.are_named()) {
            return Ok(Err(Refusal::Misread(what)));
        }
        armed.learn(&learnt)?;
        log::debug!("{backend}: tested");
        Ok(Ok(armed))
    }

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
        if tuning & tune::COLLISIONS == 0 {
            unavailable.extend(KINDS);
        }
        let mut hooks: Vec<_> = plan.hooks.into_iter().map(|hook| (hook, Verdict::Attached)).collect();
        hooks.extend(plan.left_out);
        let release = host.facts.release.clone();
        // Since 6.8 it tells its caller whether the socket has a range of its own; it was void before.
        let range_takes_every_port =
            host.types.functions.get("inet_sk_get_local_port_range").is_some_and(|found| !found.is_void);
        let mut armed = Self {
            backend,
            ebpf,
            ring,
            skipped_before: Skips::default(),
            meter: None,
            hooks,
            unavailable,
            no_candidates: None,
            refused: Vec::new(),
            release,
            range_takes_every_port,
            started: MonoNs::default(),
        };
        if let Some(why) = host.facts.no_table() {
            armed.tells_no_candidates(why);
        }
        Ok(armed)
    }

    /// Where searches begin is not known, for this reason; of a backend that could tell what follows from it.
    fn tells_no_candidates(&mut self, why: &'static str) {
        if self.backend.sees_searches() {
            self.unavailable.extend(OF_STARTS);
            self.no_candidates.get_or_insert(why);
        }
    }

    fn learn(&mut self, learnt: &Learnt) -> Result<(), KernelError> {
        if !learnt.search_start_agrees {
            self.tells_no_candidates("searches begin elsewhere than this kernel's table says");
        }
        self.unavailable.sort_unstable();
        self.unavailable.dedup();
        let mut control = self.control()?;
        control.self_pid = learnt.self_pid.unwrap_or(0);
        self.switch(control)
    }

    /// Starts to record.
    fn run(&mut self, measured: bool) -> Result<(), KernelError> {
        self.meter = Meter::start(measured, &self.ebpf, &self.hooks)?;
        self.skipped_before = Skips::now(&self.ebpf, &self.hooks);
        let control = Control { mode: Mode::Run as u32, ..self.control()? };
        // Before the first event, never after it.
        self.started = monotonic_now();
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

    /// Why searches are not looked into, where the backend could.
    #[must_use]
    pub fn no_candidates(&self) -> Option<&'static str> {
        self.no_candidates
    }

    /// Whether collisions are counted by kind.
    #[must_use]
    pub fn counts_collisions(&self) -> bool {
        KINDS.iter().all(|field| !self.unavailable.contains(field))
    }

    /// Whether connects with `IP_LOCAL_PORT_RANGE` take every port in turn (Linux 6.8).
    #[must_use]
    pub fn range_takes_every_port(&self) -> bool {
        self.range_takes_every_port
    }

    /// When it began to record: no event is earlier.
    #[must_use]
    pub fn started(&self) -> MonoNs {
        self.started
    }

    /// `uname -r`.
    #[must_use]
    pub fn kernel_release(&self) -> &str {
        &self.release
    }

    /// The number of this process as the kernel half sees it, which is another one in a PID namespace; none where the
    /// self-test could not learn it.
    ///
    /// # Errors
    ///
    /// The kernel refuses to show the map.
    pub fn own_pid(&self) -> Result<Option<u32>, KernelError> {
        let pid = self.control()?.self_pid;
        Ok((pid != 0).then_some(pid))
    }

    /// The counters.
    ///
    /// # Errors
    ///
    /// The kernel refuses to show the map.
    pub fn counts(&self) -> Result<Counts, KernelError> {
        let skipped = Skips::now(&self.ebpf, &self.hooks).since(self.skipped_before);
        let mut counts = counts::read(&self.ebpf)?;
        counts.skipped = skipped.choices;
        counts.kernel_ns = self.meter.as_ref().map(|meter| meter.ran_ns(&self.ebpf, &self.hooks));
        counts.inner_calls = self.counts_collisions().then_some(counts.raw().inner_calls);
        counts.inner_missed = counts.inner_calls.and(skipped.inner);
        Ok(counts)
    }

    /// Who called from where, and how often; nobody where no stacks are taken.
    ///
    /// # Errors
    ///
    /// The kernel refuses to show the map.
    pub fn calls(&self) -> Result<Vec<Call>, KernelError> {
        calls::read(&self.ebpf)
    }

    /// The addresses of a stack, from the call outwards; none where it is not there.
    ///
    /// # Errors
    ///
    /// The kernel refuses to show the map.
    pub fn stack(&self, number: u32) -> Result<Vec<u64>, KernelError> {
        calls::stack(&self.ebpf, number)
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
