//! What a command may do: what it misses, and what it gives up.

use std::path::Path;

use super::exit::{complain, reason};
use crate::{
    kernel::{Armed, Backend},
    privileges::{self, Needs, Sandbox},
};

/// Says what is lost by rights that are missing, a line each.
pub(super) fn tell_losses(armed: &Armed) {
    let hides_symbols = armed.backend() != Backend::Tracepoint && armed.unavailable().contains(&"candidates");
    for loss in privileges::losses(hides_symbols) {
        complain(&format!("without {}: {}", loss.capability, loss.lost));
    }
}

/// Gives up what is done with. A command must run already, and threads must not.
pub(super) fn shed(armed: &Armed, needs: &Needs<'_>) {
    match privileges::shed(needs, || armed.counts().is_ok()) {
        Ok(shed) => log::info!("rights that are kept: {}", shed.told()),
        Err(error) => complain(&format!("rights that are not needed are kept: {}", reason(&error.into()))),
    }
}

/// Keeps a command that reads recordings or reports from doing anything but writing to these files.
pub(super) fn confine<'a>(outputs: impl IntoIterator<Item = &'a Path>) {
    let outputs: Vec<_> = outputs.into_iter().filter(|path| *path != Path::new("-")).collect();
    match privileges::confine(&outputs) {
        Ok(Sandbox::Full) => log::info!("confined by Landlock"),
        Ok(Sandbox::Partial) => log::info!("confined by Landlock, as far as this kernel has it"),
        Ok(Sandbox::None) => log::info!("not confined: this kernel has no Landlock, or it is off"),
        Err(error) => log::info!("not confined: {error}"),
    }
}
