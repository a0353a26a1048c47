//! Sockets that connect more than once: each time without a port is a choice, each time with one is none.

use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};
use rustix::io::Errno;

use crate::cli::Retried;
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::sites;
use crate::stage::Stage;
use crate::transport::Transport;

/// The widest range that this will fill: each port is an open file.
const WIDEST: usize = 512;

/// Plays the scenes.
pub(crate) fn run(stage: &Stage, plan: &Retried) -> Result<()> {
    if plan.until_full {
        return room_again(stage);
    }
    for ground in sites::present(stage, Ground::ALL.to_vec())? {
        let (listener, port) = stage.listener(ground)?;
        let to = ground.at(port.port());
        refused_first(stage, ground, &listener, to)?;
        named_first(stage, ground, &listener, to)?;
        given_back(stage, ground, &listener, to)?;
        connected_twice(stage, ground, &listener, to)?;
        datagrams(stage, ground)?;
    }
    Ok(())
}

/// A refusal takes the port that the kernel chose: the next connect is given another.
fn refused_first(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let tcp = Transport::Tcp;
    let mut plain = Endpoint::open(stage, "refused twice, then connected", ground, tcp, &[])?;
    let mut bound = Endpoint::open(stage, "bind(0), refused, then connected", ground, tcp, &[])?;
    bound.bind(ground.at(0))?;
    let late = [SocketOption::BindAddressNoPort];
    let mut late =
        Endpoint::open(stage, "bound without a port, refused, then connected", ground, tcp, &late)?;
    late.bind(ground.at(0))?;
    for socket in [&mut plain, &mut bound, &mut late] {
        socket.connect(ground.at(1))?;
        socket.connect(ground.at(1))?;
        socket.connect(to)?;
        drop(listener.accept()?);
    }
    Ok(())
}

/// A port that the caller named outlives the refusal.
fn named_first(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    for _ in 0..64 {
        let name = "bind to a named port, refused, then connected";
        let mut named = Endpoint::open(stage, name, ground, Transport::Tcp, &[])?;
        match named.bind(ground.at(stage.spare_port())) {
            Ok(()) => {
                named.connect(ground.at(1))?;
                named.connect(to)?;
                drop(listener.accept()?);
                return Ok(());
            }
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("64 ports outside the range are all taken")
}

/// `AF_UNSPEC` gives back what bind(0) and connect were given.
fn given_back(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let name = "bind(0), connect, AF_UNSPEC, connect";
    let mut bound = Endpoint::open(stage, name, ground, Transport::Tcp, &[])?;
    bound.bind(ground.at(0))?;
    for _ in 0..2 {
        bound.connect(to)?;
        drop(listener.accept()?);
        bound.disconnect()?;
    }
    Ok(())
}

/// A connected socket is told so, and nothing is chosen.
fn connected_twice(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let name = "connect while connected";
    let mut socket = Endpoint::open(stage, name, ground, Transport::Tcp, &[])?;
    socket.connect(to)?;
    let again = socket.connect(to);
    ensure!(again == Err(Errno::ISCONN), "the second connect answered {again:?}");
    drop(listener.accept()?);
    Ok(())
}

/// A datagram socket keeps its port from peer to peer, and loses it by `AF_UNSPEC`.
fn datagrams(stage: &Stage, ground: Ground) -> Result<()> {
    let open = |name| Endpoint::open(stage, name, ground, Transport::Udp, &[]);
    let mut twice = open("connect to one peer, then to another: one choice")?;
    twice.connect(ground.at(9))?;
    twice.connect(ground.at(10))?;
    let mut again = open("bind(0), AF_UNSPEC, connect: two choices")?;
    again.bind(ground.at(0))?;
    again.disconnect()?;
    again.connect(ground.at(9))?;
    Ok(())
}

/// The range is full, the connect fails; a port comes free, and the same socket is given it.
fn room_again(stage: &Stage) -> Result<()> {
    let ground = Ground::V4;
    let (listener, to) = stage.listener(ground)?;
    let mut held = Vec::new();
    let mut failed = loop {
        ensure!(held.len() <= WIDEST, "more than {WIDEST} ports: give --netns own --port-range LO-HI");
        let name = "connect until full, then again";
        let mut endpoint = Endpoint::open(stage, name, ground, Transport::Tcp, &[])?;
        match endpoint.connect(to) {
            Ok(()) => held.push((endpoint, listener.accept()?)),
            Err(Errno::ADDRNOTAVAIL) => break endpoint,
            Err(error) => return Err(error.into()),
        }
    };
    let again = failed.connect(to);
    ensure!(again == Err(Errno::ADDRNOTAVAIL), "the range was full, and then: {again:?}");
    drop(held.pop());
    failed.connect(to)?;
    drop(listener.accept()?);
    Ok(())
}
