//! What commands that trace have in common.

use std::{fs, path::Path};

use super::{
    Failure,
    exit::{complain, reason},
};
use crate::{kernel::Armed, pipeline::Accounts};

/// Says which backend runs, and what it cannot see: no silent downgrade.
pub(super) fn tell_backend(armed: &Armed) {
    for (backend, refusal) in armed.refused() {
        log::info!("{backend}: {refusal}");
    }
    let better: Vec<&str> = armed.refused().iter().map(|(backend, _)| backend.name()).collect();
    let unseen = armed.unavailable();
    if better.is_empty() && unseen.is_empty() {
        log::info!("tracing with {}", armed.backend());
        return;
    }
    let mut line = format!("tracing with {}", armed.backend());
    if !better.is_empty() {
        line = format!("{line} ({} not possible here: portscope check --hooks)", better.join(", "));
    }
    if !unseen.is_empty() {
        line = format!("{line}; not seen: {}", unseen.join(", "));
    }
    complain(&line);
}

/// Creates a file that says that the hooks are armed.
pub(super) fn announce(ready_file: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = ready_file else { return Ok(()) };
    fs::write(path, b"armed\n")
        .map_err(|error| Failure::new(format!("cannot write {}: {}", path.display(), reason(&error))))
}

/// The accounts so far, on stderr.
pub(super) fn interim(accounts: &Accounts) {
    complain(&account_line(accounts));
}

/// The accounts on one line.
pub(super) fn account_line(accounts: &Accounts) -> String {
    let Accounts { seen, emitted, filtered, lost, .. } = accounts;
    format!("seen {seen} = emitted {emitted} + filtered {filtered} + lost {lost}")
}
