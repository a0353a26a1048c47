//! Recordings of several hosts, event by event in the order of the time of day.

use std::io::{self, Read};

use super::{Consumer as _, Observer, Outlet, Player as _, Replay, Replayed};
use crate::recording::{Chain, Entry, ReadError};

/// Output is passed on at this size.
const PORTION: usize = 256 * 1024;

/// A host among others.
pub struct Member<'c, 'a, R> {
    /// What was recorded.
    pub chain: &'c mut Chain<R>,
    /// How far it was read.
    pub replay: Replay,
    /// Where its events go.
    pub observer: Observer<'a>,
    next: Option<Entry>,
    is_over: bool,
}

/// Which one failed, and how.
#[derive(Debug)]
pub enum MergeError {
    /// This recording.
    Read(usize, ReadError),
    /// Output cannot be written.
    Write(io::Error),
}

impl<'c, 'a, R: Read> Member<'c, 'a, R> {
    /// Nothing read yet.
    #[must_use]
    pub fn new(chain: &'c mut Chain<R>, replay: Replay, mut observer: Observer<'a>) -> Self {
        observer.begin_batch();
        Self { chain, replay, observer, next: None, is_over: false }
    }

    /// Reads up to the next event; its time of day, if there is one.
    fn peek(&mut self, out: &mut Vec<u8>) -> Result<Option<i64>, ReadError> {
        while !self.is_over && self.next.is_none() {
            match self.chain.next() {
                None => self.is_over = true,
                Some(Err(error)) if self.replay.can_do_without(&error) => self.is_over = true,
                Some(Err(error)) => return Err(error),
                Some(Ok(entry @ Entry::Event(_))) => self.next = Some(entry),
                Some(Ok(note)) => self.replay.take(note, &mut self.observer, out),
            }
        }
        let Some(Entry::Event(row)) = &self.next else { return Ok(None) };
        Ok(Some(self.replay.told().clock.utc(row.mono()).0))
    }

    /// What was told, when no more is to be read.
    #[must_use]
    pub fn end(self) -> (Replayed, Observer<'a>) {
        let Self { chain, replay, mut observer, .. } = self;
        observer.end_batch();
        let told = replay.end(chain.ending());
        observer.reached(told.at);
        (told, observer)
    }
}

/// Reads all of them, up to so many events.
///
/// # Errors
///
/// One that is damaged, and output that cannot be written.
pub fn merge<R: Read>(
    members: &mut [Member<'_, '_, R>],
    most: Option<u64>,
    outlet: &mut impl Outlet,
) -> Result<(), MergeError> {
    let mut out = Vec::new();
    loop {
        let mut first = None;
        for (at, member) in members.iter_mut().enumerate() {
            match member.peek(&mut out) {
                Ok(None) => {}
                Ok(Some(utc)) => {
                    if first.is_none_or(|(earliest, _)| utc < earliest) {
                        first = Some((utc, at));
                    }
                }
                Err(error) => {
                    // What came before is to be seen, whatever is wrong behind it.
                    outlet.flush(&mut out).map_err(MergeError::Write)?;
                    return Err(MergeError::Read(at, error));
                }
            }
        }
        let told: u64 = members.iter().map(|member| member.observer.intake().emitted()).sum();
        let is_full = most.is_some_and(|most| told >= most);
        let next = first.filter(|_| !is_full).and_then(|(_, at)| members.get_mut(at));
        let Some(member) = next else { break };
        if let Some(entry) = member.next.take() {
            member.replay.take(entry, &mut member.observer, &mut out);
        }
        if out.len() >= PORTION {
            outlet.flush(&mut out).map_err(MergeError::Write)?;
        }
    }
    outlet.flush(&mut out).map_err(MergeError::Write)
}

#[cfg(test)]
mod tests;
