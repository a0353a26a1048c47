//! Where it listens: TCP addresses and UNIX sockets.

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    str::FromStr,
};

/// Who may connect to a UNIX socket: the user and the group of the process.
const MODE: u32 = 0o660;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// At a UNIX socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => {
                Err("give the whole path of a UNIX socket: unix:/run/portscope/portscope.sock".to_owned())
            }
            None => word.parse().map(Self::Tcp).map_err(|_no_address| {
                "give an address with its port (127.0.0.1:19768, [::1]:19768), or unix:/PATH".to_owned()
            }),
        }
    }
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The path is taken by something that is no socket.
    #[error("cannot listen on unix:{}: there is a file that is no socket", .0.display())]
    NoSocket(PathBuf),
    /// Somebody listens there.
    #[error("cannot listen on unix:{}: another process does", .0.display())]
    Taken(PathBuf),
}

impl ListenError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Bind { address: Address::Tcp(addr), source }
                if source.kind() == io::ErrorKind::AddrInUse =>
            {
                format!("`portscope who {}` tells who has that port; --listen takes another one", addr.port())
            }
            Self::Bind { address: Address::Tcp(_), .. } => {
                "--listen takes an address of this host".to_owned()
            }
            Self::Bind { address: Address::Unix(_), .. } => "its directory must be there".to_owned(),
            Self::NoSocket(_) => "--listen unix:/PATH takes a path of its own".to_owned(),
            Self::Taken(_) => "end that one, or give another path with --listen unix:/PATH".to_owned(),
        }
    }
}

/// A socket that listens. A UNIX socket is removed with it.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: Socket,
    address: Address,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    /// Listens there. A UNIX socket that nobody listens at any more is replaced.
    ///
    /// # Errors
    ///
    /// The address cannot be had.
    pub fn at(address: &Address) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address: address.clone(), source };
        let socket = match address {
            Address::Tcp(addr) => {
                let listener = TcpListener::bind(addr).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                Socket::Tcp(listener)
            }
            Address::Unix(path) => {
                clear(path)?;
                let listener = UnixListener::bind(path).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(failed)?;
                Socket::Unix(listener)
            }
        };
        let address = match &socket {
            // Port 0 becomes the one that was chosen.
            Socket::Tcp(listener) => listener.local_addr().map(Address::Tcp).map_err(failed)?,
            Socket::Unix(_) => address.clone(),
        };
        Ok(Self { socket, address })
    }

    /// Where.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn copy(&self) -> io::Result<Socket> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => Socket::Tcp(listener.try_clone()?),
            Socket::Unix(listener) => Socket::Unix(listener.try_clone()?),
        })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address
            && let Err(error) = fs::remove_file(path)
        {
            log::debug!("{} stays: {error}", path.display());
        }
    }
}

/// Removes a socket that was left behind.
fn clear(path: &Path) -> Result<(), ListenError> {
    let Ok(about) = fs::symlink_metadata(path) else { return Ok(()) };
    if !about.file_type().is_socket() {
        return Err(ListenError::NoSocket(path.to_owned()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(ListenError::Taken(path.to_owned()));
    }
    fs::remove_file(path)
        .map_err(|source| ListenError::Bind { address: Address::Unix(path.to_owned()), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for word in ["127.0.0.1:19768", "[::1]:0", "unix:/run/portscope.sock"] {
            assert_eq!(word.parse::<Address>().map(|address| address.to_string()), Ok(word.to_owned()));
        }
        for word in ["", "19768", "localhost:1", "127.0.0.1", "unix:", "unix:relative", "127.0.0.1:65536"] {
            assert!(word.parse::<Address>().is_err(), "{word}");
        }
    }
}
