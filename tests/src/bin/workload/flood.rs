//! Very many connects or binds, counted; told one by one only on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use portscope_tests::operation::{Line, Summary};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::cli::{Binds, Connects, Ending};
use crate::endpoint::Endpoint;
use crate::ground::Ground;
use crate::namespace;
use crate::options::reset_on_close;
use crate::stage::Stage;
use crate::telling::errno_name;
use crate::transport::Transport;

/// Failures of one thread, by errno.
type Failures = BTreeMap<String, u64>;

/// Connects `plan.count` times to one listener.
pub(crate) fn connects(stage: &Stage, plan: &Connects) -> Result<()> {
    let listener = if plan.to.is_some() { None } else { Some(stage.listener(Ground::V4)?) };
    let to = plan.to.or(listener.as_ref().map(|(_, addr)| *addr)).context("nowhere to connect to")?;
    let server = listener.as_ref().map(|(endpoint, _)| endpoint);
    let before = namespace::active_opens()?;
    let (began, first) = (Instant::now(), OnceLock::new());
    let refused = || {
        first.get_or_init(|| began.elapsed());
    };
    let by_errno =
        share(plan.threads, plan.count, |count| connect_times(stage, plan, server, (to, &refused), count))?;
    let first_failure_ms = first.get().map(|after| after.as_millis().try_into()).transpose()?;
    let summary = Summary {
        connects: plan.count,
        active_opens: namespace::active_opens()?.saturating_sub(before),
        first_failure_ms,
        ..summary(by_errno)
    };
    stage.line(&Line::Summary(summary))
}

/// Binds to port 0 `plan.count` times, or as often as the time allows, one socket after the other.
pub(crate) fn binds(stage: &Stage, plan: &Binds) -> Result<()> {
    let end = plan.for_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    let done = AtomicU64::new(0);
    let by_errno = share(plan.threads, plan.count, |count| {
        let (binds, failures) = bind_times(stage, plan, count, end)?;
        done.fetch_add(binds, Ordering::Relaxed);
        Ok(failures)
    })?;
    stage.line(&Line::Summary(Summary { binds: done.into_inner(), ..summary(by_errno) }))
}

/// Runs `work` on so many threads and adds their failures.
pub(crate) fn share<F>(threads: u32, count: u64, work: F) -> Result<Failures>
where
    F: Fn(u64) -> Result<Failures> + Sync,
{
    let threads = u64::from(threads.max(1));
    let work = &work;
    let parts = (0..threads).map(|at| count / threads + u64::from(at < count % threads));
    thread::scope(|scope| {
        let running: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut sum = Failures::new();
        for thread in running {
            let part = thread.join().map_err(|_panic| anyhow::anyhow!("a thread died"))??;
            for (errno, failures) in part {
                *sum.entry(errno).or_default() += failures;
            }
        }
        Ok(sum)
    })
}

/// The summary of what failed.
pub(crate) fn summary(by_errno: Failures) -> Summary {
    Summary { summary: true, failures: by_errno.values().sum(), by_errno, ..Summary::default() }
}

/// Connects so many times; `refused` is called at each that gets no port.
fn connect_times(
    stage: &Stage,
    plan: &Connects,
    server: Option<&Endpoint<'_>>,
    (to, refused): (SocketAddr, &(dyn Fn() + Sync)),
    count: u64,
) -> Result<Failures> {
    let mut failures = Failures::new();
    let ground = if to.is_ipv4() { Ground::V4 } else { Ground::V6 };
    for _ in 0..count {
        let (socket, answer) = if plan.each {
            let mut endpoint = Endpoint::open(stage, "one of many connects", ground, Transport::Tcp, &[])?;
            let answer = endpoint.connect(to);
            (endpoint.into_fd(), answer)
        } else {
            let fd = Transport::Tcp.socket(ground)?;
            let answer = rustix::net::connect(&fd, &to);
            (fd, answer)
        };
        match answer {
            Ok(()) => {}
            Err(error @ Errno::ADDRNOTAVAIL) => {
                *failures.entry(errno_name(error)).or_default() += 1;
                refused();
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        reset_on_close(&socket, plan.ending() == Ending::Reset)?;
        let accepted = server.map(Endpoint::accept).transpose()?;
        if plan.ending() == Ending::PeerFirst {
            drop(accepted);
            // Our end is not closed before the other's FIN is here.
            rustix::net::recv(&socket, &mut [0_u8; 1], RecvFlags::empty())?;
        } else {
            drop(socket);
        }
        thread::sleep(Duration::from_millis(plan.every_ms));
    }
    Ok(failures)
}

/// Binds so many times, or until the end; how many there were, and what failed.
fn bind_times(stage: &Stage, plan: &Binds, count: u64, end: Option<Instant>) -> Result<(u64, Failures)> {
    let mut failures = Failures::new();
    for done in 0..count {
        // The clock is looked at now and then.
        if done.is_multiple_of(256) && end.is_some_and(|end| Instant::now() >= end) {
            return Ok((done, failures));
        }
        let answer = if plan.each {
            Endpoint::open(stage, "one of many binds", Ground::V4, plan.protocol, &[])?.bind(Ground::V4.at(0))
        } else {
            let fd = plan.protocol.socket(Ground::V4)?;
            rustix::net::bind(&fd, &Ground::V4.at(0))
        };
        match answer {
            Ok(()) => {}
            Err(error @ Errno::ADDRINUSE) => *failures.entry(errno_name(error)).or_default() += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((count, failures))
}
