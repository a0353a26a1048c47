//! Many threads that search a full range at once, each search in vain.

use std::net::SocketAddr;
use std::sync::Barrier;

use anyhow::{Result, ensure};
use portscope_tests::operation::{Line, Summary};
use rustix::io::Errno;

use crate::cli::Contend;
use crate::endpoint::Endpoint;
use crate::flood;
use crate::ground::Ground;
use crate::stage::Stage;
use crate::transport::Transport;

/// The widest range that this will fill: each port is an open file.
const WIDEST: usize = 900;

/// Fills the range towards one listener, then lets `plan.threads` threads fail `plan.count` times each.
pub(crate) fn run(stage: &Stage, plan: &Contend) -> Result<()> {
    let (listener, to) = stage.listener(Ground::V4)?;
    let held = fill(stage, &listener, to)?;
    let barrier = Barrier::new(usize::try_from(plan.threads.max(1))?);
    let all = plan.count * u64::from(plan.threads.max(1));
    let by_errno = flood::share(plan.threads, all, |count| {
        barrier.wait();
        let mut failures = 0;
        for _ in 0..count {
            let mut endpoint =
                Endpoint::open(stage, "connect in a full range", Ground::V4, Transport::Tcp, &[])?;
            let answer = endpoint.connect(to);
            ensure!(answer == Err(Errno::ADDRNOTAVAIL), "the range is not full: {answer:?}");
            failures += 1;
        }
        Ok([("EADDRNOTAVAIL".to_owned(), failures)].into())
    })?;
    drop(held);
    stage.line(&Line::Summary(Summary { connects: all, ..flood::summary(by_errno) }))
}

fn fill<'a>(stage: &'a Stage, listener: &Endpoint<'_>, to: SocketAddr) -> Result<Vec<Endpoint<'a>>> {
    let mut held = Vec::new();
    for _ in 0..=WIDEST {
        let mut endpoint = Endpoint::open(stage, "connect that fills", Ground::V4, Transport::Tcp, &[])?;
        match endpoint.connect(to) {
            Ok(()) => held.push(endpoint),
            Err(Errno::ADDRNOTAVAIL) => return Ok(held),
            Err(error) => return Err(error.into()),
        }
        drop(listener.accept()?);
    }
    anyhow::bail!("more than {WIDEST} ports: give --netns own --port-range LO-HI")
}
