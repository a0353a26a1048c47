//! Connects, binds and listens by io_uring: no system call of its own leads to the choice.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use a10::AsyncFd;
use anyhow::{Result, ensure};
use rustix::io::Errno;

use crate::cli::Ring;
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::sites;
use crate::stage::Stage;
use crate::transport::Transport;

/// The widest range that this will fill: each port is an open file.
const WIDEST: usize = 512;

/// Plays the scenes, where the kernel permits a ring.
pub(crate) fn run(stage: &Stage, plan: &Ring) -> Result<()> {
    if let Err(error) = tokio_uring::Runtime::new(&tokio_uring::builder()) {
        return stage.absent("io_uring", errno_of(&error));
    }
    if plan.binds {
        return binds(stage, plan.until_full);
    }
    if plan.until_full {
        return until_full(stage, plan.protocol);
    }
    for ground in sites::present(stage, Ground::ALL.to_vec())? {
        once(stage, ground, plan.protocol)?;
    }
    Ok(())
}

/// One connect, and for TCP one that is refused and one from a port that was chosen before.
fn once(stage: &Stage, ground: Ground, transport: Transport) -> Result<()> {
    let open = |name| Endpoint::open(stage, name, ground, transport, &[]);
    if !transport.is_stream() {
        let mut sink = Endpoint::open(stage, "bind(0) of the receiver", ground.unmapped(), transport, &[])?;
        sink.bind(ground.unmapped().at(0))?;
        return Ok(open("connect by io_uring")?.connect_by_ring(ground.at(sink.port()))?);
    }
    let (listener, port) = stage.listener(ground)?;
    let to = ground.at(port.port());
    open("connect by io_uring")?.connect_by_ring(to)?;
    drop(listener.accept()?);
    open("connect by io_uring that is refused")?.connect_by_ring(ground.at(1))?;
    let mut bound = open("bind(0), then connect by io_uring: one choice")?;
    bound.bind(ground.at(0))?;
    bound.connect_by_ring(to)?;
    drop(listener.accept()?);
    Ok(())
}

fn until_full(stage: &Stage, transport: Transport) -> Result<()> {
    let (listener, to) = stage.listener(Ground::V4)?;
    let mut held = Vec::new();
    loop {
        ensure!(held.len() <= WIDEST, "more than {WIDEST} ports: give --netns own --port-range LO-HI");
        let mut endpoint =
            Endpoint::open(stage, "connect by io_uring until full", Ground::V4, transport, &[])?;
        match endpoint.connect_by_ring(to) {
            Ok(()) => held.push((endpoint, listener.accept()?)),
            Err(Errno::ADDRNOTAVAIL) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// bind(0) and listen in all their forms, where the ring has operations for them (Linux 6.11).
fn binds(stage: &Stage, until_full: bool) -> Result<()> {
    let mut first = Endpoint::open(stage, "bind(0) by io_uring", Ground::V4, Transport::Udp, &[])?;
    match first.bind_by_ring(Ground::V4.anywhere()) {
        // Of the ring that asks, or of the operation: either is older.
        Err(errno @ Errno::INVAL) => return stage.absent("io_uring_bind", errno),
        other => other?,
    }
    if until_full {
        return binds_until_full(stage);
    }
    for ground in sites::present(stage, Ground::ALL.to_vec())? {
        for transport in [Transport::Tcp, Transport::Udp] {
            let mut bound = Endpoint::open(stage, "bind(0) by io_uring", ground, transport, &[])?;
            bound.bind_by_ring(ground.at(0))?;
        }
        let open = |name| Endpoint::open(stage, name, ground, Transport::Tcp, &[]);
        open("listen by io_uring without a port")?.listen_by_ring()?;
        let mut both = open("bind(0), then listen by io_uring: one choice")?;
        both.bind_by_ring(ground.at(0))?;
        both.listen_by_ring()?;
        let mut late = open("bind(0) by io_uring, then connect: one choice")?;
        late.bind_by_ring(ground.at(0))?;
        let (listener, port) = stage.listener(ground)?;
        late.connect(ground.at(port.port()))?;
        drop(listener.accept()?);
    }
    Ok(())
}

/// The range is taken by binds; then neither a bind nor a listen is given a port.
fn binds_until_full(stage: &Stage) -> Result<()> {
    let open = |name| Endpoint::open(stage, name, Ground::V4, Transport::Tcp, &[]);
    let mut held = Vec::new();
    loop {
        ensure!(held.len() <= WIDEST, "more than {WIDEST} ports: give --netns own --port-range LO-HI");
        let mut endpoint = open("bind(0) by io_uring until full")?;
        match endpoint.bind_by_ring(Ground::V4.at(0)) {
            Ok(()) => held.push(endpoint),
            Err(Errno::ADDRINUSE) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let refused = open("listen by io_uring in a full range")?.listen_by_ring();
    ensure!(refused == Err(Errno::ADDRINUSE), "the range was full, and then: {refused:?}");
    Ok(())
}

/// The connect of a socket of any kind: the ring takes its descriptor, and the wrapper looks no further.
pub(crate) fn connect(fd: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    let wrapped = fd.try_clone().map(UdpSocket::from).map_err(|error| errno_of(&error))?;
    let runtime = tokio_uring::Runtime::new(&tokio_uring::builder()).map_err(|error| errno_of(&error))?;
    let answer = runtime.block_on(async { tokio_uring::net::UdpSocket::from_std(wrapped).connect(to).await });
    answer.map_err(|error| errno_of(&error))
}

/// The bind of a socket.
pub(crate) fn bind(fd: &OwnedFd, to: SocketAddr) -> Result<(), Errno> {
    let (mut ring, wrapped) = wrapped(fd)?;
    complete(&mut ring, async { wrapped.bind(to).await })
}

/// The listen of a socket.
pub(crate) fn listen(fd: &OwnedFd, backlog: u32) -> Result<(), Errno> {
    let (mut ring, wrapped) = wrapped(fd)?;
    complete(&mut ring, async { wrapped.listen(backlog).await })
}

fn wrapped(fd: &OwnedFd) -> Result<(a10::Ring, AsyncFd), Errno> {
    let ring = a10::Ring::new().map_err(|error| errno_of(&error))?;
    let fd = fd.try_clone().map_err(|error| errno_of(&error))?;
    let wrapped = AsyncFd::new(fd, ring.sq());
    Ok((ring, wrapped))
}

/// Polls until the operation is over.
fn complete(ring: &mut a10::Ring, operation: impl Future<Output = io::Result<()>>) -> Result<(), Errno> {
    let mut operation = pin!(operation);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = operation.as_mut().poll(&mut context) {
            return answer.map_err(|error| errno_of(&error));
        }
        ring.poll(None).map_err(|error| errno_of(&error))?;
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
