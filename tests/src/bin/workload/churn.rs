//! Processes that change faster than they can be looked at: short lives, new names, other programs, numbers that come again.

use std::ffi::CString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cli::{Churn, Mayfly};
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::stage::Stage;
use crate::transport::Transport;

/// The last number that was given to a process; the next one is tried first.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
/// One in so many stays for a moment after its last port, so that it can be looked at.
const STAYS: u64 = 20;
const STAYS_MS: u64 = 150;

/// One process after the other, each as two programs in turn, most of them by the number of the one before.
pub(crate) fn run(stage: &Stage, plan: &Churn) -> Result<()> {
    let mut receiver = Endpoint::open(stage, "receiver", Ground::V4, Transport::Udp, &[])?;
    receiver.bind(Ground::V4.at(0))?;
    let to = Ground::V4.at(receiver.port()).to_string();
    for turn in 0..plan.count {
        let (first, then) =
            if turn % 2 == 0 { (&plan.first, &plan.second) } else { (&plan.second, &plan.first) };
        let mut command = Command::new(first);
        command.args(["mayfly", "--to", &to, "--then"]).arg(then);
        if turn % STAYS == 0 {
            command.args(["--stay-ms", &STAYS_MS.to_string()]);
        }
        let child = command.stdout(Stdio::piped()).spawn().context("a mayfly")?;
        let pid = child.id();
        let ended = child.wait_with_output()?;
        ensure!(ended.status.success(), "a mayfly ended with {}", ended.status);
        for line in String::from_utf8(ended.stdout)?.lines() {
            stage.line(&serde_json::from_str(line).with_context(|| format!("a mayfly said {line:?}"))?)?;
        }
        // A kernel that does not let its numbers be chosen gives new ones.
        drop(fs::write(LAST_PID, (pid - 1).to_string()));
    }
    Ok(())
}

/// A short life: a port, another name and a port, another program and a port.
pub(crate) fn live(stage: &Stage, plan: &Mayfly) -> Result<()> {
    connect(stage, plan)?;
    stage.flush()?;
    let Some(then) = &plan.then else {
        thread::sleep(Duration::from_millis(plan.stay_ms));
        return Ok(());
    };
    rustix::thread::set_name(&CString::new(format!("{}*", stage.comm))?)?;
    let renamed = Stage::open()?;
    connect(&renamed, plan)?;
    renamed.flush()?;
    Err(become_another(then, plan)).context("exec")
}

fn connect(stage: &Stage, plan: &Mayfly) -> Result<()> {
    Ok(Endpoint::open(stage, "connect of a mayfly", Ground::V4, Transport::Udp, &[])?.connect(plan.to)?)
}

fn become_another(then: &Path, plan: &Mayfly) -> std::io::Error {
    let stay = plan.stay_ms.to_string();
    Command::new(then).args(["mayfly", "--to", &plan.to.to_string(), "--stay-ms", &stay]).exec()
}
