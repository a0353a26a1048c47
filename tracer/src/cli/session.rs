//! What commands that trace have in common.

use std::{collections::BTreeMap, fs, path::Path};

use tokio::runtime::{Builder, Runtime};

use super::{
    Failure,
    exit::{complain, reason},
    place::{Place, failure},
    rights::tell_losses,
};
use crate::{
    kernel::{self, Armed, Settings, armed::KINDS},
    output::{closing, records::FilterValue},
    pipeline::{Accounts, FrameFacts, Learned, Signals, Spaces},
    stock::Stock,
};

/// Hooks that are armed, and what is needed to follow them.
pub(super) struct Session {
    pub(super) armed: Armed,
    pub(super) runtime: Runtime,
    pub(super) signals: Signals,
    pub(super) spaces: Spaces,
    pub(super) frame: FrameFacts,
}

impl Session {
    /// Arms the hooks, listens for signals, then looks at the host unless `stock` was taken just now, and says which
    /// backend runs.
    ///
    /// Whoever is told that the hooks are armed may end the command at once, and gets its summary.
    pub(super) fn open(
        wanted: &Settings,
        filters: BTreeMap<String, FilterValue>,
        is_quiet: bool,
        place: &Place,
        stock: Option<&Stock>,
    ) -> Result<Self, Failure> {
        let armed = kernel::arm(wanted)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("cannot start the event loop: {}", reason(&error))))?;
        let signals = runtime.block_on(async { Signals::listen() }).map_err(|error| failure(place, error))?;
        let mut spaces = Spaces::new(Path::new("/proc"), armed.range_takes_every_port());
        let Learned { namespaces, configs, settings } = match stock {
            Some(stock) => spaces.learn(stock),
            None => spaces.survey().map_err(|error| Failure::new(error.to_string()))?,
        };
        let buffer_bytes = u64::from(wanted.buffer_bytes);
        let frame = FrameFacts { filters, namespaces, configs, settings, buffer_bytes };
        if !is_quiet {
            tell_backend(&armed, wanted.collisions);
            tell_losses(&armed);
        }
        Ok(Self { armed, runtime, signals, spaces, frame })
    }
}

/// Says which backend runs, and what it cannot see: no silent downgrade.
fn tell_backend(armed: &Armed, counts_collisions: bool) {
    for (backend, refusal) in armed.refused() {
        log::info!("{backend}: {refusal}");
    }
    let better: Vec<&str> = armed.refused().iter().map(|(backend, _)| backend.name()).collect();
    // Nobody misses what was not asked for.
    let is_missed = |field: &&str| counts_collisions || !KINDS.contains(field);
    let unseen: Vec<&str> = armed.unavailable().iter().copied().filter(is_missed).collect();
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
        if let Some(why) = armed.no_candidates() {
            line = format!("{line} ({why})");
        }
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

/// Says so when events are neither read nor lost.
pub(super) fn tell_astray(astray: u64) {
    if astray != 0 {
        complain(&format!(
            "the accounts do not close: {astray} events that the kernel half passed were neither read nor lost; \
             please report this"
        ));
    }
}

/// The accounts on one line.
pub(super) fn account_line(accounts: &Accounts) -> String {
    closing::identity(&accounts.accounting())
}

/// The end of a command that gathered these: the accounts, and what that cost.
pub(super) fn closing_lines(accounts: &Accounts) -> String {
    let looked = closing::looked(accounts.inner_calls, accounts.inner_missed);
    let more = [looked, closing::cost_line(&accounts.cost(), accounts.seen)];
    [Some(account_line(accounts))].into_iter().chain(more).flatten().collect::<Vec<_>>().join("\n")
}
