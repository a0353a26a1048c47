//! The stage: who this process is, where it works, and where its lines go.

use std::io::{BufWriter, Stdout, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use portscope_tests::operation::{Absent, Hello, Line};
use portscope_tests::scenario::Done;
use rustix::io::Errno;
use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::namespace;
use crate::telling::errno_name;
use crate::transport::Transport;

/// Everything that the scenes share.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) pid: u32,
    pub(crate) netns: u64,
    pub(crate) range: [u16; 2],
    pub(crate) comm: String,
    spare: AtomicU16,
    out: Mutex<BufWriter<Stdout>>,
}

impl Stage {
    pub(crate) fn open() -> Result<Self> {
        let pid = std::process::id();
        let range = namespace::port_range()?;
        Ok(Self {
            pid,
            netns: namespace::inode()?,
            range,
            comm: rustix::thread::name()?.to_string_lossy().into_owned(),
            spare: AtomicU16::new(10_000 + u16::try_from(pid % 9_000)?),
            out: Mutex::new(BufWriter::new(std::io::stdout())),
        })
    }

    /// The next port that nobody was asked for yet, outside the range where it leaves any.
    pub(crate) fn spare_port(&self) -> u16 {
        let mut port = 0;
        for _ in 0..u16::MAX {
            port = self.spare.fetch_add(1, Ordering::Relaxed).max(1024);
            if !(self.range[0]..=self.range[1]).contains(&port) {
                break;
            }
        }
        port
    }

    /// A listener on a port outside the range. Ports that others hold are tried, and told, on the way.
    pub(crate) fn listener(&self, ground: Ground) -> Result<(Endpoint<'_>, SocketAddr)> {
        let ground = ground.unmapped();
        for _ in 0..64 {
            let mut endpoint = Endpoint::open(self, "listener", ground, Transport::Tcp, &[])?;
            let addr = ground.at(self.spare_port());
            match endpoint.bind(addr) {
                Ok(()) => {
                    endpoint.listen()?;
                    // What it accepts inherits SO_LINGER, and would reset the other end.
                    endpoint.end_without_reset()?;
                    return Ok((endpoint, addr));
                }
                Err(Errno::ADDRINUSE) => {}
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("64 ports outside the range are all taken")
    }

    pub(crate) fn hello(&self) -> Result<()> {
        self.line(&Line::Hello(Hello { hello: true, pid: self.pid, netns: self.netns }))?;
        self.flush()
    }

    pub(crate) fn absent(&self, what: &str, errno: Errno) -> Result<()> {
        self.line(&Line::Absent(Absent { absent: what.to_owned(), errno: errno_name(errno) }))
    }

    /// Prints the answer to an order.
    pub(crate) fn answer(&self, done: &Done) -> Result<()> {
        self.print(done)?;
        self.flush()
    }

    pub(crate) fn line(&self, line: &Line) -> Result<()> {
        self.print(line)
    }

    fn print(&self, line: &impl Serialize) -> Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")?;
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<()> {
        Ok(self.out.lock().unwrap_or_else(PoisonError::into_inner).flush()?)
    }
}
