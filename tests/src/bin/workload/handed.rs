//! Sockets that change hands: one process opens and binds, another, which inherited the descriptor, connects.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cli::Heir;
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::sites;
use crate::stage::Stage;
use crate::transport::Transport;

/// The first process.
pub(crate) fn run(stage: &Stage) -> Result<()> {
    for ground in sites::present(stage, vec![Ground::V4, Ground::V6])? {
        let (listener, port) = stage.listener(ground)?;
        let to = ground.at(port.port());
        let mut bound =
            Endpoint::open(stage, "bind(0), connected by another process", ground, Transport::Tcp, &[])?;
        bound.bind(ground.at(0))?;
        hand_over(stage, bound.into_fd(), to, false)?;
        drop(listener.accept()?);
        let options = [SocketOption::BindAddressNoPort];
        let mut late = Endpoint::open(stage, "bind without a port", ground, Transport::Tcp, &options)?;
        late.bind(ground.at(0))?;
        hand_over(stage, late.into_fd(), to, true)?;
        drop(listener.accept()?);
    }
    Ok(())
}

/// Starts the other process with the socket as its standard input, and passes on what it tells.
fn hand_over(stage: &Stage, fd: OwnedFd, to: SocketAddr, is_late: bool) -> Result<()> {
    let mut heir = Command::new(std::env::current_exe()?);
    heir.args(["heir", "--to", &to.to_string()]).args(is_late.then_some("--late"));
    let ended = heir.stdin(Stdio::from(fd)).stderr(Stdio::inherit()).output().context("the heir")?;
    ensure!(ended.status.success(), "the heir ended with {}", ended.status);
    for line in String::from_utf8(ended.stdout)?.lines() {
        stage.line(&serde_json::from_str(line).with_context(|| format!("the heir said {line:?}"))?)?;
    }
    Ok(())
}

/// The other process.
pub(crate) fn connect(stage: &Stage, plan: &Heir) -> Result<()> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned()?;
    let ground = if plan.to.is_ipv4() { Ground::V4 } else { Ground::V6 };
    let options = if plan.late { &[SocketOption::BindAddressNoPort][..] } else { &[] };
    Ok(Endpoint::inherited(stage, "connect of an inherited socket", ground, fd, options)?.connect(plan.to)?)
}
