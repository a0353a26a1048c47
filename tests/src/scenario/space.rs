//! A network namespace of a scenario.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, setns};
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::Actor;

/// An address that each space has beside those of loopback: `tcp_tw_reuse=2` does not apply to it.
pub const OFF_LOOPBACK: &str = "10.77.0.1";

/// Where named namespaces are.
const NAMED: &str = "/run/netns";

/// What a space is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    /// `ip_local_port_range`, as `LO-HI`.
    pub range: &'a str,
    /// `ip_local_reserved_ports`.
    pub reserved: &'a str,
    /// Its name under /run/netns, if it is to have one.
    pub name: Option<&'a OsStr>,
}

impl<'a> Plot<'a> {
    /// A range without reserved ports.
    #[must_use]
    pub const fn range(range: &'a str) -> Self {
        Self { range, reserved: "", name: None }
    }
}

/// A network namespace that lasts as long as this value.
#[derive(Debug)]
pub struct Space {
    keeper: Actor,
    name: Option<PathBuf>,
}

impl Space {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// When the kernel or its tools refuse.
    pub fn make(plot: Plot<'_>) -> Result<Self> {
        let mut args = vec!["--netns", "own", "--port-range", plot.range];
        if !plot.reserved.is_empty() {
            args.extend(["--reserved", plot.reserved]);
        }
        let mut space = Self { keeper: Actor::start("keeper", &args)?, name: None };
        if let Some(name) = plot.name {
            fs::create_dir_all(NAMED)?;
            let path = PathBuf::from(NAMED).join(name);
            File::create_new(&path).with_context(|| path.display().to_string())?;
            space.name = Some(path.clone());
            mount_bind(space.path(), &path).with_context(|| path.display().to_string())?;
        }
        space.ip(&["address", "add", &format!("{OFF_LOOPBACK}/32"), "dev", "lo"])?;
        Ok(space)
    }

    /// Makes one with a range.
    ///
    /// # Errors
    ///
    /// As [`Self::make`].
    pub fn with_range(range: &str) -> Result<Self> {
        Self::make(Plot::range(range))
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.keeper.netns()
    }

    /// The file to enter it by.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.keeper.pid())
    }

    /// A process of this name in it.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn actor(&self, comm: impl AsRef<OsStr>) -> Result<Actor> {
        Actor::start(comm, &["--enter", &self.path()])
    }

    /// Does something inside, on a thread of its own.
    ///
    /// # Errors
    ///
    /// What the work finds.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let file = File::open(self.path())?;
        let inside = move || {
            setns(&file, CloneFlags::CLONE_NEWNET)?;
            work()
        };
        thread::spawn(inside).join().ok().context("the work inside panicked")?
    }

    /// Sets a sysctl of it, such as `net/ipv4/tcp_tw_reuse`.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn set(&self, sysctl: &str, value: &str) -> Result<()> {
        let (path, value) = (format!("/proc/sys/{sysctl}"), value.to_owned());
        self.inside(move || fs::write(&path, &value).with_context(|| format!("{path} = {value}")))
    }

    /// Reads a sysctl of it.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn sysctl(&self, sysctl: &str) -> Result<String> {
        let path = format!("/proc/sys/{sysctl}");
        self.inside(move || Ok(fs::read_to_string(&path).context(path)?.trim().to_owned()))
    }

    /// TIME_WAITs of IPv4, of one local port or of all, as the kernel lists them: addresses and states are hexadecimal.
    ///
    /// # Errors
    ///
    /// When the list cannot be read.
    pub fn time_waits(&self, port: Option<u16>) -> Result<u64> {
        let table = self.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/tcp")?))?;
        let suffix = port.map_or_else(String::new, |port| format!(":{port:04X}"));
        let is = |line: &&str| {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (local, state) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
            local.ends_with(&suffix) && state == "06"
        };
        Ok(table.lines().filter(is).count() as u64)
    }

    /// Wires it to another one by a pair of veth devices, with an address at each end.
    ///
    /// # Errors
    ///
    /// When the kernel or `ip` cannot.
    pub fn wire(&self, other: &Self, near: &str, far: &str) -> Result<()> {
        // With its namespace given by a process, the other end is never seen here.
        let pid = other.keeper.pid().to_string();
        self.ip(&["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &pid])?;
        for (space, device, address) in [(self, "near", near), (other, "far", far)] {
            space.ip(&["address", "add", &format!("{address}/24"), "dev", device])?;
            space.ip(&["link", "set", device, "up"])?;
        }
        Ok(())
    }

    /// Runs `ip` in it: iproute2's, or busybox's in a bare guest.
    ///
    /// # Errors
    ///
    /// When there is none, or it fails.
    pub fn ip(&self, args: &[&str]) -> Result<()> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.inside(move || {
            let mut last = String::new();
            for words in [&["ip"][..], &["busybox", "ip"], &["/bin/busybox", "ip"]] {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]).args(&args).stdin(Stdio::null());
                match command.output() {
                    Ok(output) if output.status.success() => return Ok(()),
                    Ok(output) => last = String::from_utf8_lossy(&output.stderr).into_owned(),
                    Err(error) => last = error.to_string(),
                }
            }
            ensure!(false, "ip {args:?}: {last}");
            Ok(())
        })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Some(path) = &self.name {
            // What is not there need not go.
            unmount(path, UnmountFlags::DETACH).ok();
            drop(fs::remove_file(path));
        }
    }
}
