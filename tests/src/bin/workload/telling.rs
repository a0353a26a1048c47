//! From what a call answered to the line that tells it.

use std::net::SocketAddr;

use anyhow::Result;
use portscope_tests::operation::{Family, Kind, Line, Operation, Site};
use rustix::io::Errno;

use crate::endpoint::Endpoint;

/// The kernel's name of an errno.
pub(crate) fn errno_name(errno: Errno) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno.raw_os_error()))
}

/// A thread of this process.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) tid: u32,
    pub(crate) name: String,
}

impl Thread {
    fn running() -> Result<Self> {
        let tid = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get())?;
        Ok(Self { tid, name: rustix::thread::name()?.to_string_lossy().into_owned() })
    }
}

/// What one call did, before it is put into the words of the records.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) site: Site,
    pub(crate) kind: Kind,
    pub(crate) family: Option<Family>,
    /// The port that was had, or the errno of the choice.
    pub(crate) choice: Result<u16, Errno>,
    pub(crate) cause: Option<&'static str>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) requested_port: u16,
    pub(crate) remote: Option<SocketAddr>,
    /// What the call answered where the choice itself went well.
    pub(crate) afterwards: Option<Errno>,
}

impl Call {
    /// A choice of the kernel at `site`.
    pub(crate) fn allocation(site: Site, family: Option<Family>, choice: Result<u16, Errno>) -> Self {
        let cause = choice.is_err().then_some("exhausted");
        Self {
            site,
            kind: Kind::Allocation,
            family,
            choice,
            cause,
            local: None,
            requested_port: 0,
            remote: None,
            afterwards: None,
        }
    }

    /// A port that the caller named.
    pub(crate) fn explicit(
        site: Site,
        family: Option<Family>,
        choice: Result<u16, Errno>,
        requested_port: u16,
        cause: &'static str,
    ) -> Self {
        let cause = choice.is_err().then_some(cause);
        Self { kind: Kind::Explicit, requested_port, cause, ..Self::allocation(site, family, choice) }
    }

    /// Prints it.
    pub(crate) fn tell(self, endpoint: &Endpoint<'_>) -> Result<()> {
        let stage = endpoint.stage;
        let Thread { tid, name: thread_comm } =
            endpoint.helper().cloned().map_or_else(Thread::running, Ok)?;
        let operation = Operation {
            scene: endpoint.scene(),
            site: self.site,
            proto: endpoint.transport.proto(),
            family: self.family,
            kind: self.kind,
            ok: self.choice.is_ok(),
            errno: self.choice.err().map(errno_name),
            call_errno: self.afterwards.map(errno_name),
            cause: self.cause.map(str::to_owned),
            local_addr: self.local.map(|addr| addr.ip().to_canonical()),
            local_port: self.choice.unwrap_or(0),
            requested_port: self.requested_port,
            remote_addr: self.remote.map(|addr| addr.ip().to_canonical()),
            remote_port: self.remote.map(|addr| addr.port()),
            pid: stage.pid,
            tid,
            comm: stage.comm.clone(),
            thread_comm,
            netns: stage.netns,
            range: if self.kind == Kind::Allocation { endpoint.range() } else { None },
            options: endpoint.options(),
        };
        stage.line(&Line::Operation(Box::new(operation)))
    }
}

/// The family that an address belongs to; v4-mapped is IPv4.
pub(crate) fn family_of(addr: SocketAddr) -> Family {
    if addr.ip().to_canonical().is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
}
