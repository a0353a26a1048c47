//! Sockets that change hands: one process or thread opens and binds, another connects.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::cli::{Heir, Testator};
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::sites;
use crate::stage::Stage;
use crate::transport::Transport;

/// The name of a process before it becomes another program.
const BEFORE: &str = "before-exec";
/// The name of a thread that connects what another bound.
const HEIR: &str = "workload-heir";

/// The first process.
pub(crate) fn run(stage: &Stage) -> Result<()> {
    for ground in sites::present(stage, vec![Ground::V4, Ground::V6])? {
        let (listener, port) = stage.listener(ground)?;
        let to = ground.at(port.port());
        let open = |name, options: &[_]| Endpoint::open(stage, name, ground, Transport::Tcp, options);
        let mut bound = open("bind(0), connected by another process", &[])?;
        bound.bind(ground.at(0))?;
        inherit(stage, bound.into_fd(), to, &[])?;
        drop(listener.accept()?);
        let mut late = open("bind without a port", &[SocketOption::BindAddressNoPort])?;
        late.bind(ground.at(0))?;
        inherit(stage, late.into_fd(), to, &["--late"])?;
        drop(listener.accept()?);
        // The process that binds becomes the one that connects.
        tell(stage, again("testator", to)?.args(["--comm", BEFORE]))?;
        drop(listener.accept()?);
        among_threads(stage, ground, &listener, to)?;
    }
    Ok(())
}

/// Sockets that are sent by message to another process, which connects them.
pub(crate) fn send(stage: &Stage) -> Result<()> {
    for ground in sites::present(stage, vec![Ground::V4, Ground::V6])? {
        let (listener, port) = stage.listener(ground)?;
        let to = ground.at(port.port());
        let open = |name, transport| Endpoint::open(stage, name, ground, transport, &[]);
        let mut bound = open("bind(0), connected by the receiver of a message", Transport::Tcp)?;
        bound.bind(ground.at(0))?;
        send_over(stage, bound, to)?;
        drop(listener.accept()?);
        send_over(stage, open("sent without a port", Transport::Tcp)?, to)?;
        drop(listener.accept()?);
        send_over(stage, open("sent without a port", Transport::Udp)?, to)?;
    }
    Ok(())
}

/// This program once more, in another role.
fn again(role: &str, to: SocketAddr) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([role, "--to", &to.to_string()]);
    Ok(command)
}

/// Runs the other process, and passes on what it tells.
fn tell(stage: &Stage, command: &mut Command) -> Result<()> {
    let ended = command.stderr(Stdio::inherit()).output().context("the other process")?;
    ensure!(ended.status.success(), "the other process ended with {}", ended.status);
    for line in String::from_utf8(ended.stdout)?.lines() {
        stage
            .line(&serde_json::from_str(line).with_context(|| format!("the other process said {line:?}"))?)?;
    }
    Ok(())
}

/// Starts the other process with the socket as its standard input.
fn inherit(stage: &Stage, fd: OwnedFd, to: SocketAddr, more: &[&str]) -> Result<()> {
    tell(stage, again("heir", to)?.args(more).stdin(Stdio::from(fd)))
}

/// Starts the other process, and sends it the socket by a UNIX one, which is its standard input.
fn send_over(stage: &Stage, socket: Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let transport = socket.transport;
    let fd = socket.into_fd();
    let fds = [fd.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    ensure!(control.push(SendAncillaryMessage::ScmRights(&fds)), "no room for a descriptor");
    sendmsg(&ours, &[IoSlice::new(b"x")], &mut control, SendFlags::empty())?;
    drop(fd);
    let mut heir = again("heir", to)?;
    heir.args(["--by-message", "--protocol", transport.word()]);
    tell(stage, heir.stdin(Stdio::from(OwnedFd::from(theirs))))
}

/// One thread binds, another connects.
fn among_threads(stage: &Stage, ground: Ground, listener: &Endpoint<'_>, to: SocketAddr) -> Result<()> {
    let options = [SocketOption::BindAddressNoPort];
    for options in [&[][..], &options] {
        let name = "bind in one thread";
        let mut bound = Endpoint::open(stage, name, ground, Transport::Tcp, options)?;
        bound.bind(ground.at(0))?;
        let fd = (Transport::Tcp, bound.into_fd());
        thread::scope(|scope| {
            let connect = move || -> Result<()> {
                let name = "connect in another thread";
                Ok(Endpoint::inherited(stage, name, ground, fd, options)?.connect(to)?)
            };
            let heir = thread::Builder::new().name(HEIR.to_owned()).spawn_scoped(scope, connect)?;
            heir.join().map_err(|_panic| anyhow::anyhow!("the other thread died"))?
        })?;
        drop(listener.accept()?);
    }
    Ok(())
}

/// The process that binds: it becomes another program before it connects.
pub(crate) fn bind_and_become(stage: &Stage, plan: &Testator) -> Result<()> {
    let ground = ground_of(plan.to);
    let name = "bind(0), connected after exec";
    let mut bound = Endpoint::open(stage, name, ground, Transport::Tcp, &[])?;
    bound.bind(ground.at(0))?;
    stage.flush()?;
    Err(again("heir", plan.to)?.stdin(Stdio::from(bound.into_fd())).exec()).context("exec")
}

/// The other process.
pub(crate) fn connect(stage: &Stage, plan: &Heir) -> Result<()> {
    let fd = if plan.by_message { received()? } else { std::io::stdin().as_fd().try_clone_to_owned()? };
    let options = if plan.late { &[SocketOption::BindAddressNoPort][..] } else { &[] };
    let name = "connect of a socket from another process";
    let mut socket = Endpoint::inherited(stage, name, ground_of(plan.to), (plan.protocol, fd), options)?;
    Ok(socket.connect(plan.to)?)
}

/// The socket that comes by message.
fn received() -> Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0];
    recvmsg(std::io::stdin(), &mut [IoSliceMut::new(&mut data)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    fds.next().and_then(|mut fds| fds.next()).context("a message without a socket")
}

const fn ground_of(to: SocketAddr) -> Ground {
    if to.is_ipv4() { Ground::V4 } else { Ground::V6 }
}
