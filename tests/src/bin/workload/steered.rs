//! Sockets that a program of their cgroup binds when they connect (`bpf_bind`): no call of the application names the
//! address, or the port.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};
use portscope_tests::steering::{ADDRESS, PORT, Steering};
use rustix::io::Errno;

use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::stage::Stage;
use crate::transport::Transport;

/// Plays the scenes, in a namespace where nobody else has the port that the program names.
pub(crate) fn run(stage: &Stage) -> Result<()> {
    let mut listener = open(stage, Transport::Tcp, "listener")?;
    let port = stage.spare_port();
    listener.bind((Ipv4Addr::UNSPECIFIED, port).into())?;
    listener.listen()?;
    // What it accepts inherits SO_LINGER, and would reset the other end.
    listener.end_without_reset()?;
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut plain = open(stage, transport, "connect that no program steers")?;
        plain.connect((Ipv4Addr::LOCALHOST, port).into())?;
        accept(&listener, transport)?;
        let mut from = open(stage, transport, "connect from an address that a program names")?;
        steer(&mut from, ADDRESS, port)?;
        must_be_from(&from, ADDRESS)?;
        accept(&listener, transport)?;
        {
            let mut from = open(stage, transport, "connect from a port that a program names")?;
            steer(&mut from, PORT, port)?;
            must_be_from(&from, PORT)?;
            accept(&listener, transport)?;
        }
        let mut holder = open(stage, transport, "bind to the port on all addresses")?;
        holder.bind((Ipv4Addr::UNSPECIFIED, PORT.source.port()).into())?;
        let mut from = open(stage, transport, "connect from a port that a program names, and another holds")?;
        let refused = steer(&mut from, PORT, port);
        ensure!(refused == Err(Errno::ADDRINUSE), "the port was held, and then: {refused:?}");
    }
    Ok(())
}

fn open<'a>(stage: &'a Stage, transport: Transport, name: &'static str) -> Result<Endpoint<'a>> {
    Ok(Endpoint::open(stage, name, Ground::V4, transport, &[])?)
}

fn steer(socket: &mut Endpoint<'_>, by: Steering, port: u16) -> Result<(), Errno> {
    socket.connect_steered((by.to, port).into(), SocketAddr::V4(by.source))
}

/// The program was there, and did as agreed.
fn must_be_from(socket: &Endpoint<'_>, by: Steering) -> Result<()> {
    let (name, source) = (socket.name_now()?, by.source);
    let is_there = name.ip() == *source.ip() && (source.port() == 0 || name.port() == source.port());
    ensure!(is_there, "the socket is bound to {name}, not to {source}");
    Ok(())
}

fn accept(listener: &Endpoint<'_>, transport: Transport) -> Result<()> {
    if transport.is_stream() {
        drop(listener.accept()?);
    }
    Ok(())
}
