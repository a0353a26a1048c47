//! The command line of the workload, and its two ways to wait for the start.

use std::ffi::OsString;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::ring::By;
use crate::transport::Transport;

/// How long a workload waits to be started before it gives up.
const PATIENCE: Duration = Duration::from_mins(2);

/// Takes local ports in every way that Linux has, and prints what it got.
#[derive(Debug, Parser)]
#[command(name = "workload")]
pub(crate) struct Cli {
    /// In which network namespace to work.
    #[arg(long, global = true, value_enum, default_value_t = Netns::Current)]
    pub(crate) netns: Netns,
    /// The file of a network namespace to enter first.
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "netns")]
    pub(crate) enter: Option<PathBuf>,
    /// `ip_local_port_range` to set first; needs `--netns own`.
    #[arg(long, global = true, value_name = "LO-HI", value_parser = port_range)]
    pub(crate) port_range: Option<[u16; 2]>,
    /// `ip_local_reserved_ports` to set first; needs `--netns own`.
    #[arg(long, global = true, value_name = "LIST")]
    pub(crate) reserved: Option<String>,
    /// Print a first line with pid and netns, then wait for a newline on standard input.
    #[arg(long, global = true)]
    pub(crate) wait_stdin: bool,
    /// Print a first line with pid and netns, then wait until this file exists.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) go_file: Option<PathBuf>,
    /// When all is done, close standard output and stay until standard input ends.
    #[arg(long, global = true)]
    pub(crate) stay: bool,
    /// Name to give the process first.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) comm: Option<OsString>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Netns {
    /// The one it was started in.
    Current,
    /// A new one, with `lo` up.
    Own,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every site, family, protocol and option once.
    Sites(Sites),
    /// Every site until it fails.
    Exhaust(Exhaust),
    /// Many connects to one listener.
    Connects(Connects),
    /// Many binds to port 0.
    Binds(Binds),
    /// Many threads that search a full range at once.
    Contend(Contend),
    /// Connects beside ports that are known to be taken.
    Occupy(Occupy),
    /// Connects by io_uring.
    Ring(Ring),
    /// Sockets that a program of their cgroup binds when they connect; needs `--netns own`.
    Steered,
    /// Connects from two places of the code, until the range is full and beyond.
    Places(Places),
    /// Connects from very many stacks, first to a port and then in vain; needs `--port-range` of one port.
    Forks(Forks),
    /// Takes ports as it is told, order by order, on standard input.
    Obey,
    /// Sockets for both families at once.
    Dual,
    /// Sockets that connect again: after a refusal, after giving their port back, after a full range.
    Retried(Retried),
    /// Sockets that a device of a VRF takes to another table of routes; needs `--netns own`.
    Vrf,
    /// Processes that live for a moment, under several names and as several programs.
    Churn(Churn),
    /// One of them.
    #[command(hide = true)]
    Mayfly(Mayfly),
    /// Sockets that one process or thread opens and binds, and another connects.
    Handed,
    /// The same, sent by message from process to process.
    Sent,
    /// The process of `handed` that binds, and becomes another program before it connects.
    #[command(hide = true)]
    Testator(Testator),
    /// The other process of `handed`: connects the socket that is its standard input.
    #[command(hide = true)]
    Heir(Heir),
}

#[derive(Debug, Args)]
pub(crate) struct Sites {
    /// Protocols to try; those that the kernel lacks are reported as absent.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "tcp,mptcp,udp,udplite")]
    pub(crate) protocols: Vec<Transport>,
}

#[derive(Debug, Args)]
pub(crate) struct Exhaust {
    /// The range to exhaust; set as `ip_local_port_range`, so it needs `--netns own`. An even number of ports.
    #[arg(long, value_name = "LO-HI", value_parser = port_range)]
    pub(crate) range: Option<[u16; 2]>,
    /// Stop each site after so many failures.
    #[arg(long, default_value_t = 2)]
    pub(crate) failures: u32,
    /// Protocols to try; those that the kernel lacks are reported as absent.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "tcp,udp,udplite")]
    pub(crate) protocols: Vec<Transport>,
}

/// Which end closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ending {
    /// This end, by RST: no TIME_WAIT anywhere.
    Reset,
    /// This end, by FIN: the TIME_WAIT is here.
    CloseFirst,
    /// The listener's end: the TIME_WAIT is there.
    PeerFirst,
}

#[derive(Debug, Args)]
pub(crate) struct Connects {
    /// How many, over all threads.
    #[arg(long)]
    pub(crate) count: u64,
    /// Where to; a listener of its own by default.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) to: Option<SocketAddr>,
    /// How many threads share the work.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: u32,
    /// How each connection ends.
    #[arg(long, value_enum, default_value_t = Ending::Reset)]
    pub(crate) ending: Ending,
    /// Pause of each thread after each.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) every_ms: u64,
    /// The same as `--ending close-first`.
    #[arg(long)]
    pub(crate) close_first: bool,
    /// Print each operation, not only the summary.
    #[arg(long)]
    pub(crate) each: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Binds {
    /// How many, over all threads.
    #[arg(long)]
    pub(crate) count: u64,
    /// The protocol.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    pub(crate) protocol: Transport,
    /// How many threads share the work.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: u32,
    /// No more after so long; the summary tells how many there were.
    #[arg(long, value_name = "MS")]
    pub(crate) for_ms: Option<u64>,
    /// Print each operation, not only the summary.
    #[arg(long)]
    pub(crate) each: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Contend {
    /// How many threads search at once.
    #[arg(long)]
    pub(crate) threads: u32,
    /// How often each of them tries.
    #[arg(long)]
    pub(crate) count: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Occupy {
    /// Ports to take by explicit binds before the first connect.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub(crate) block: Vec<u16>,
    /// How many connects, each closed before the next.
    #[arg(long, default_value_t = 0)]
    pub(crate) count: u64,
    /// After those, connect and hold until so many failed.
    #[arg(long, default_value_t = 0)]
    pub(crate) failures: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Places {
    /// How many connects from the first place, which are held.
    #[arg(long)]
    pub(crate) first: u32,
    /// How many from the second one.
    #[arg(long)]
    pub(crate) second: u32,
    /// How many more from the first one.
    #[arg(long)]
    pub(crate) first_refused: u32,
    /// How many more from the second one.
    #[arg(long)]
    pub(crate) second_refused: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Forks {
    /// How many forks a way has: there are as many ways as two to that power.
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=20))]
    pub(crate) levels: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Ring {
    /// What to connect.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    pub(crate) protocol: Transport,
    /// Do so on IPv4, and hold, until one fails; needs `--port-range`.
    #[arg(long)]
    pub(crate) until_full: bool,
    /// Bind and listen by the ring, not connect.
    #[arg(long)]
    pub(crate) binds: bool,
    /// Whose thread does it.
    #[arg(long, value_enum, default_value_t = By::Caller)]
    pub(crate) by: By,
}

#[derive(Debug, Args)]
pub(crate) struct Retried {
    /// Hold connections on IPv4 until one fails, then make room and connect that socket; needs `--port-range`.
    #[arg(long)]
    pub(crate) until_full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Churn {
    /// How many processes, one after the other.
    #[arg(long)]
    pub(crate) count: u64,
    /// This program under another name.
    pub(crate) first: PathBuf,
    /// And under a third.
    pub(crate) second: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Mayfly {
    /// Where to connect.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) to: SocketAddr,
    /// The program to become.
    #[arg(long, value_name = "PATH")]
    pub(crate) then: Option<PathBuf>,
    /// How long to stay in the end.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) stay_ms: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Testator {
    /// Where to connect.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) to: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct Heir {
    /// Where to.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) to: SocketAddr,
    /// What the socket is.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    pub(crate) protocol: Transport,
    /// Standard input is a UNIX socket that the socket comes by.
    #[arg(long)]
    pub(crate) by_message: bool,
    /// The other process asked for `IP_BIND_ADDRESS_NO_PORT`.
    #[arg(long)]
    pub(crate) late: bool,
}

impl Connects {
    pub(crate) fn ending(&self) -> Ending {
        if self.close_first { Ending::CloseFirst } else { self.ending }
    }
}

impl Cli {
    /// Whether it was asked to wait.
    pub(crate) fn waits(&self) -> bool {
        self.wait_stdin || self.go_file.is_some()
    }

    /// Stays if it was asked to: whoever reads standard output sees its end before.
    pub(crate) fn stay(&self) -> Result<()> {
        if self.stay {
            rustix::stdio::dup2_stdout(std::fs::File::create("/dev/null")?)?;
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        }
        Ok(())
    }

    /// How long it is to work, where that was said.
    pub(crate) fn asked_for(&self) -> Duration {
        match &self.command {
            Command::Binds(Binds { for_ms: Some(ms), .. }) => Duration::from_millis(*ms),
            _ => Duration::ZERO,
        }
    }

    /// Waits for the newline or for the file.
    pub(crate) fn wait(&self) -> Result<()> {
        if self.wait_stdin {
            let mut byte = [0];
            std::io::stdin().read_exact(&mut byte).context("standard input closed before the start")?;
        }
        let Some(path) = &self.go_file else { return Ok(()) };
        let deadline = Instant::now() + PATIENCE;
        while !path.exists() {
            if Instant::now() > deadline {
                bail!("{} did not appear within {PATIENCE:?}", path.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The range to set before the start.
    pub(crate) fn range_to_set(&self) -> Option<[u16; 2]> {
        match &self.command {
            Command::Exhaust(Exhaust { range: Some(range), .. }) => Some(*range),
            _ => self.port_range,
        }
    }
}

fn port_range(text: &str) -> Result<[u16; 2]> {
    let (low, high) = text.split_once('-').context("a range is LO-HI")?;
    let range = [low.trim().parse()?, high.trim().parse()?];
    if range[0] == 0 || range[0] > range[1] {
        bail!("the low end must be at least 1 and not above the high end");
    }
    Ok(range)
}
