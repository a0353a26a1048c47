//! Callers of a run that takes stacks: read from the kernel half now and then, and named while they live.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use super::accounts::kind;
use crate::{
    event::{Comm, Errno, Kind, Pid, StartTime},
    kernel::{
        Armed, KernelError,
        calls::{Call, Stacks},
    },
    output::records::{CallSiteRecord, CallSitesRecord, FrameRecord, MOST_SHOWN},
    symbols::{Addresses, Frame, Named, Namer, Outcome},
};

/// Reading the table takes no more than one part in so many of the time.
const THRIFT: u32 = 20;
/// So many stacks are named as soon as they are there; of further ones those alone that would be told.
const MOST_NAMED: usize = 1024;

/// Who calls from where.
#[derive(Debug)]
pub struct Callers {
    of: Stacks,
    namer: Namer,
    next: Instant,
}

impl Callers {
    /// Begins to look.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn begin(of: Stacks, proc_root: &Path) -> io::Result<Self> {
        Ok(Self { of, namer: Namer::begin(proc_root.to_owned())?, next: Instant::now() })
    }

    /// Has new stacks named, if it is time.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell.
    pub fn tick(&mut self, armed: &Armed) -> Result<(), KernelError> {
        let began = Instant::now();
        if began >= self.next {
            self.look(armed, |_| true)?;
            self.next = Instant::now() + pause(began.elapsed());
        }
        Ok(())
    }

    /// All calls of these processes, in order.
    fn look(&mut self, armed: &Armed, is_ours: impl Fn(Pid) -> bool) -> Result<Vec<Call>, KernelError> {
        let mut calls = armed.calls()?;
        calls.retain(|call| is_ours(Pid(call.pid)));
        sort(&mut calls);
        for call in shown(&calls) {
            self.name(armed, call)?;
        }
        for call in &calls {
            if self.namer.count() >= MOST_NAMED {
                break;
            }
            self.name(armed, call)?;
        }
        Ok(calls)
    }

    fn name(&mut self, armed: &Armed, call: &Call) -> Result<(), KernelError> {
        let Ok(stack) = call.stack else { return Ok(()) };
        let (pid, start) = process(call);
        if !self.namer.knows(pid, start, stack) {
            self.namer.name(stack, Addresses { pid, start, stack: armed.stack(stack)? });
        }
        Ok(())
    }

    /// What was found, of those processes that are ours.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell.
    pub fn end(
        &mut self,
        armed: &Armed,
        is_ours: impl Fn(Pid) -> bool,
    ) -> Result<CallSitesRecord, KernelError> {
        let calls = self.look(armed, is_ours)?;
        let uncounted = armed.counts()?.raw().calls_full;
        self.namer.settle();
        let named = |call: &Call, stack| {
            let (pid, start) = process(call);
            self.namer.named(pid, start, stack)
        };
        Ok(CallSitesRecord { of: word(self.of).to_owned(), uncounted, ..told(&calls, named) })
    }
}

fn pause(took: Duration) -> Duration {
    took.saturating_mul(THRIFT)
}

const fn word(of: Stacks) -> &'static str {
    match of {
        Stacks::All => "all",
        Stacks::Failures => "failures",
    }
}

fn process(call: &Call) -> (Pid, Option<StartTime>) {
    (Pid(call.pid), (call.start != 0).then_some(StartTime(call.start)))
}

/// Those with a stack first, refusals before others, the busiest before them.
fn sort(calls: &mut [Call]) {
    calls.sort_unstable_by_key(|call| {
        let Call { pid, kind, error, stack, count, .. } = *call;
        (stack.is_err(), error == 0, std::cmp::Reverse(count), pid, stack, kind, error)
    });
}

/// Those that are told, of calls in order: of each half the busiest. Many refusals would hide who has the ports.
fn shown(calls: &[Call]) -> impl Iterator<Item = &Call> {
    let half = |refused: bool| {
        let is_of_it = move |call: &&Call| call.stack.is_ok() && (call.error != 0) == refused;
        calls.iter().filter(is_of_it).take(MOST_SHOWN / 2)
    };
    half(true).chain(half(false))
}

/// The record of calls in order; `named` tells the frames of a stack.
fn told(calls: &[Call], named: impl Fn(&Call, u32) -> Option<Named>) -> CallSitesRecord {
    let mut record = CallSitesRecord { calls: sum(calls.iter()), ..CallSitesRecord::default() };
    for call in calls {
        if let Err(errno) = call.stack {
            *record.without_stack.entry(name(errno)).or_default() += call.count;
        }
    }
    let with_stack = || calls.iter().filter(|call| call.stack.is_ok());
    let refused = sum(with_stack().filter(|call| call.error != 0));
    let given = sum(with_stack().filter(|call| call.error == 0));
    for call in shown(calls) {
        let Ok(stack) = call.stack else { continue };
        let all = if call.error == 0 { given } else { refused };
        record.sites.push(site(call, named(call, stack), share(call.count, all)));
    }
    record.others = (refused + given).saturating_sub(record.sites.iter().map(|site| site.count).sum());
    record
}

fn sum<'a>(calls: impl Iterator<Item = &'a Call>) -> u64 {
    calls.map(|call| call.count).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a share to some digits")]
fn share(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}

fn name(errno: u8) -> String {
    let name = Errno::new(errno).and_then(Errno::name);
    name.map_or_else(|| errno.to_string(), str::to_owned)
}

fn site(call: &Call, named: Option<Named>, share: f64) -> CallSiteRecord {
    let Named { exe, frames, outcome } = named.unwrap_or_default();
    let (site, port_named) = match kind(call.kind) {
        Kind::Allocation(site) => (site.name(), false),
        Kind::Explicit(site) => (site.name(), true),
        Kind::Release(_) => ("", false),
    };
    CallSiteRecord {
        pid: call.pid,
        comm: Comm(call.comm).lossy().into_owned(),
        exe,
        site: site.to_owned(),
        port_named,
        error: (call.error != 0).then(|| name(call.error)),
        count: call.count,
        share,
        frames: frames.into_iter().map(frame).collect(),
        unnamed: match outcome {
            Outcome::Looked => None,
            Outcome::Gone => Some("gone".to_owned()),
            Outcome::Denied => Some("denied".to_owned()),
            Outcome::Pending => Some("pending".to_owned()),
        },
    }
}

fn frame(frame: Frame) -> FrameRecord {
    let Frame { address, module, module_offset, symbol, symbol_offset, file, line, inlined } = frame;
    FrameRecord {
        address: format!("{address:#x}"),
        module,
        module_offset,
        symbol,
        symbol_offset,
        file,
        line,
        inlined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(pid: u32, error: u8, stack: Result<u32, u8>, count: u64) -> Call {
        Call { pid, start: 7, comm: *b"client\0\0\0\0\0\0\0\0\0\0", kind: 0, error, stack, count }
    }

    fn nobody(_: &Call, _: u32) -> Option<Named> {
        None
    }

    fn told(mut calls: Vec<Call>, named: impl Fn(&Call, u32) -> Option<Named>) -> CallSitesRecord {
        sort(&mut calls);
        super::told(&calls, named)
    }

    #[test]
    fn refusals_come_first_and_each_half_has_its_shares() {
        let calls = vec![
            call(1, 0, Ok(3), 300),
            call(2, 99, Ok(4), 10),
            call(1, 0, Ok(5), 100),
            call(1, 99, Ok(3), 30),
            call(3, 0, Err(17), 5),
            call(3, 98, Err(14), 2),
        ];
        let record = told(calls, nobody);
        let rows: Vec<_> = record
            .sites
            .iter()
            .map(|site| (site.pid, site.error.as_deref(), site.count, site.share))
            .collect();
        assert_eq!(
            rows,
            [
                (1, Some("EADDRNOTAVAIL"), 30, 0.75),
                (2, Some("EADDRNOTAVAIL"), 10, 0.25),
                (1, None, 300, 0.75),
                (1, None, 100, 0.25),
            ]
        );
        assert_eq!((record.calls, record.others), (447, 0));
        let without: Vec<_> =
            record.without_stack.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(without, [("EEXIST", 5), ("EFAULT", 2)]);
        // No call is left out of the sum.
        assert_eq!(record.calls, 440 + 5 + 2);
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let calls = (0..200).map(|stack| call(1, 0, Ok(stack), u64::from(stack) + 1)).collect();
        let record = told(calls, nobody);
        assert_eq!(record.sites.len(), MOST_SHOWN / 2);
        assert_eq!(record.sites[0].count, 200);
        assert_eq!(record.others, (1..=150).sum::<u64>());
    }

    #[test]
    fn a_site_tells_what_was_asked_for_and_why_it_has_no_names() {
        let gone = |_: &Call, _| {
            let frames = vec![Frame { address: 0x1000, ..Frame::default() }];
            Some(Named { frames, outcome: Outcome::Gone, exe: None })
        };
        let record = told(vec![Call { kind: 5, ..call(1, 98, Ok(0), 1) }], gone);
        let site = &record.sites[0];
        assert_eq!(
            (site.site.as_str(), site.port_named, site.unnamed.as_deref()),
            ("bind", true, Some("gone"))
        );
        assert_eq!((site.comm.as_str(), site.frames[0].address.as_str()), ("client", "0x1000"));
        assert_eq!(told(vec![call(1, 200, Ok(0), 1)], gone).sites[0].error.as_deref(), Some("200"));
    }
}
