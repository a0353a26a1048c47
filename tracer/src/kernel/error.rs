//! What can go wrong between this program and the kernel, and what to do about it.

use std::{io, path::PathBuf};

use super::{Backend, hooks::Refusal};

/// A failure of the kernel room. [`KernelError::hint`] says the remedy.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel refused for want of rights.
    #[error("not permitted to trace: missing {missing}")]
    NotPermitted {
        /// The capabilities that are missing, for reading.
        missing: String,
    },
    /// No backend can run.
    #[error("this kernel cannot be traced: {}", reasons(.0))]
    NoBackend(Vec<(Backend, Refusal)>),
    /// A filter by cgroup, which no program of this kernel can judge.
    #[error(
        "this kernel does not tell a tracing program which cgroups a task is below, so --cgroup cannot be judged"
    )]
    CgroupFilter,
    /// The BTF of the kernel, or the file given in its place, cannot be read.
    #[error("cannot read kernel type information from {}: {reason}", .path.display())]
    Btf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Whether the user named the file.
        named: bool,
    },
    /// A field without which nothing is right is not in the BTF.
    #[error("the type information in {} has no usable `{field}` ({reason})", .path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Structure and member.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The type information that was named is of another kernel than the running one.
    #[error("the type information in {} is not of the running kernel: {difference}", .path.display())]
    OtherKernel {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        difference: String,
    },
    /// The kernel keeps what is in its memory from everybody.
    #[error(
        "the kernel is locked down for confidentiality: no program may read its memory, so nothing can be traced"
    )]
    LockedDown,
    /// The BPF object cannot be loaded.
    #[error("cannot load the BPF object: {0}")]
    Object(String),
    /// A map of the object failed.
    #[error("map {map}: {reason}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// A file of /proc or /sys cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel does not count how long programs run.
    #[error("the kernel does not measure what its programs cost (--kernel-cost): {0}")]
    Cost(io::Error),
    /// The self-test could not even make its own traffic.
    #[error("the self-test cannot {what}: {source}")]
    SelfTest {
        /// What it tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl KernelError {
    /// The remedy, as a sentence.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotPermitted { .. } => {
                Some("run it as root, or give it those capabilities (setcap, systemd)")
            }
            Self::NoBackend(_) => Some("`portscope check --hooks` shows each hook with its reason"),
            Self::CgroupFilter => Some("filter by --container, -p or -n instead"),
            Self::Btf { named: true, .. } => Some(
                "give --btf the vmlinux of the running kernel, its BTF, or a directory of a BTFHub archive",
            ),
            Self::Btf { named: false, .. } => Some(
                "this kernel was built without CONFIG_DEBUG_INFO_BTF; give its type information with --btf FILE",
            ),
            Self::Field { .. } => Some("is this the type information of the running kernel? see --btf"),
            Self::OtherKernel { .. } => Some(
                "name that of the running kernel (`uname -r`), or leave --btf out where the kernel has its own",
            ),
            Self::LockedDown => Some("boot with lockdown=integrity, or less, to trace this host"),
            Self::Cost(_) => Some("that needs CAP_SYS_ADMIN; leave --kernel-cost out"),
            Self::Object(_) | Self::Map { .. } | Self::Read { .. } | Self::SelfTest { .. } => None,
        }
    }

    /// Exit status that the command line promises for it.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NotPermitted { .. } => 4,
            Self::Cost(error) if error.kind() == io::ErrorKind::PermissionDenied => 4,
            Self::NoBackend(_) | Self::LockedDown | Self::Btf { named: false, .. } => 5,
            _ => 1,
        }
    }
}

fn reasons(refusals: &[(Backend, Refusal)]) -> String {
    let each: Vec<_> = refusals.iter().map(|(backend, refusal)| format!("{backend}: {refusal}")).collect();
    each.join("; ")
}
