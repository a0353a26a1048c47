//! The comparison: for each operation of the workload exactly one event, and no event besides.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Result, ensure};

use crate::operation::Operation;
use crate::trace::{Capture, Event};

mod expect;

use expect::expectations;

/// What was found where truth and events do not agree.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Operations that no event speaks of.
    pub missing: Vec<Operation>,
    /// Events that speak of no operation.
    pub surplus: Vec<Event>,
    /// Pairs that are meant for each other but differ, and in what.
    pub differing: Vec<(Operation, Event, Vec<String>)>,
}

/// Compares operations with the events of the same processes.
///
/// # Errors
///
/// When they do not agree, with all that is missing, surplus or different; also when there is nothing to compare.
pub fn compare(truth: &[Operation], capture: &Capture) -> Result<()> {
    ensure!(!truth.is_empty(), "nothing to compare: the workload did nothing that is to be shown");
    let mut pids: Vec<u32> = truth.iter().map(|operation| operation.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let found = Comparison::of(truth, capture, &pids);
    ensure!(found.is_clean(), "of {} operations:\n{found}", truth.len());
    Ok(())
}

impl Comparison {
    /// Matches operations and the events of these processes.
    #[must_use]
    pub fn of(truth: &[Operation], capture: &Capture, pids: &[u32]) -> Self {
        let unavailable = capture.unavailable();
        let mut pool = Pool::new(capture, pids);
        let mut unmatched = Vec::new();
        for operation in truth {
            let fits = |event: &Event| differences(operation, event, &unavailable).is_empty();
            if pool.take(operation, fits).is_none() {
                unmatched.push(operation);
            }
        }
        let mut found = Self::default();
        for operation in unmatched {
            match pool.take(operation, |event| is_meant(operation, event)) {
                Some(event) => {
                    let differences = differences(operation, event, &unavailable);
                    found.differing.push((operation.clone(), event.clone(), differences));
                }
                None => found.missing.push(operation.clone()),
            }
        }
        found.surplus = pool.rest();
        found
    }

    /// Whether truth and events agree.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty() && self.differing.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.missing.iter().map(brief);
        let differing = self
            .differing
            .iter()
            .map(|(operation, _, differences)| format!("{}: {}", brief(operation), differences.join(", ")));
        list(f, "missing", &missing.collect::<Vec<_>>())?;
        list(f, "differing", &differing.collect::<Vec<_>>())?;
        list(f, "surplus", &self.surplus.iter().map(Event::brief).collect::<Vec<_>>())
    }
}

/// The first of many: one message is to be read by a person.
fn list(f: &mut fmt::Formatter<'_>, what: &str, all: &[String]) -> fmt::Result {
    const SHOWN: usize = 25;
    for line in all.iter().take(SHOWN) {
        writeln!(f, "  {what}: {line}")?;
    }
    if all.len() > SHOWN { writeln!(f, "  … {} more {what}", all.len() - SHOWN) } else { Ok(()) }
}

/// The events that no operation has claimed yet, by thread.
struct Pool<'a> {
    threads: HashMap<(u64, u64), Vec<&'a Event>>,
}

impl<'a> Pool<'a> {
    fn new(capture: &'a Capture, pids: &[u32]) -> Self {
        let mut threads: HashMap<_, Vec<_>> = HashMap::new();
        for event in &capture.events {
            let thread = (event.number("pid").unwrap_or(0), event.number("tid").unwrap_or(0));
            if event.kind() != "release" && pids.iter().any(|pid| u64::from(*pid) == thread.0) {
                threads.entry(thread).or_default().push(event);
            }
        }
        Self { threads }
    }

    /// The first event of the operation's thread that fits: events of one thread keep their order.
    fn take(&mut self, operation: &Operation, fits: impl Fn(&Event) -> bool) -> Option<&'a Event> {
        let thread = (u64::from(operation.pid), u64::from(operation.tid));
        let events = self.threads.get_mut(&thread)?;
        let at = events.iter().position(|event| fits(event))?;
        Some(events.remove(at))
    }

    fn rest(self) -> Vec<Event> {
        self.threads.into_values().flatten().cloned().collect()
    }
}

/// Whether an event that differs speaks of the same deed.
fn is_meant(operation: &Operation, event: &Event) -> bool {
    let port = event.number("local_port").unwrap_or(0);
    event.text("site") == Some(operation.site.word())
        && event.text("proto") == Some(operation.proto.word())
        && (port == u64::from(operation.local_port)
            || event.number("requested_port") == Some(operation.requested_port.into()))
}

fn differences(operation: &Operation, event: &Event, unavailable: &[&str]) -> Vec<String> {
    expectations(operation)
        .into_iter()
        .filter(|(field, _)| !unavailable.contains(field))
        .filter_map(|(field, want)| want.objection(field, event.value(field)))
        .collect()
}

fn brief(operation: &Operation) -> String {
    format!(
        "[{}] {} {} errno={} local={}:{} requested={} remote={}:{} tid={}",
        operation.scene,
        operation.site.word(),
        operation.proto.word(),
        operation.errno.as_deref().unwrap_or("-"),
        operation.local_addr.map_or_else(|| "?".to_owned(), |addr| addr.to_string()),
        operation.local_port,
        operation.requested_port,
        operation.remote_addr.map_or_else(|| "-".to_owned(), |addr| addr.to_string()),
        operation.remote_port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
        operation.tid,
    )
}

#[cfg(test)]
mod tests;
