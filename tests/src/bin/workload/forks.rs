//! Connects from as many stacks as there are ways through so many forks: at each of them one of two functions goes on.
//!
//! Whatever the compiler does without, each of them has a frame pointer: what it keeps has to lie at a multiple of more
//! bytes than the stack does, so that its frame is found by that pointer alone.

use std::hint::black_box;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use portscope_tests::operation::{Line, Summary};

use crate::cli::Forks;
use crate::ground::Ground;
use crate::stage::Stage;
use crate::transport::Transport;

const PATIENCE: Duration = Duration::from_secs(20);

#[repr(align(64))]
struct Anchor(u8);

/// Takes each way twice: first to a port that the kernel has, then in vain. Nobody listens where it connects to, so that
/// the port comes back at once.
pub(crate) fn run(stage: &Stage, plan: &Forks) -> Result<()> {
    let [port, last] = stage.range;
    ensure!(port == last, "the range is to be one port, not {port}-{last}");
    let to = Ground::V4.at(stage.spare_port());
    let mut summary = Summary { summary: true, ..Summary::default() };
    let mut taken = None;
    for turn in 0..2_u32 << plan.levels {
        let way = turn & !(1 << plan.levels);
        if way != turn && taken.is_none() {
            let fd = Transport::Tcp.socket(Ground::V4)?;
            rustix::net::bind(&fd, &Ground::V4.at(port))?;
            taken = Some(fd);
        }
        summary.connects += 1;
        match onwards(plan.levels, way, to).map_err(|error| error.kind()) {
            Err(ErrorKind::ConnectionRefused) if taken.is_none() => {}
            Err(ErrorKind::AddrNotAvailable) if taken.is_some() => {
                summary.failures += 1;
                *summary.by_errno.entry("EADDRNOTAVAIL".to_owned()).or_default() += 1;
            }
            other => bail!("turn {turn}: {other:?}"),
        }
    }
    stage.line(&Line::Summary(summary))
}

#[inline]
fn onwards(levels: u32, way: u32, to: SocketAddr) -> io::Result<TcpStream> {
    match (levels, way & 1) {
        (0, _) => at_the_end(to),
        (_, 0) => to_the_left(levels - 1, way >> 1, to),
        _ => to_the_right(levels - 1, way >> 1, to),
    }
}

#[inline(never)]
fn to_the_left(levels: u32, way: u32, to: SocketAddr) -> io::Result<TcpStream> {
    let anchor = Anchor(0);
    let made = onwards(levels, way, to);
    black_box(&anchor.0);
    made
}

#[inline(never)]
fn to_the_right(levels: u32, way: u32, to: SocketAddr) -> io::Result<TcpStream> {
    let anchor = Anchor(1);
    let made = onwards(levels, way, to);
    black_box(&anchor.0);
    made
}

#[inline(never)]
fn at_the_end(to: SocketAddr) -> io::Result<TcpStream> {
    let anchor = Anchor(2);
    let made = TcpStream::connect_timeout(&to, PATIENCE);
    black_box(&anchor.0);
    made
}
