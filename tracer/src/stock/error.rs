//! What may go wrong when a namespace is asked.

use std::{io, path::PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ReplyError;

/// A namespace that could not be asked, or an answer that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// What another one told, when it was written down.
    #[error("{0}")]
    Told(String),
    /// A file or directory cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The namespace cannot be entered.
    #[error("cannot enter the network namespace {}", path.display())]
    Enter {
        /// Where it was opened.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No thread could be had to enter it with.
    #[error("cannot start a thread to enter the network namespace {}", path.display())]
    Thread {
        /// Where it was opened.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A sysctl holds what it cannot hold.
    #[error("{sysctl} holds '{text}', not {expected}")]
    Sysctl {
        /// Its name.
        sysctl: &'static str,
        /// What it holds, cut at 80 characters.
        text: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// `sock_diag` cannot be talked to.
    #[error("sock_diag cannot be {doing}")]
    Diag {
        /// What was tried: it could not be `opened`, `asked` or `read`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel's answer about sockets makes no sense.
    #[error("the dump of {protocol} sockets makes no sense")]
    Reply {
        /// Of which protocol.
        protocol: &'static str,
        /// What is wrong with it.
        source: ReplyError,
    },
    /// A table of `/proc/net` holds what it cannot hold.
    #[error("{file} holds '{text}', not {expected}")]
    Table {
        /// Its name.
        file: &'static str,
        /// What it holds, cut at 80 characters.
        text: String,
        /// What it should hold.
        expected: &'static str,
    },
}

/// Written as what it tells.
impl Serialize for StockError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StockError {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::Told)
    }
}

impl StockError {
    /// What it tells, without what caused it.
    #[must_use]
    pub(super) fn retold(&self) -> Self {
        Self::Told(self.to_string())
    }

    /// What may help.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Enter { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("entering another network namespace takes root, or CAP_SYS_ADMIN")
            }
            Self::Enter { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                Some("this is no network namespace: give /proc/PID/ns/net or a file of /run/netns")
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("looking at processes of other users takes root, or CAP_SYS_PTRACE")
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("the process may have ended, or the namespace may have been deleted")
            }
            Self::Diag { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("seccomp or a security module forbids netlink sockets (NETLINK_SOCK_DIAG) here")
            }
            Self::Diag { doing: "opened", .. } => {
                Some("this kernel has no sock_diag: CONFIG_INET_DIAG, or the modules inet_diag and tcp_diag")
            }
            Self::Diag { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
                Some("the kernel did not answer within 5 s: try again when it is less busy")
            }
            Self::Reply { .. } => {
                Some("the kernel speaks another dialect: please report it with the output of `uname -r`")
            }
            _ => None,
        }
    }

    pub(super) fn sysctl(sysctl: &'static str, text: &str, expected: &'static str) -> Self {
        Self::Sysctl { sysctl, text: quote(text), expected }
    }

    pub(super) fn table(file: &'static str, text: &str, expected: &'static str) -> Self {
        Self::Table { file, text: quote(text), expected }
    }
}

fn quote(text: &str) -> String {
    text.trim().escape_debug().take(80).collect()
}
