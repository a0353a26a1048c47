//! A socket of a scene: it does a call, looks at what it got, and tells it.
//!
//! The rules of what counts as an allocation are those of the system calls, not of the tracer: a socket that had no
//! port before the call and has one after it was given one.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use anyhow::Result;
use portscope_tests::operation::Site;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use crate::ground::Ground;
use crate::options::{SocketOption, reset_on_close};
use crate::ring::{self, By};
use crate::stage::Stage;
use crate::telling::{Call, Thread, family_of};
use crate::transport::Transport;

mod connecting;

const BACKLOG: i32 = 1024;

/// How a datagram leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sending {
    SendTo,
    SendMsg,
    /// Without an address: the call fails, after the port was chosen.
    Unaddressed,
}

/// A socket, and what is known of its port.
#[derive(Debug)]
pub(crate) struct Endpoint<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) transport: Transport,
    name: &'static str,
    ground: Ground,
    fd: OwnedFd,
    options: Vec<SocketOption>,
    /// The address it is bound to, with the port that it holds now (0 for none).
    bound: Option<SocketAddr>,
    port: u16,
    is_named: bool,
    range: [u16; 2],
    /// Who does what is told next, where it is not the thread that tells.
    helper: Option<Thread>,
}

impl<'a> Endpoint<'a> {
    pub(crate) fn open(
        stage: &'a Stage,
        name: &'static str,
        ground: Ground,
        transport: Transport,
        options: &[SocketOption],
    ) -> Result<Self, Errno> {
        let fd = transport.socket(ground)?;
        if transport.is_stream() && transport.can_reset() {
            reset_on_close(&fd, true).map_err(plain)?;
        }
        let mut range = stage.range;
        for option in options {
            option.set(&fd).map_err(plain)?;
            if let SocketOption::LocalPortRange(low, high) = *option {
                range = narrowed(range, low, high);
            }
        }
        Ok(Self::new(stage, name, ground, (transport, fd), options.to_vec(), range))
    }

    fn new(
        stage: &'a Stage,
        name: &'static str,
        ground: Ground,
        (transport, fd): (Transport, OwnedFd),
        options: Vec<SocketOption>,
        range: [u16; 2],
    ) -> Self {
        let (bound, helper) = (None, None);
        Self { stage, transport, name, ground, fd, options, bound, port: 0, is_named: false, range, helper }
    }

    /// A socket that another process or thread opened and bound.
    pub(crate) fn inherited(
        stage: &'a Stage,
        name: &'static str,
        ground: Ground,
        socket: (Transport, OwnedFd),
        options: &[SocketOption],
    ) -> Result<Self, Errno> {
        let mut endpoint = Self::new(stage, name, ground, socket, options.to_vec(), stage.range);
        let local = endpoint.name_now()?;
        endpoint.port = local.port();
        endpoint.bound = Some(local);
        Ok(endpoint)
    }

    pub(crate) fn scene(&self) -> String {
        format!("{} {}: {}", self.transport.word(), self.ground.word(), self.name)
    }

    pub(crate) fn options(&self) -> Vec<String> {
        let own = match self.transport {
            Transport::Mptcp => Some("mptcp".to_owned()),
            // `inet_create` sets it on ping sockets (INET_PROTOSW_REUSE of af_inet.c).
            Transport::Icmp => Some(SocketOption::ReuseAddr.word().to_owned()),
            _ => None,
        };
        self.options.iter().map(|option| option.word().to_owned()).chain(own).collect()
    }

    /// The range that is searched for it, where it is the one that we know.
    pub(crate) fn range(&self) -> Option<[u16; 2]> {
        (self.transport != Transport::Icmp).then_some(self.range)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn helper(&self) -> Option<&Thread> {
        self.helper.as_ref()
    }

    /// bind(2).
    pub(crate) fn bind(&mut self, addr: SocketAddr) -> Result<(), Errno> {
        let answer = rustix::net::bind(&self.fd, &addr);
        self.was_bound(addr, answer)
    }

    /// The bind of io_uring.
    pub(crate) fn bind_by_ring(&mut self, addr: SocketAddr, by: By) -> Result<(), Errno> {
        let (answer, helper) = ring::bind(&self.fd, addr, by)?;
        self.helper = helper;
        self.was_bound(addr, answer)
    }

    fn was_bound(&mut self, addr: SocketAddr, answer: Result<(), Errno>) -> Result<(), Errno> {
        let requested = addr.port();
        let after = answer.is_ok().then(|| self.name_now()).transpose()?;
        let local = after.unwrap_or(addr);
        let choice = answer.map(|()| local.port());
        let family = Some(family_of(local));
        if after.is_some() {
            self.bound = Some(local);
            self.port = local.port();
            self.is_named = requested != 0;
        }
        let call = match (requested, choice) {
            // IP_BIND_ADDRESS_NO_PORT: nothing was chosen yet.
            (0, Ok(0)) => return Ok(()),
            (_, Err(error)) if error != Errno::ADDRINUSE => return Err(error),
            (0, choice) => Call::allocation(Site::Bind, family, choice),
            (port, choice) => Call::explicit(Site::Bind, family, choice, port, "in_use"),
        };
        self.tell(Call { local: Some(local), ..call })?;
        answer
    }

    /// listen(2).
    pub(crate) fn listen(&mut self) -> Result<(), Errno> {
        let answer = rustix::net::listen(&self.fd, BACKLOG);
        self.listens(answer)
    }

    /// The listen of io_uring.
    pub(crate) fn listen_by_ring(&mut self, by: By) -> Result<(), Errno> {
        let (answer, helper) = ring::listen(&self.fd, BACKLOG.unsigned_abs(), by)?;
        self.helper = helper;
        self.listens(answer)
    }

    fn listens(&mut self, answer: Result<(), Errno>) -> Result<(), Errno> {
        let before = self.port;
        if let Err(error) = answer
            && error != Errno::ADDRINUSE
        {
            return Err(error);
        }
        let local = self.bound.unwrap_or_else(|| self.ground.anywhere());
        let family = Some(family_of(local));
        let call = match (before, answer) {
            (0, Ok(())) => {
                self.port = self.name_now()?.port();
                Call::allocation(Site::Listen, family, Ok(self.port))
            }
            (0, Err(error)) => Call::allocation(Site::Listen, family, Err(error)),
            (port, answer) => Call::explicit(Site::Listen, family, answer.map(|()| port), port, "in_use"),
        };
        self.tell(Call { local: Some(local), ..call })?;
        answer
    }

    /// A datagram, or an attempt at one.
    pub(crate) fn send(&mut self, how: Sending, to: SocketAddr) -> Result<(), Errno> {
        let payload = self.payload();
        let none = SendFlags::empty();
        let (to, answer) = match how {
            Sending::SendTo => (Some(to), rustix::net::sendto(&self.fd, payload, none, &to)),
            Sending::SendMsg => {
                let mut control = SendAncillaryBuffer::default();
                let data = [IoSlice::new(payload)];
                (Some(to), rustix::net::sendmsg_addr(&self.fd, &to, &data, &mut control, none))
            }
            Sending::Unaddressed => (None, rustix::net::send(&self.fd, payload, none)),
        };
        self.autobound(to, answer.map(drop))
    }

    /// write(2) on a connected socket: sends what a deferred connect kept back.
    pub(crate) fn write(&self) -> Result<(), Errno> {
        rustix::net::send(&self.fd, b"hello", SendFlags::empty()).map(drop)
    }

    /// Lets close(2) end the connection by FIN again.
    pub(crate) fn end_without_reset(&self) -> Result<(), Errno> {
        reset_on_close(&self.fd, false).map_err(plain)
    }

    /// accept(2).
    pub(crate) fn accept(&self) -> Result<OwnedFd, Errno> {
        rustix::net::accept(&self.fd)
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// The kernel chooses before it looks at the destination: the family and the address are those of the socket.
    fn autobound(&mut self, to: Option<SocketAddr>, answer: Result<(), Errno>) -> Result<(), Errno> {
        if self.port != 0 {
            return Ok(());
        }
        let choice = match answer {
            Err(Errno::AGAIN) => Err(Errno::AGAIN),
            _ => self.name_now().map(|after| after.port()),
        };
        let family = match self.ground {
            Ground::Mapped => None,
            ground => Some(ground.family()),
        };
        self.port = choice.unwrap_or(0);
        let afterwards = if choice.is_ok() { answer.err() } else { None };
        let call = Call::allocation(Site::Autobind, family, choice);
        self.tell(Call { local: self.bound_ip(), remote: to, afterwards, ..call })?;
        choice.map(drop)
    }

    /// The address that the caller chose, where it chose one.
    fn bound_ip(&self) -> Option<SocketAddr> {
        self.bound.filter(|addr| !addr.ip().is_unspecified())
    }

    /// getsockname(2).
    pub(crate) fn name_now(&self) -> Result<SocketAddr, Errno> {
        rustix::net::getsockname(&self.fd)?.try_into()
    }

    fn payload(&self) -> &'static [u8] {
        match (self.transport, self.ground) {
            (Transport::Icmp, Ground::V4) => &[8, 0, 0, 0, 0, 0, 0, 1],
            (Transport::Icmp, _) => &[128, 0, 0, 0, 0, 0, 0, 1],
            _ => b"hello",
        }
    }

    /// Printing fails only where the reader is gone; the scene then ends like a broken pipe.
    fn tell(&mut self, call: Call) -> Result<(), Errno> {
        let told = call.tell(self).map_err(|_printing| Errno::PIPE);
        self.helper = None;
        told
    }
}

/// `inet_sk_get_local_port_range`: an end of the socket's range counts where it lies inside the namespace's.
fn narrowed(range: [u16; 2], low: u16, high: u16) -> [u16; 2] {
    let inside = |port: u16| (range[0]..=range[1]).contains(&port);
    [if inside(low) { low } else { range[0] }, if inside(high) { high } else { range[1] }]
}

fn plain(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}
