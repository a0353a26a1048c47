//! Scenes on datagram sockets: bind(0), and every call that binds on its own.

use anyhow::Result;
use rustix::io::Errno;

use crate::endpoint::{Endpoint, Sending};
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::stage::Stage;
use crate::transport::Transport;

/// Everything that UDP and UDP-Lite can do.
pub(super) fn all(stage: &Stage, ground: Ground, transport: Transport) -> Result<()> {
    let open = |name, options: &[_]| Endpoint::open(stage, name, ground, transport, options);
    let mut sink = Endpoint::open(stage, "bind(0) of the receiver", ground.unmapped(), transport, &[])?;
    sink.bind(ground.unmapped().at(0))?;
    let to = ground.at(sink.port());

    if ground != Ground::Mapped {
        open("bind(0) to the wildcard", &[])?.bind(ground.anywhere())?;
    }
    open("bind(0) with SO_REUSEADDR", &[SocketOption::ReuseAddr])?.bind(ground.at(0))?;
    open("bind(0) with SO_REUSEPORT", &[SocketOption::ReusePort])?.bind(ground.at(0))?;
    let mut bound = open("bind(0), then connect: one choice", &[])?;
    bound.bind(ground.at(0))?;
    bound.connect(to)?;

    open("connect", &[])?.connect(to)?;
    open("sendto", &[])?.send(Sending::SendTo, to)?;
    open("sendmsg", &[])?.send(Sending::SendMsg, to)?;
    open("send without an address", &[])?.send(Sending::Unaddressed, to)?;
    let mut late = open("bind without a port, then connect", &[SocketOption::BindAddressNoPort])?;
    late.bind(ground.at(0))?;
    late.connect(to)?;
    let mut again = open("connect, AF_UNSPEC, connect", &[])?;
    again.connect(to)?;
    again.disconnect()?;
    again.connect(to)?;
    let mut twice = open("sendto twice: one choice", &[])?;
    twice.send(Sending::SendTo, to)?;
    twice.send(Sending::SendTo, to)?;
    own_range(stage, ground, transport)
}

/// Ping sockets choose an ICMP identifier, out of another range.
pub(super) fn ping(stage: &Stage, ground: Ground) -> Result<()> {
    if ground == Ground::Mapped {
        return Ok(());
    }
    let open = |name| Endpoint::open(stage, name, ground, Transport::Icmp, &[]);
    open("bind(0)")?.bind(ground.at(0))?;
    open("connect")?.connect(ground.at(0))?;
    open("sendto")?.send(Sending::SendTo, ground.at(0))?;
    Ok(())
}

fn own_range(stage: &Stage, ground: Ground, transport: Transport) -> Result<()> {
    let options = [SocketOption::quarter(stage.range)];
    let name = "bind(0) with IP_LOCAL_PORT_RANGE";
    match Endpoint::open(stage, name, ground, transport, &options) {
        Ok(mut socket) => Ok(socket.bind(ground.at(0))?),
        Err(errno @ Errno::NOPROTOOPT) => stage.absent("local_port_range", errno),
        Err(error) => Err(error.into()),
    }
}
