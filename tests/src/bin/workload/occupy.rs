//! Connects beside ports whose holders are known: what the searches met can be told from outside.

use anyhow::{Context as _, Result};
use rustix::io::Errno;

use crate::cli::Occupy;
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::stage::Stage;
use crate::transport::Transport;

/// The most connects that are held open.
const MOST: u32 = 900;

/// Blocks the ports, connects one after the other, then holds connections until they fail.
pub(crate) fn run(stage: &Stage, plan: &Occupy) -> Result<()> {
    let ground = Ground::V4;
    let (listener, to) = stage.listener(ground)?;
    let mut blockers = Vec::new();
    for &port in &plan.block {
        let mut blocker = Endpoint::open(stage, "blocker", ground, Transport::Tcp, &[])?;
        blocker.bind(ground.at(port)).with_context(|| format!("blocking port {port}"))?;
        blockers.push(blocker);
    }
    for _ in 0..plan.count {
        let mut endpoint =
            Endpoint::open(stage, "connect beside blocked ports", ground, Transport::Tcp, &[])?;
        endpoint.connect(to)?;
        drop(listener.accept()?);
    }
    let mut held = Vec::new();
    let mut failures = 0;
    for _ in 0..MOST {
        if failures == plan.failures {
            break;
        }
        let mut endpoint = Endpoint::open(stage, "connect until full", ground, Transport::Tcp, &[])?;
        match endpoint.connect(to) {
            Ok(()) => held.push((endpoint, listener.accept()?)),
            Err(Errno::ADDRNOTAVAIL) => failures += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
