//! The ways to connect a socket, and what a connect has left behind.

use std::net::SocketAddr;

use portscope_tests::operation::Site;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::Endpoint;
use crate::ring::{self, By};
use crate::telling::Call;

/// `MSG_FASTOPEN` of linux/socket.h; rustix has no name for it.
const MSG_FASTOPEN: SendFlags = SendFlags::from_bits_retain(0x2000_0000);

impl Endpoint<'_> {
    /// connect(2); a refusal of the other end is not an error here: a port was had.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> Result<(), Errno> {
        let answer = rustix::net::connect(&self.fd, &to);
        if self.transport.is_stream() { self.connected(to, answer) } else { self.autobound(Some(to), answer) }
    }

    /// The connect of io_uring.
    pub(crate) fn connect_by_ring(&mut self, to: SocketAddr, by: By) -> Result<(), Errno> {
        let (answer, helper) = ring::connect(&self.fd, to, by)?;
        self.helper = helper;
        if self.transport.is_stream() { self.connected(to, answer) } else { self.autobound(Some(to), answer) }
    }

    /// connect(2), before which a program of the cgroup binds the socket: to an address alone, or to a port of it too.
    /// Where it cannot, it forbids the connect.
    pub(crate) fn connect_steered(&mut self, to: SocketAddr, source: SocketAddr) -> Result<(), Errno> {
        if source.port() == 0 {
            self.bound = Some(source);
            return self.connect(to);
        }
        let answer = rustix::net::connect(&self.fd, &to);
        if answer == Err(Errno::PERM) {
            return self.was_bound(source, Err(Errno::ADDRINUSE));
        }
        self.was_bound(source, Ok(()))?;
        if self.transport.is_stream() { self.connected(to, answer) } else { answer }
    }

    /// connect(2) on a non-blocking socket, and the wait for its end.
    pub(crate) fn connect_without_blocking(&mut self, to: SocketAddr) -> Result<(), Errno> {
        rustix::io::ioctl_fionbio(&self.fd, true)?;
        self.connect(to)?;
        let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.fd, PollFlags::OUT)], Some(&patience))?;
        rustix::io::ioctl_fionbio(&self.fd, false)
    }

    /// sendto(2) with `MSG_FASTOPEN`: connects on the way.
    pub(crate) fn fastopen_to(&mut self, to: SocketAddr) -> Result<(), Errno> {
        let answer = rustix::net::sendto(&self.fd, b"hello", MSG_FASTOPEN, &to).map(drop);
        self.connected(to, answer)
    }

    /// connect(2) to `AF_UNSPEC`: gives back what the kernel chose, keeps what the caller named.
    pub(crate) fn disconnect(&mut self) -> Result<(), Errno> {
        rustix::net::connect_unspec(&self.fd)?;
        if !self.is_named {
            self.port = 0;
        }
        Ok(())
    }

    fn connected(&mut self, to: SocketAddr, answer: Result<(), Errno>) -> Result<(), Errno> {
        let before = self.port;
        let family = Some(self.ground.family());
        let call_errno = answer.err();
        if call_errno == Some(Errno::ADDRNOTAVAIL) {
            let error = Errno::ADDRNOTAVAIL;
            let call = match before {
                0 => Call::allocation(Site::Connect, family, Err(error)),
                port => Call::explicit(Site::Connect, family, Err(error), port, "tuple_busy"),
            };
            self.tell(Call { local: self.bound_ip(), remote: Some(to), ..call })?;
            return Err(error);
        }
        match call_errno {
            None | Some(Errno::INPROGRESS | Errno::CONNREFUSED) => {}
            Some(error) => return Err(error),
        }
        let after = self.name_now()?;
        // A refused socket has lost its address, not its name.
        let is_open = call_errno != Some(Errno::CONNREFUSED);
        self.port = if is_open || self.is_named { after.port() } else { 0 };
        let local = if is_open { Some(after) } else { self.bound_ip() };
        let call = match before {
            0 => Call::allocation(Site::Connect, family, Ok(after.port())),
            port => Call::explicit(Site::Connect, family, Ok(port), port, "tuple_busy"),
        };
        self.tell(Call { local, remote: Some(to), afterwards: call_errno, ..call })
    }
}
