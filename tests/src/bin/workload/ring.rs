//! Connects, binds and listens by io_uring: no system call of its own leads to the choice.
//!
//! It is made by the thread that enters the ring, or by one that the kernel made for it and named so.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use a10::AsyncFd;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use io_uring::{cqueue, opcode, squeue, types};
use nix::sys::socket::{SockaddrLike as _, SockaddrStorage};
use rustix::io::Errno;
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

use crate::cli::Ring;
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::sites;
use crate::stage::Stage;
use crate::telling::Thread;
use crate::transport::Transport;

/// The widest range that this will fill: each port is an open file.
const WIDEST: usize = 512;

/// How long the thread that polls waits for more before it sleeps.
const IDLE_MS: u32 = 1000;

/// Whose thread does an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The one that enters the ring.
    Caller,
    /// A worker (`IOSQE_ASYNC`).
    Worker,
    /// The one that looks for submissions (`IORING_SETUP_SQPOLL`).
    Poller,
}

/// What the ring answered, and who worked for it.
pub(crate) type Answered = (Result<(), Errno>, Option<Thread>);

/// Plays the scenes, where the kernel permits a ring.
pub(crate) fn run(stage: &Stage, plan: &Ring) -> Result<()> {
    if let Err(error) = tokio_uring::Runtime::new(&tokio_uring::builder()) {
        return stage.absent("io_uring", errno_of(&error));
    }
    if plan.binds {
        return binds(stage, plan);
    }
    if plan.until_full {
        return until_full(stage, plan);
    }
    for ground in sites::present(stage, Ground::ALL.to_vec())? {
        once(stage, ground, plan)?;
    }
    Ok(())
}

/// One connect, and for TCP one that is refused and one from a port that was chosen before.
fn once(stage: &Stage, ground: Ground, plan: &Ring) -> Result<()> {
    let (transport, by) = (plan.protocol, plan.by);
    let open = |name| Endpoint::open(stage, name, ground, transport, &[]);
    if !transport.is_stream() {
        let mut sink = Endpoint::open(stage, "bind(0) of the receiver", ground.unmapped(), transport, &[])?;
        sink.bind(ground.unmapped().at(0))?;
        return Ok(open("connect by io_uring")?.connect_by_ring(ground.at(sink.port()), by)?);
    }
    let (listener, port) = stage.listener(ground)?;
    let to = ground.at(port.port());
    open("connect by io_uring")?.connect_by_ring(to, by)?;
    drop(listener.accept()?);
    open("connect by io_uring that is refused")?.connect_by_ring(ground.at(1), by)?;
    let mut bound = open("bind(0), then connect by io_uring: one choice")?;
    bound.bind(ground.at(0))?;
    bound.connect_by_ring(to, by)?;
    drop(listener.accept()?);
    Ok(())
}

fn until_full(stage: &Stage, plan: &Ring) -> Result<()> {
    let (listener, to) = stage.listener(Ground::V4)?;
    let mut held = Vec::new();
    loop {
        ensure!(held.len() <= WIDEST, "more than {WIDEST} ports: give --netns own --port-range LO-HI");
        let mut endpoint =
            Endpoint::open(stage, "connect by io_uring until full", Ground::V4, plan.protocol, &[])?;
        match endpoint.connect_by_ring(to, plan.by) {
            Ok(()) => held.push((endpoint, listener.accept()?)),
            Err(Errno::ADDRNOTAVAIL) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// bind(0) and listen in all their forms, where the ring has operations for them (Linux 6.11).
fn binds(stage: &Stage, plan: &Ring) -> Result<()> {
    let by = plan.by;
    let mut first = Endpoint::open(stage, "bind(0) by io_uring", Ground::V4, Transport::Udp, &[])?;
    match first.bind_by_ring(Ground::V4.anywhere(), by) {
        // Of the ring that asks, or of the operation: either is older.
        Err(errno @ Errno::INVAL) => return stage.absent("io_uring_bind", errno),
        other => other?,
    }
    if plan.until_full {
        return binds_until_full(stage, by);
    }
    for ground in sites::present(stage, Ground::ALL.to_vec())? {
        for transport in [Transport::Tcp, Transport::Udp] {
            let mut bound = Endpoint::open(stage, "bind(0) by io_uring", ground, transport, &[])?;
            bound.bind_by_ring(ground.at(0), by)?;
        }
        let open = |name| Endpoint::open(stage, name, ground, Transport::Tcp, &[]);
        open("listen by io_uring without a port")?.listen_by_ring(by)?;
        let mut both = open("bind(0), then listen by io_uring: one choice")?;
        both.bind_by_ring(ground.at(0), by)?;
        both.listen_by_ring(by)?;
        let mut late = open("bind(0) by io_uring, then connect: one choice")?;
        late.bind_by_ring(ground.at(0), by)?;
        let (listener, port) = stage.listener(ground)?;
        late.connect(ground.at(port.port()))?;
        drop(listener.accept()?);
    }
    Ok(())
}

/// The range is taken by binds; then neither a bind nor a listen is given a port.
fn binds_until_full(stage: &Stage, by: By) -> Result<()> {
    let open = |name| Endpoint::open(stage, name, Ground::V4, Transport::Tcp, &[]);
    let mut held = Vec::new();
    loop {
        ensure!(held.len() <= WIDEST, "more than {WIDEST} ports: give --netns own --port-range LO-HI");
        let mut endpoint = open("bind(0) by io_uring until full")?;
        match endpoint.bind_by_ring(Ground::V4.at(0), by) {
            Ok(()) => held.push(endpoint),
            Err(Errno::ADDRINUSE) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let refused = open("listen by io_uring in a full range")?.listen_by_ring(by);
    ensure!(refused == Err(Errno::ADDRINUSE), "the range was full, and then: {refused:?}");
    Ok(())
}

/// The connect of a socket of any kind: the ring takes its descriptor, and the wrapper looks no further.
pub(crate) fn connect(fd: &OwnedFd, to: SocketAddr, by: By) -> Result<Answered, Errno> {
    if by != By::Caller {
        return watched(by, || connect_by(fd, to, by));
    }
    let wrapped = fd.try_clone().map(UdpSocket::from).map_err(|error| errno_of(&error))?;
    let runtime = tokio_uring::Runtime::new(&tokio_uring::builder()).map_err(|error| errno_of(&error))?;
    let answer = runtime.block_on(async { tokio_uring::net::UdpSocket::from_std(wrapped).connect(to).await });
    Ok((answer.map_err(|error| errno_of(&error)), None))
}

/// The connect of a ring whose caller does not do it; the ring is kept, and with it its threads.
fn connect_by(
    fd: &OwnedFd,
    to: SocketAddr,
    by: By,
) -> Result<(Result<(), Errno>, tokio_uring::Runtime), Errno> {
    let mut ring = tokio_uring::uring_builder();
    let mut flags = squeue::Flags::empty();
    match by {
        By::Caller => {}
        By::Worker => flags = squeue::Flags::ASYNC,
        By::Poller => {
            ring.setup_sqpoll(IDLE_MS);
        }
    }
    let mut builder = tokio_uring::builder();
    let runtime =
        tokio_uring::Runtime::new(builder.uring_builder(&ring)).map_err(|error| errno_of(&error))?;
    // Kept by the operation for as long as the kernel may read it.
    let addr = Box::new(SockaddrStorage::from(to));
    let entry = opcode::Connect::new(types::Fd(fd.as_raw_fd()), addr.as_ptr(), addr.len());
    let entry = entry.build().flags(flags);
    let answer = runtime.block_on(async { UnsubmittedOneshot::new(addr, AsErrno, entry).submit().await });
    Ok((answer, runtime))
}

/// The result of an operation that has none but its errno.
struct AsErrno;

impl OneshotOutputTransform for AsErrno {
    type Output = Result<(), Errno>;
    type StoredData = Box<SockaddrStorage>;

    fn transform_oneshot_output(self, _addr: Self::StoredData, entry: cqueue::Entry) -> Self::Output {
        if entry.result() < 0 { Err(Errno::from_raw_os_error(-entry.result())) } else { Ok(()) }
    }
}

/// Does an operation in a thread that had no ring before, and finds the one that the kernel made to work for it.
fn watched<T>(
    by: By,
    operation: impl FnOnce() -> Result<(Result<(), Errno>, T), Errno> + Send,
) -> Result<Answered, Errno> {
    let watch = || {
        let before = helpers(by)?;
        let (answer, _ring) = operation()?;
        let mut made = helpers(by)?.into_iter().filter(|(tid, _)| !before.contains_key(tid));
        match (made.next(), made.next()) {
            (Some((tid, name)), None) => Ok((answer, Some(Thread { tid, name }))),
            _ => Err(Errno::SRCH),
        }
    };
    thread::scope(|scope| scope.spawn(watch).join()).unwrap_or(Err(Errno::CANCELED))
}

/// The threads of this process that the kernel made to do the like, and their names.
fn helpers(by: By) -> Result<BTreeMap<u32, String>, Errno> {
    let prefix = match by {
        By::Caller => return Ok(BTreeMap::new()),
        By::Worker => "iou-wrk-",
        By::Poller => "iou-sqp-",
    };
    let mut found = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").map_err(|error| errno_of(&error))? {
        let task = task.map_err(|error| errno_of(&error))?;
        // One that is gone by now is none that has just worked.
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else { continue };
        if let Some(tid) = task.file_name().to_str().and_then(|tid| tid.parse().ok())
            && name.starts_with(prefix)
        {
            found.insert(tid, name.trim_end().to_owned());
        }
    }
    Ok(found)
}

/// The bind of a socket.
pub(crate) fn bind(fd: &OwnedFd, to: SocketAddr, by: By) -> Result<Answered, Errno> {
    by_ring(fd, by, async |wrapped| wrapped.bind(to).await)
}

/// The listen of a socket.
pub(crate) fn listen(fd: &OwnedFd, backlog: u32, by: By) -> Result<Answered, Errno> {
    by_ring(fd, by, async |wrapped| wrapped.listen(backlog).await)
}

/// An operation that tokio-uring does not have. Its crate does not do it on a worker.
fn by_ring(
    fd: &OwnedFd,
    by: By,
    operation: impl AsyncFnOnce(&AsyncFd) -> io::Result<()> + Send,
) -> Result<Answered, Errno> {
    let call = || {
        let config = a10::Ring::config();
        let config = if by == By::Poller { config.with_kernel_thread() } else { config };
        let mut ring = config.build().map_err(|error| errno_of(&error))?;
        let fd = fd.try_clone().map_err(|error| errno_of(&error))?;
        let wrapped = AsyncFd::new(fd, ring.sq());
        let answer = complete(&mut ring, operation(&wrapped));
        Ok((answer, (wrapped, ring)))
    };
    match by {
        By::Caller => call().map(|(answer, _ring)| (answer, None)),
        By::Worker => Err(Errno::OPNOTSUPP),
        By::Poller => watched(by, call),
    }
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
