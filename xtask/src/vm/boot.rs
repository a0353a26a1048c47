//! Runs qemu: boots a kernel with an initramfs, follows the serial line, and ends it in time.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    console::{Console, Outcome},
    fetch::Kernel,
    guest, initramfs,
    initramfs::Packed,
    modules,
};
use crate::{arch::Arch, process, tree};

/// What a powered-off machine may still take to go away.
const FAREWELL: Duration = Duration::from_secs(20);

/// A machine and what it shall do.
pub(crate) struct Machine {
    /// Files for the guest.
    pub(crate) files: Vec<Packed>,
    /// A command line of the shell.
    pub(crate) command: String,
    /// Whether the guest's clock counts instructions.
    pub(crate) icount: bool,
    /// Memory.
    pub(crate) memory_mib: u32,
    /// Processors; with `icount` there is always one.
    pub(crate) processors: u32,
    /// When the machine is killed.
    pub(crate) timeout: Duration,
    /// More words for the kernel command line.
    pub(crate) append: String,
    /// Where the guest's /out goes.
    pub(crate) out: Option<PathBuf>,
}

/// Boots, runs the command, and hands each line of its output to `show`.
pub(crate) fn boot(kernel: &Kernel, machine: &Machine, show: &mut dyn FnMut(&str)) -> Result<Outcome> {
    boot_with(kernel, machine, &guest::init(&machine.command, machine.out.is_some()), show)
}

/// The same with another script as the first process; it runs the command, or something else.
pub(super) fn boot_with(
    kernel: &Kernel,
    machine: &Machine,
    init: &str,
    show: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    ensure!(
        machine.out.is_none() || kernel.row.arch() == Arch::X86_64,
        "a machine of {} has one serial line alone, and no way for its /out",
        kernel.row.arch()
    );
    let folder = Scratch::new(kernel.row.name())?;
    let initrd = folder.0.join("initrd");
    let archive =
        initramfs::build(&kernel.busybox, init, &modules::wanted(&kernel.modules)?, &machine.files)?;
    fs::write(&initrd, archive).with_context(|| format!("cannot write {}", initrd.display()))?;
    let sent = folder.0.join("out.tar");

    let mut qemu = Killed(
        qemu(kernel, machine, &initrd, &sent)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", qemu_of(kernel.row.arch())))?,
    );
    let serial = qemu.0.stdout.take().context("qemu has no output")?;
    let outcome = follow(&lines(serial), machine.timeout, show);
    drop(qemu);
    if let Some(out) = &machine.out {
        tree::folder(out)?;
        process::stdout(Command::new("tar").arg("-xf").arg(&sent).arg("-C").arg(out))
            .context("the guest's /out did not arrive whole")?;
    }
    Ok(outcome)
}

fn follow(lines: &Receiver<String>, timeout: Duration, show: &mut dyn FnMut(&str)) -> Outcome {
    let mut console = Console::default();
    let mut end = Instant::now() + timeout;
    loop {
        let done = console.is_done();
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(said) = console.take(&line) {
                    show(said);
                }
                if !done && console.is_done() {
                    end = Instant::now() + FAREWELL;
                }
            }
            Err(RecvTimeoutError::Timeout) if done => return console.finish(None),
            Err(RecvTimeoutError::Timeout) => {
                return console
                    .finish(Some(format!("it took longer than {} s and was killed", timeout.as_secs())));
            }
            Err(RecvTimeoutError::Disconnected) => return console.finish(None),
        }
    }
}

fn qemu(kernel: &Kernel, machine: &Machine, initrd: &Path, sent: &Path) -> Command {
    let arch = kernel.row.arch();
    // A machine must not outlive a killed xtask.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", &qemu_of(arch)]).env_remove("LD_LIBRARY_PATH");
    if machine.icount {
        command.args(["-accel", "tcg", "-icount", "shift=1,sleep=off", "-smp", "1"]);
    } else {
        // One thread for all processors: with one each, a processor may run a translation of code that another has
        // patched meanwhile (seen on 6.12: `Oops: int3` behind a static key that had just been switched).
        command.args(["-accel", "tcg,thread=single", "-smp", &machine.processors.to_string()]);
    }
    let console = match arch {
        Arch::X86_64 => "ttyS0",
        Arch::Aarch64 => "ttyAMA0",
    };
    if arch == Arch::Aarch64 {
        command.args(["-machine", "virt"]);
    }
    command
        .args(["-cpu", "max", "-m", &format!("{}M", machine.memory_mib)])
        .args(["-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none", "-serial", "stdio"])
        .arg("-serial")
        .arg(if machine.out.is_some() { format!("file:{}", sent.display()) } else { "null".to_owned() })
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", format!("console={console} quiet panic=-1 {}", machine.append).trim()]);
    command
}

fn qemu_of(arch: Arch) -> String {
    format!("qemu-system-{arch}")
}

/// Lines of the serial port, read on a thread of their own so that waiting for one can end.
fn lines(serial: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(serial);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if send.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receive
}

/// A child that does not survive its owner.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // A child that is already gone is what we want.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A folder of this run only.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let path = tree::target("vm").join(format!("run-{name}-{}", std::process::id()));
        tree::folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is in target/ and harms nobody.
        drop(fs::remove_dir_all(&self.0));
    }
}
