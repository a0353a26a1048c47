//! Connects from two places of the code, each a function that the standard library is called from: its frames have
//! pointers whatever ours have, so that a stack shows who called it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use portscope_tests::operation::{Line, Summary};

use crate::cli::Places;
use crate::ground::Ground;
use crate::stage::Stage;

/// Connections that wait to be accepted are as many as this at most.
const MOST: u32 = 100;

/// Connects and holds, then tries on.
pub(crate) fn run(stage: &Stage, plan: &Places) -> Result<()> {
    ensure!(plan.first + plan.second <= MOST, "at most {MOST} connections are held");
    let (_listener, to) = stage.listener(Ground::V4)?;
    let mut held = Vec::new();
    let mut summary = Summary { summary: true, ..Summary::default() };
    for _ in 0..plan.first {
        the_first_place(to, &mut held, &mut summary);
    }
    for _ in 0..plan.second {
        the_second_place(to, &mut held, &mut summary);
    }
    ensure!(summary.failures == 0, "{summary:?}");
    for _ in 0..plan.first_refused {
        the_first_place(to, &mut held, &mut summary);
    }
    for _ in 0..plan.second_refused {
        the_second_place(to, &mut held, &mut summary);
    }
    stage.line(&Line::Summary(summary))
}

/// One of the two. The other one waits for another time, or the compiler would make one of both.
#[inline(never)]
fn the_first_place(to: SocketAddr, held: &mut Vec<TcpStream>, summary: &mut Summary) {
    let made = TcpStream::connect_timeout(&to, Duration::from_secs(20));
    note(made, held, summary);
}

/// The other one.
#[inline(never)]
fn the_second_place(to: SocketAddr, held: &mut Vec<TcpStream>, summary: &mut Summary) {
    let made = TcpStream::connect_timeout(&to, Duration::from_secs(21));
    note(made, held, summary);
}

fn note(made: std::io::Result<TcpStream>, held: &mut Vec<TcpStream>, summary: &mut Summary) {
    summary.connects += 1;
    match made {
        Ok(stream) => held.push(stream),
        Err(error) => {
            summary.failures += 1;
            let name = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
            *summary.by_errno.entry(format!("{name:?}")).or_default() += 1;
        }
    }
}
