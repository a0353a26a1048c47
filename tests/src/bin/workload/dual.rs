//! Sockets of both families: IPv6 sockets that hold a port of IPv4 too, and those that leave it to others.

use anyhow::{Result, ensure};
use rustix::io::Errno;

use crate::endpoint::{Endpoint, Sending};
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::sites;
use crate::stage::Stage;
use crate::transport::Transport;

/// Plays the scenes, where the kernel has both families.
pub(crate) fn run(stage: &Stage) -> Result<()> {
    if !sites::present(stage, Ground::ALL.to_vec())?.contains(&Ground::V6) {
        return Ok(());
    }
    for ground in [Ground::V6, Ground::Mapped] {
        bound_to_both(stage, ground)?;
    }
    listening_to_both(stage)?;
    listening_to_one(stage)?;
    datagrams_to_both(stage)
}

/// The wildcard of IPv6 is bound, and either family connected.
fn bound_to_both(stage: &Stage, ground: Ground) -> Result<()> {
    let (listener, port) = stage.listener(ground)?;
    let name = "bind(0) to both families, then connect: one choice";
    let mut bound = Endpoint::open(stage, name, ground, Transport::Tcp, &[])?;
    bound.bind(ground.anywhere())?;
    bound.connect(ground.at(port.port()))?;
    drop(listener.accept()?);
    Ok(())
}

/// One listener for both: its port is taken in IPv4.
fn listening_to_both(stage: &Stage) -> Result<()> {
    let tcp = Transport::Tcp;
    let mut listener = Endpoint::open(stage, "listen without a port to both families", Ground::V6, tcp, &[])?;
    listener.listen()?;
    for ground in [Ground::V4, Ground::V6] {
        let mut client = Endpoint::open(stage, "connect to a listener of both families", ground, tcp, &[])?;
        client.connect(ground.at(listener.port()))?;
        drop(listener.accept()?);
    }
    let name = "bind on IPv4 to the port of a listener of both families";
    let refused = Endpoint::open(stage, name, Ground::V4, tcp, &[])?.bind(Ground::V4.at(listener.port()));
    ensure!(refused == Err(Errno::ADDRINUSE), "the port of both families was had: {refused:?}");
    Ok(())
}

/// `IPV6_V6ONLY`: the same port is another one in IPv4.
fn listening_to_one(stage: &Stage) -> Result<()> {
    let (tcp, alone) = (Transport::Tcp, [SocketOption::V6Only]);
    let mut listener = Endpoint::open(stage, "bind(0) to IPv6 alone", Ground::V6, tcp, &alone)?;
    listener.bind(Ground::V6.anywhere())?;
    listener.listen()?;
    let port = listener.port();
    Endpoint::open(stage, "connect to a listener of IPv6 alone", Ground::V4, tcp, &[])?
        .connect(Ground::V4.at(port))?;
    Endpoint::open(stage, "bind on IPv4 to the port of a listener of IPv6 alone", Ground::V4, tcp, &[])?
        .bind(Ground::V4.at(port))?;
    Ok(())
}

/// One socket, a datagram to each family.
fn datagrams_to_both(stage: &Stage) -> Result<()> {
    let udp = Transport::Udp;
    for (first, second) in [(Ground::Mapped, Ground::V6), (Ground::V6, Ground::Mapped)] {
        let name = "sendto to one family, then to the other: one choice";
        let mut socket = Endpoint::open(stage, name, first, udp, &[])?;
        socket.send(Sending::SendTo, first.at(9))?;
        socket.send(Sending::SendTo, second.at(9))?;
    }
    let mut bound = Endpoint::open(stage, "bind(0) to both families", Ground::Mapped, udp, &[])?;
    bound.bind(Ground::V6.anywhere())?;
    bound.send(Sending::SendTo, Ground::Mapped.at(9))?;
    bound.send(Sending::SendTo, Ground::V6.at(9))?;
    Ok(())
}
