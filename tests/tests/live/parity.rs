//! Three tracers at once, one a backend, over one run: equal events.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::live::{self, Live};
use portscope_tests::need::{self, Need};
use portscope_tests::trace::{Capture, Event};
use portscope_tests::workload::Workload;
use serde_json::Value;

/// What the backends must agree in, wherever both can see it.
const EQUAL: [&str; 23] = [
    "type",
    "site",
    "result",
    "error",
    "cause",
    "proto",
    "family",
    "pid",
    "tid",
    "uid",
    "comm",
    "thread_comm",
    "exe",
    "netns",
    "cgroup_id",
    "local_addr",
    "local_port",
    "requested_port",
    "remote_addr",
    "remote_port",
    "range",
    "options",
    "crossed_half",
];

/// What a backend that looks later may know more of: a datagram socket is bound before its destination is looked at.
const LATE: [&str; 4] = ["family", "local_addr", "remote_addr", "remote_port"];

#[test]
fn three_backends_tell_the_same_of_every_site() -> Result<()> {
    live::alone(concat!(module_path!(), "::three_backends_tell_the_same_of_every_site"), |live| {
        agree(&live, &["sites"])
    })
}

#[test]
fn three_backends_tell_the_same_of_every_exhaustion() -> Result<()> {
    live::alone(concat!(module_path!(), "::three_backends_tell_the_same_of_every_exhaustion"), |live| {
        agree(&live, &["--netns", "own", "exhaust", "--range", "40000-40007"])
    })
}

fn agree(live: &Live, args: &[&str]) -> Result<()> {
    for backend in Backend::ALL {
        if !live.has(Need::Backend(backend), need::refusal(backend)?.as_deref())? {
            return Ok(());
        }
    }
    let workload = Workload::ready(args)?;
    let pid = workload.hello().pid;
    let mut tracers = Vec::new();
    for backend in Backend::ALL {
        tracers.push((backend, live.tracer_on(backend, &["--explicit"])?));
    }
    workload.go()?;
    let mut told = Vec::new();
    for (backend, tracer) in tracers {
        let capture = tracer.stop()?;
        capture.accounting()?;
        told.push((backend, capture));
    }
    let (first, reference) = &told[0];
    for (other, capture) in &told[1..] {
        let found = disagreements(pid, reference, capture);
        ensure!(found.is_empty(), "{first} and {other} disagree in {}:\n{}", found.len(), found.join("\n"));
    }
    Ok(())
}

/// Events of a thread in their order, told apart by what no backend can mistake.
fn by_thread(pid: u32, capture: &Capture) -> BTreeMap<(u64, u64, u64), Vec<&Event>> {
    let mut threads: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in capture.of(pid) {
        let number = |field| event.number(field).unwrap_or(0);
        let key = (number("tid"), number("local_port"), number("requested_port"));
        threads.entry(key).or_default().push(event);
    }
    threads
}

fn disagreements(pid: u32, one: &Capture, other: &Capture) -> Vec<String> {
    let unseen: Vec<&str> = one.unavailable().into_iter().chain(other.unavailable()).collect();
    let (mut ones, mut others) = (by_thread(pid, one), by_thread(pid, other));
    let keys: Vec<_> = ones.keys().chain(others.keys()).copied().collect();
    let mut found = Vec::new();
    for key in keys {
        let (ones, others) = (ones.remove(&key).unwrap_or_default(), others.remove(&key).unwrap_or_default());
        let common = ones.len().min(others.len());
        found.extend(ones[common..].iter().map(|event| format!("  only the first: {}", event.brief())));
        found.extend(others[common..].iter().map(|event| format!("  only the second: {}", event.brief())));
        for (one, other) in ones.into_iter().zip(others) {
            let differs =
                EQUAL.into_iter().filter(|field| !unseen.contains(field) && !same(field, one, other));
            for field in differs {
                let (left, right) = (one.value(field), other.value(field));
                found.push(format!("  {field} is {left:?} and {right:?}: {}", one.brief()));
            }
        }
    }
    found
}

fn same(field: &str, one: &Event, other: &Event) -> bool {
    let is_late = one.text("site") == Some("autobind") && LATE.contains(&field);
    is_late || one.value(field).unwrap_or(&Value::Null) == other.value(field).unwrap_or(&Value::Null)
}
