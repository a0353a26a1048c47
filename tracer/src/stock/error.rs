//! What may go wrong when a namespace is asked.

use std::{io, path::PathBuf};

/// A namespace that could not be asked, or an answer that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
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
}

impl StockError {
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
            _ => None,
        }
    }

    pub(super) fn sysctl(sysctl: &'static str, text: &str, expected: &'static str) -> Self {
        Self::Sysctl { sysctl, text: text.trim().escape_debug().take(80).collect(), expected }
    }
}
