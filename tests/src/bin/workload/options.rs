//! Socket options that change how a port is chosen.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{SetSockOpt as _, setsockopt, sockopt};

/// `IP_LOCAL_PORT_RANGE` of linux/in.h; nix has no name for it.
const IP_LOCAL_PORT_RANGE: libc::c_int = 51;

mod local_port_range {
    use super::IP_LOCAL_PORT_RANGE;
    use nix::libc;

    /// The socket's own port range: low end in the low half, high end in the high half.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct LocalPortRange;

    nix::setsockopt_impl!(
        LocalPortRange,
        libc::IPPROTO_IP,
        IP_LOCAL_PORT_RANGE,
        usize,
        nix::sys::socket::sockopt::SetUsize
    );
}

/// An option, with its value where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketOption {
    ReuseAddr,
    ReusePort,
    BindAddressNoPort,
    Freebind,
    LocalPortRange(u16, u16),
    FastopenConnect,
    /// `IPV6_V6ONLY`.
    V6Only,
    /// `SO_BINDTODEVICE`, to this device.
    Device(&'static str),
}

impl SocketOption {
    /// `IP_LOCAL_PORT_RANGE` of the second quarter of a range, an even number of ports.
    pub(crate) const fn quarter(range: [u16; 2]) -> Self {
        let quarter = (range[1] - range[0] + 1) / 4;
        let low = range[0] + quarter;
        let ports = if quarter > 2 { quarter & !1 } else { 2 };
        Self::LocalPortRange(low, low + (ports - 1))
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::ReuseAddr => "reuseaddr",
            Self::ReusePort => "reuseport",
            Self::BindAddressNoPort => "bind_address_no_port",
            Self::Freebind => "freebind",
            Self::LocalPortRange(..) => "local_port_range",
            Self::FastopenConnect => "fastopen_connect",
            Self::V6Only => "v6only",
            Self::Device(_) => "bind_to_device",
        }
    }

    pub(crate) fn set(self, fd: &OwnedFd) -> Result<(), Errno> {
        match self {
            Self::ReuseAddr => setsockopt(fd, sockopt::ReuseAddr, &true),
            Self::ReusePort => setsockopt(fd, sockopt::ReusePort, &true),
            Self::BindAddressNoPort => setsockopt(fd, sockopt::IpBindAddressNoPort, &true),
            Self::Freebind => setsockopt(fd, sockopt::IpFreebind, &true),
            Self::FastopenConnect => setsockopt(fd, sockopt::TcpFastOpenConnect, &true),
            Self::V6Only => setsockopt(fd, sockopt::Ipv6V6Only, &true),
            Self::Device(name) => setsockopt(fd, sockopt::BindToDevice, &name.into()),
            Self::LocalPortRange(low, high) => {
                let packed = usize::from(low) | usize::from(high) << 16;
                local_port_range::LocalPortRange.set(fd, &packed)
            }
        }
    }
}

/// Makes close(2) send RST and leave no TIME_WAIT, or not.
pub(crate) fn reset_on_close(fd: &OwnedFd, is_on: bool) -> Result<(), Errno> {
    setsockopt(fd, sockopt::Linger, &libc::linger { l_onoff: is_on.into(), l_linger: 0 })
}
