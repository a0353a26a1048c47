//! A process that takes ports as it is told, order by order, and answers what came of each.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use portscope_tests::scenario::{Done, Ending, Manner, Order, Sharing, Task, Way};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ground::Ground;
use crate::options::reset_on_close;
use crate::stage::Stage;
use crate::telling::errno_name;
use crate::transport::Transport;

/// As many files as any scenario needs.
const FILES: u64 = 65_536;
/// Sockets that wait to be accepted: as many as the kernel lets.
const LONG_QUEUE: i32 = 65_535;

/// A listener, and the thread that serves it.
struct Service {
    listener: OwnedFd,
    thread: Option<JoinHandle<()>>,
    /// A connection of our own that nobody accepts.
    _first: Option<OwnedFd>,
}

#[derive(Default)]
struct Actor {
    held: Vec<OwnedFd>,
    services: Vec<Service>,
}

/// Carries out orders until there are no more.
pub(crate) fn run(stage: &Stage) -> Result<()> {
    more_files()?;
    stage.hello()?;
    let mut actor = Actor::default();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let order = serde_json::from_str(&line).with_context(|| line.clone())?;
        stage.answer(&actor.carry_out(order)?)?;
    }
    Ok(())
}

/// Raises the limit of open files; without the right to raise the hard one, up to that.
fn more_files() -> Result<()> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let wide = Rlimit { current: Some(FILES), maximum: hard.map(|most| most.max(FILES)) };
    let within = Rlimit { current: hard.map_or(Some(FILES), |most| Some(most.min(FILES))), maximum: hard };
    Ok(setrlimit(Resource::Nofile, wide).or_else(|_| setrlimit(Resource::Nofile, within))?)
}

impl Actor {
    fn carry_out(&mut self, order: Order) -> Result<Done> {
        match order {
            Order::Take(task) => return Ok(self.take(&task)),
            Order::Serve { at, manner, reuse_addr } => match listen(at, manner, reuse_addr) {
                Ok(service) => self.services.push(service),
                Err(errno) => {
                    return Ok(Done { failed: [(errno_name(errno), 1)].into(), ..Done::default() });
                }
            },
            Order::Retire => {
                for service in self.services.drain(..) {
                    // Wakes the thread out of its accept.
                    rustix::net::shutdown(&service.listener, Shutdown::Both)?;
                    let ended = service.thread.map_or(Ok(()), JoinHandle::join);
                    ended.map_err(|_panic| anyhow::anyhow!("a service died"))?;
                }
            }
            Order::Close => self.held.clear(),
            Order::AwaitEnd => {
                for socket in &self.held {
                    while rustix::net::recv(socket, &mut [0_u8; 64], RecvFlags::empty())?.0 != 0 {}
                }
            }
            Order::HalfClose => {
                for socket in &self.held {
                    rustix::net::shutdown(socket, Shutdown::Write)?;
                }
            }
            Order::Spray(count) => spray(count)?,
            Order::LeaveFiles(spare) => {
                let open = std::fs::read_dir("/proc/self/fd")?.count() as u64;
                let maximum = getrlimit(Resource::Nofile).maximum;
                setrlimit(Resource::Nofile, Rlimit { current: Some(open + spare), maximum })?;
            }
        }
        Ok(Done::default())
    }

    fn take(&mut self, task: &Task) -> Done {
        let mut done = Done::default();
        let mut failures = 0;
        for _ in 0..task.attempts {
            match once(task) {
                Ok((socket, port)) => {
                    done.ports.push(port);
                    if task.ending == Ending::Keep {
                        self.held.push(socket);
                    }
                }
                Err(errno) => {
                    *done.failed.entry(errno_name(errno)).or_default() += 1;
                    failures += 1;
                    if failures == task.failures {
                        break;
                    }
                }
            }
            if task.every_ms != 0 {
                thread::sleep(Duration::from_millis(task.every_ms));
            }
        }
        done
    }
}

/// One attempt: the socket and its port.
fn once(task: &Task) -> Result<(OwnedFd, u16), Errno> {
    let udp = matches!(task.way, Way::BindUdp | Way::Udp);
    let transport = if udp { Transport::Udp } else { Transport::Tcp };
    let is_v6 = task.to.or(task.from).is_some_and(|addr| addr.is_ipv6());
    let fd = transport.socket(if is_v6 { Ground::V6 } else { Ground::V4 })?;
    let plain = |errno: nix::errno::Errno| Errno::from_raw_os_error(errno as i32);
    match task.sharing {
        Some(Sharing::ReuseAddr) => setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(plain)?,
        Some(Sharing::NoPort) => setsockopt(&fd, sockopt::IpBindAddressNoPort, &true).map_err(plain)?,
        None => {}
    }
    if task.ending == Ending::Reset {
        reset_on_close(&fd, true).map_err(plain)?;
    }
    if let Some(from) = task.from {
        rustix::net::bind(&fd, &from)?;
    }
    if let Some(to) = task.to {
        if task.way == Way::Begin {
            rustix::io::ioctl_fionbio(&fd, true)?;
        }
        match rustix::net::connect(&fd, &to) {
            Err(Errno::INPROGRESS) if task.way == Way::Begin => {}
            other => other?,
        }
    }
    if task.way == Way::Listen {
        rustix::net::listen(&fd, LONG_QUEUE)?;
    }
    let local: SocketAddr = rustix::net::getsockname(&fd)?.try_into()?;
    Ok((fd, local.port()))
}

/// Sends from one socket to as many ports of as many addresses of 127.1/16 as it takes.
fn spray(count: u64) -> Result<()> {
    const PORTS: u64 = 60_000;
    let fd = Transport::Udp.socket(Ground::V4)?;
    for number in 0..count {
        let [.., low] = (number / PORTS).to_be_bytes();
        let to = SocketAddr::from(([127, 1, 0, low], u16::try_from(1_024 + number % PORTS)?));
        match rustix::net::sendto(&fd, b"", SendFlags::empty(), &to) {
            // Nobody is there, and says so at the next send.
            Ok(_) | Err(Errno::CONNREFUSED) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn listen(at: SocketAddr, manner: Manner, reuse_addr: bool) -> Result<Service, Errno> {
    let ground = if at.is_ipv4() { Ground::V4 } else { Ground::V6 };
    let fd = Transport::Tcp.socket(ground)?;
    let plain = |errno: nix::errno::Errno| Errno::from_raw_os_error(errno as i32);
    if reuse_addr {
        setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(plain)?;
    }
    rustix::net::bind(&fd, &at)?;
    rustix::net::listen(&fd, if manner == Manner::Ignore { 0 } else { LONG_QUEUE })?;
    if manner == Manner::Ignore {
        let first = fill_queue(&fd, at)?;
        return Ok(Service { listener: fd, thread: None, _first: Some(first) });
    }
    let own = rustix::io::fcntl_dupfd_cloexec(&fd, 0)?;
    let thread = thread::spawn(move || serve(&own, manner));
    Ok(Service { listener: fd, thread: Some(thread), _first: None })
}

/// Takes the one place in a queue of length 0, so that no SYN of others is answered any more. Left to them, several may
/// come before the first one's handshake is over, and each of those is answered by a SYN cookie.
fn fill_queue(listener: &OwnedFd, at: SocketAddr) -> Result<OwnedFd, Errno> {
    let first = Transport::Tcp.socket(if at.is_ipv4() { Ground::V4 } else { Ground::V6 })?;
    rustix::net::connect(&first, &at)?;
    let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
    match poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&patience))? {
        0 => Err(Errno::TIMEDOUT),
        _ => Ok(first),
    }
}

/// Accepts until the listener is shut down.
fn serve(listener: &OwnedFd, manner: Manner) {
    let mut kept = Vec::new();
    while let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC) {
        match manner {
            Manner::Keep => kept.push(socket),
            // Whatever ends the other's stream, its end is reached.
            Manner::CloseLast => drop(rustix::net::recv(&socket, &mut [0_u8; 16], RecvFlags::empty())),
            Manner::CloseFirst | Manner::Ignore => drop(socket),
        }
    }
}
