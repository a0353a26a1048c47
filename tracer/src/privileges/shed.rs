//! Giving up what is not needed any more.

use std::path::Path;

use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Result,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};

/// To look at other users' processes under /proc.
const LOOK: CapabilitySet = CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH);
/// To go into another network namespace. It is kept, and not in force but on the threads that go there.
const ENTER: CapabilitySet = CapabilitySet::SYS_ADMIN;

/// What is still to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'a> {
    /// Directories in which files will be made.
    pub directories: &'a [&'a Path],
    /// A command runs that is to be signalled, perhaps as another user.
    pub has_command: bool,
}

/// What is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// In force.
    pub kept: CapabilitySet,
    /// To be had where it is needed.
    pub reserved: CapabilitySet,
}

impl Shed {
    /// The names of what is left, for reading.
    #[must_use]
    pub fn told(self) -> String {
        let names = |set: CapabilitySet| {
            let each: Vec<_> = set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
            if each.is_empty() { "none".to_owned() } else { each.join(", ") }
        };
        format!("{}; where namespaces are entered: {}", names(self.kept), names(self.reserved))
    }
}

/// Gives up, on this thread and those that it starts, whatever is not needed for what is left to do: from the effective,
/// permitted, inheritable and ambient sets, from the bounding set where this thread may, and new rights by `execve`.
///
/// `works` is whether the tracer can still read its maps. Before Linux 6.0 that takes CAP_BPF where
/// `unprivileged_bpf_disabled` is set: it is tried, not looked up. A command must run already, or it runs without its
/// caller's rights.
///
/// # Errors
///
/// The kernel refuses: then nothing is given up that is not given up yet.
pub fn shed(needs: &Needs<'_>, works: impl Fn() -> bool) -> Result<Shed> {
    let had = capabilities(None)?.permitted;
    let mut kept = LOOK & had;
    let only = |set: CapabilitySet| in_force(had, set & had);
    for wanted in [CapabilitySet::empty(), CapabilitySet::BPF, CapabilitySet::SYS_ADMIN] {
        only(kept | wanted)?;
        if works() {
            kept |= wanted & had;
            break;
        }
    }
    only(kept)?;
    let may_write = |path: &&Path| accessat(CWD, *path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    if !needs.directories.iter().all(may_write) {
        kept |= CapabilitySet::DAC_OVERRIDE & had;
    }
    if needs.has_command {
        kept |= CapabilitySet::KILL & had;
    }
    let reserved = (ENTER & had) - kept;
    if had.contains(CapabilitySet::SETPCAP) {
        in_force(had, CapabilitySet::SETPCAP)?;
        bound(kept | reserved)?;
    }
    clear_ambient_capability_set()?;
    in_force(kept | reserved, kept)?;
    set_no_new_privs(true)?;
    Ok(Shed { kept, reserved })
}

fn in_force(permitted: CapabilitySet, effective: CapabilitySet) -> Result<()> {
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() })
}

/// Takes all others out of the bounding set. A kernel has not all that we know, and may have some that we do not.
fn bound(kept: CapabilitySet) -> Result<()> {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if !kept.contains(one) && capability_is_in_bounding_set(one).unwrap_or(false) {
            remove_capability_from_bounding_set(one)?;
        }
    }
    Ok(())
}

/// Gives up everything on this thread, which only reads what is open already.
pub fn renounce() {
    if let Err(error) = in_force(CapabilitySet::empty(), CapabilitySet::empty()) {
        log::debug!("rights that nobody needs cannot be given up: {error}");
    }
}

/// Takes what is reserved for it into force on this thread, which is about to enter a namespace and does nothing else.
pub fn raise_to_enter() {
    let raised = capabilities(None).and_then(|sets| {
        let wanted = ENTER & sets.permitted;
        if sets.effective.contains(wanted) {
            return Ok(());
        }
        set_capabilities(None, CapabilitySets { effective: sets.effective | wanted, ..sets })
    });
    if let Err(error) = raised {
        log::debug!("{error}: no right to enter a namespace");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::thread::no_new_privs;

    use super::*;

    /// On a thread of its own: what is given up there is given up nowhere else.
    fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(work).join().unwrap()
    }

    fn had() -> CapabilitySet {
        capabilities(None).unwrap().permitted
    }

    #[test]
    fn what_is_not_needed_is_gone_and_cannot_come_back() {
        let before = had();
        let (shed, after, new) = apart(|| {
            let shed = shed(&Needs::default(), || true).unwrap();
            raise_to_enter();
            (shed, capabilities(None).unwrap(), no_new_privs().unwrap())
        });
        assert_eq!(shed, Shed { kept: LOOK & before, reserved: ENTER & before });
        assert_eq!(after.permitted, (LOOK | ENTER) & before);
        assert_eq!(after.effective, after.permitted);
        assert!(after.inheritable.is_empty() && new);
        assert_eq!(had(), before, "other threads keep theirs");
    }

    #[test]
    fn what_is_tried_and_needed_stays() {
        let before = had();
        let reads = || super::super::effective().contains(CapabilitySet::BPF & had());
        let shed = apart(move || shed(&Needs { has_command: true, ..Needs::default() }, reads).unwrap());
        assert_eq!(shed.kept, (LOOK | CapabilitySet::BPF | CapabilitySet::KILL) & before);
    }

    #[test]
    fn a_directory_of_somebody_else_is_still_written_to() {
        let nowhere: &'static Path = Path::new("/nowhere/at/all");
        let before = had();
        let shed = apart(move || {
            let needs = Needs { directories: &[nowhere], has_command: false };
            shed(&needs, || true).unwrap()
        });
        assert_eq!(shed.kept, (LOOK | CapabilitySet::DAC_OVERRIDE) & before);
    }

    #[test]
    fn what_is_left_is_told_by_name() {
        let told = Shed { kept: LOOK, reserved: CapabilitySet::empty() }.told();
        assert_eq!(told, "CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE; where namespaces are entered: none");
    }
}
