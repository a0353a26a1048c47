//! What the machine does not recover from: runs after all other tests, in test machines alone.

#![forbid(unsafe_code)]

use std::fs;

use anyhow::{Result, ensure};
use portscope_tests::alone;
use portscope_tests::backend::Backend;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;

alone! {
    a_kernel_that_is_locked_down_for_confidentiality_is_told => locked_down,
}

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
/// No backend can be armed.
const UNTRACEABLE: i32 = 5;

fn locked_down(live: &Live) -> Result<()> {
    // It lasts until the machine boots again.
    if !live.owns_the_machine()? {
        return Ok(());
    }
    fs::write(LOCKDOWN, "integrity")?;
    for backend in Backend::ALL {
        let ended = portscope(live.scratch(), &["trace", "-d", "1s", "--backend", backend.word()])?;
        ensure!(ended.status == Some(0), "{backend}: {:?}: {}", ended.status, ended.stderr);
    }
    fs::write(LOCKDOWN, "confidentiality")?;
    for command in ["trace", "report", "top", "record"] {
        let file = live.scratch().file("ports.arrow").display().to_string();
        let more: &[&str] = match command {
            "record" => &["-w", &file],
            "top" => &["-b"],
            _ => &[],
        };
        let ended = portscope(live.scratch(), &[&[command, "-d", "1s"], more].concat())?;
        ended.must_fail(UNTRACEABLE, &["locked down for confidentiality", "lockdown=integrity"])?;
    }
    let hooks = portscope(live.scratch(), &["check", "--hooks"])?;
    ensure!(hooks.stdout.contains("BLIND") && hooks.stdout.contains("locked down"), "{}", hooks.stdout);
    // What reads no memory of the kernel goes on.
    let check = portscope(live.scratch(), &["check"])?;
    ensure!(matches!(check.status, Some(0..=2)), "{:?}: {}", check.status, check.stderr);
    ensure!(check.stdout.contains("range"), "{}", check.stdout);
    Ok(())
}
