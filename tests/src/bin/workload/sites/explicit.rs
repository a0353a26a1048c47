//! Scenes where the caller names the port: had, refused, looked at again, and busy towards one peer.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use rustix::io::Errno;

use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::stage::Stage;
use crate::transport::Transport;

/// The explicit scenes of a transport.
pub(super) fn all(stage: &Stage, ground: Ground, transport: Transport) -> Result<()> {
    let (_holder, addr) = named(stage, ground, transport, &[])?;
    let mut refused = Endpoint::open(stage, "bind to a port in use", ground, transport, &[])?;
    expect(refused.bind(addr), Errno::ADDRINUSE)?;
    if transport == Transport::Tcp {
        second_look(stage, ground)?;
        busy_tuple(stage, ground)?;
    }
    Ok(())
}

/// Two sockets share a port until one of them listens: the other's listen is refused.
fn second_look(stage: &Stage, ground: Ground) -> Result<()> {
    let options = [SocketOption::ReuseAddr];
    let (mut first, addr) = named(stage, ground, Transport::Tcp, &options)?;
    let mut second = Endpoint::open(stage, "listen on a shared port", ground, Transport::Tcp, &options)?;
    second.bind(addr)?;
    first.listen()?;
    expect(second.listen(), Errno::ADDRINUSE)
}

/// Two sockets share a port, and both want the same peer.
fn busy_tuple(stage: &Stage, ground: Ground) -> Result<()> {
    let (listener, port) = stage.listener(ground)?;
    let to = ground.at(port.port());
    let options = [SocketOption::ReuseAddr];
    let (mut first, addr) = named(stage, ground, Transport::Tcp, &options)?;
    let mut second = Endpoint::open(
        stage,
        "connect from a port in use to the same peer",
        ground,
        Transport::Tcp,
        &options,
    )?;
    second.bind(addr)?;
    first.connect(to)?;
    let _accepted = listener.accept()?;
    expect(second.connect(to), Errno::ADDRNOTAVAIL)
}

/// A socket on a port of its own, named by the caller.
fn named<'a>(
    stage: &'a Stage,
    ground: Ground,
    transport: Transport,
    options: &[SocketOption],
) -> Result<(Endpoint<'a>, SocketAddr)> {
    for _ in 0..64 {
        let mut endpoint = Endpoint::open(stage, "bind to a named port", ground, transport, options)?;
        let addr = ground.at(stage.spare_port());
        match endpoint.bind(addr) {
            Ok(()) => return Ok((endpoint, addr)),
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("64 ports outside the range are all taken")
}

fn expect(answer: Result<(), Errno>, errno: Errno) -> Result<()> {
    ensure!(answer == Err(errno), "expected {errno:?}, got {answer:?}");
    Ok(())
}
