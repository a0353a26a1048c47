//! Scenes on connections: connect and listen in all their forms, and bind(0) before them.

use std::net::SocketAddr;

use anyhow::Result;
use rustix::io::Errno;

use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::stage::Stage;
use crate::transport::Transport;

/// Everything that TCP can do.
pub(super) fn all(stage: &Stage, ground: Ground) -> Result<()> {
    let tcp = Transport::Tcp;
    plain(stage, ground, tcp)?;
    binds(stage, ground, tcp)?;
    let (listener, port) = stage.listener(ground)?;
    let to = ground.at(port.port());
    late_bind(stage, ground, &listener, to)?;
    reconnect(stage, ground, &listener, to)?;
    fastopen(stage, ground, &listener, to)?;
    own_range(stage, ground, &listener, to)
}

/// What every kind of TCP socket can do: also MPTCP, whose subflow is what the kernel chooses for.
pub(super) fn plain(stage: &Stage, ground: Ground, transport: Transport) -> Result<()> {
    let (listener, port) = stage.listener(ground)?;
    let to = ground.at(port.port());
    let open = |name, options: &[_]| Endpoint::open(stage, name, ground, transport, options);

    let mut blocking = open("connect", &[])?;
    blocking.connect(to)?;
    drop(listener.accept()?);
    let mut hasty = open("connect without blocking", &[])?;
    hasty.connect_without_blocking(to)?;
    drop(listener.accept()?);
    open("connect that is refused", &[])?.connect(ground.at(1))?;

    let mut bound = open("bind(0), then connect: one choice", &[])?;
    bound.bind(ground.at(0))?;
    bound.connect(to)?;
    drop(listener.accept()?);

    open("listen without a port", &[])?.listen()?;
    let mut listening = open("bind(0), then listen: one choice", &[])?;
    listening.bind(ground.at(0))?;
    listening.listen()?;
    Ok(())
}

/// The scenes of SCTP and DCCP, which reset nothing and need no accept.
pub(super) fn one_way(stage: &Stage, ground: Ground, transport: Transport) -> Result<()> {
    let open = |name| Endpoint::open(stage, name, ground, transport, &[]);
    open("bind(0)")?.bind(ground.at(0))?;
    let mut listener = open("listen without a port")?;
    listener.listen()?;
    open("connect")?.connect(ground.at(listener.port()))?;
    Ok(())
}

fn binds(stage: &Stage, ground: Ground, transport: Transport) -> Result<()> {
    let open = |name, options: &[_]| Endpoint::open(stage, name, ground, transport, options);
    if ground != Ground::Mapped {
        open("bind(0) to the wildcard", &[])?.bind(ground.anywhere())?;
    }
    open("bind(0) with SO_REUSEADDR", &[SocketOption::ReuseAddr])?.bind(ground.at(0))?;
    open("bind(0) with SO_REUSEPORT", &[SocketOption::ReusePort])?.bind(ground.at(0))?;
    open("bind(0) with IP_FREEBIND", &[SocketOption::Freebind])?.bind(ground.at(0))?;
    Ok(())
}

/// The address is bound first, the port is chosen at connect. MPTCP of 6.1 does not know the option.
fn late_bind(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let name = "bind without a port, then connect";
    let mut late = Endpoint::open(stage, name, ground, Transport::Tcp, &[SocketOption::BindAddressNoPort])?;
    late.bind(ground.at(0))?;
    late.connect(to)?;
    drop(listener.accept()?);
    Ok(())
}

/// AF_UNSPEC gives the port back; getsockname goes on showing it.
fn reconnect(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let mut socket = Endpoint::open(stage, "connect, AF_UNSPEC, connect", ground, Transport::Tcp, &[])?;
    socket.connect(to)?;
    drop(listener.accept()?);
    socket.disconnect()?;
    socket.connect(to)?;
    drop(listener.accept()?);
    Ok(())
}

fn fastopen(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let tcp = Transport::Tcp;
    let mut within = Endpoint::open(stage, "sendto with MSG_FASTOPEN", ground, tcp, &[])?;
    match within.fastopen_to(to) {
        Ok(()) => drop(listener.accept()?),
        Err(errno @ Errno::OPNOTSUPP) => stage.absent("fastopen", errno)?,
        Err(error) => return Err(error.into()),
    }
    let options = [SocketOption::FastopenConnect];
    let mut deferred = Endpoint::open(stage, "TCP_FASTOPEN_CONNECT, then write", ground, tcp, &options)?;
    match deferred.connect(to) {
        Ok(()) => {
            deferred.write()?;
            drop(listener.accept()?);
        }
        Err(errno @ Errno::OPNOTSUPP) => stage.absent("fastopen", errno)?,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A quarter of the namespace's range, set on the socket.
fn own_range(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let options = [SocketOption::quarter(stage.range)];
    let mut connecting =
        match Endpoint::open(stage, "connect with IP_LOCAL_PORT_RANGE", ground, Transport::Tcp, &options) {
            Ok(socket) => socket,
            Err(errno @ Errno::NOPROTOOPT) => return stage.absent("local_port_range", errno),
            Err(error) => return Err(error.into()),
        };
    connecting.connect(to)?;
    drop(listener.accept()?);
    Endpoint::open(stage, "bind(0) with IP_LOCAL_PORT_RANGE", ground, Transport::Tcp, &options)?
        .bind(ground.at(0))?;
    Endpoint::open(stage, "listen with IP_LOCAL_PORT_RANGE", ground, Transport::Tcp, &options)?.listen()?;
    Ok(())
}
