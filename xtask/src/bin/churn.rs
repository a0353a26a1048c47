//! The measuring loop of `bench overhead`: socket, one allocation, close, many times over, timed as a whole.
//!
//! Prints one line of JSON per kind: the time of the cheapest of four runs, each five loops of 2,000 operations.
//! Whole loops, because a short one would end between two polls of a tracer and hide what its reader costs.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a measuring program prints its figures")]

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, bind, connect, socket},
    time::{ClockId, clock_gettime},
};

const LOOPS: u64 = 5;
const OPERATIONS: u64 = 2_000;
const RUNS: u64 = 4;

/// Nothing listens here: the port is allocated, used and refused within the call.
const REFUSED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
const ANY_PORT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

type Operation = fn() -> Result<()>;

const KINDS: [(&str, Operation); 3] =
    [("tcp_connect", tcp_connect), ("tcp_bind", tcp_bind), ("udp_bind", udp_bind)];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, operation) in KINDS {
        if !wanted.is_empty() && !wanted.iter().any(|kind| kind == name) {
            continue;
        }
        match measure(operation) {
            Ok(ns) => println!(r#"{{"kind":"{name}","operations":{},"ns":{ns}}}"#, LOOPS * OPERATIONS),
            Err(error) => {
                eprintln!("churn: {name}: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Nanoseconds of the cheapest run.
fn measure(operation: Operation) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..RUNS {
        let mut sum = 0;
        for _ in 0..LOOPS {
            let start = monotonic_ns()?;
            for _ in 0..OPERATIONS {
                operation()?;
            }
            sum += monotonic_ns()? - start;
        }
        least = least.min(sum);
    }
    Ok(least)
}

fn monotonic_ns() -> Result<u64> {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).context("the clock is before its start")?;
    let rest = u64::try_from(now.tv_nsec).context("the clock has a negative part")?;
    Ok(seconds * 1_000_000_000 + rest)
}

fn tcp_connect() -> Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).context("socket")?;
    match connect(&socket, &REFUSED) {
        Err(Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error).context("connect"),
        Ok(()) => bail!("something listens on {REFUSED}: the loop must be refused there"),
    }
}

fn tcp_bind() -> Result<()> {
    bind(socket(AddressFamily::INET, SocketType::STREAM, None).context("socket")?, &ANY_PORT).context("bind")
}

fn udp_bind() -> Result<()> {
    bind(socket(AddressFamily::INET, SocketType::DGRAM, None).context("socket")?, &ANY_PORT).context("bind")
}
