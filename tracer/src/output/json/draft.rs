//! The parts of lines that are the same from event to event: written once, then copied.

use super::{
    event::{asker, peer, settings},
    line::{Buffer, Line},
};
use crate::{enrich::Process, event::Event, output::Observation};

/// Two to this power are kept: about a megabyte when full.
const BITS: u32 = 10;

/// The parts of the lines that were written lately. A part is used again only for an event, and a process, of
/// which it would be written the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Drafts {
    /// Empty until the first event, each in the place that its likeness says.
    drafts: Vec<Draft>,
}

/// The parts of one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// What they were written of; none for nothing yet.
    of: Option<(Event, Process)>,
    asker: Vec<u8>,
    peer: Vec<u8>,
    settings: Vec<u8>,
}

impl Drafts {
    /// The parts of an event's line.
    #[inline]
    pub(super) fn of(&mut self, seen: &Observation<'_>, buffer: &mut Buffer) -> &Draft {
        if self.drafts.is_empty() {
            self.drafts.resize_with(1 << BITS, Draft::default);
        }
        let place = (seen.event.likeness() >> (u64::BITS - BITS)) as usize;
        let draft = &mut self.drafts[place];
        match &mut draft.of {
            Some((event, process)) if process.is(seen.process) && event.is_like(seen.event) => {
                if !event.has_peer_of(seen.event) {
                    *event = *seen.event;
                    part(&mut draft.peer, buffer, |line| peer(line, seen.event));
                }
            }
            _ => draft.write(seen, buffer),
        }
        draft
    }
}

impl Draft {
    #[inline(never)]
    fn write(&mut self, seen: &Observation<'_>, buffer: &mut Buffer) {
        self.of = Some((*seen.event, seen.process.clone()));
        part(&mut self.asker, buffer, |line| asker(line, seen));
        part(&mut self.peer, buffer, |line| peer(line, seen.event));
        part(&mut self.settings, buffer, |line| settings(line, seen.event));
    }

    /// From the site to the key of the local port.
    pub(super) fn asker(&self) -> &[u8] {
        &self.asker
    }

    /// From the port that was asked for to the key of the search.
    pub(super) fn peer(&self) -> &[u8] {
        &self.peer
    }

    /// From the range to the key of the socket.
    pub(super) fn settings(&self) -> &[u8] {
        &self.settings
    }
}

fn part(text: &mut Vec<u8>, buffer: &mut Buffer, write: impl FnOnce(&mut Line<'_>)) {
    text.clear();
    let mut line = Line::new(buffer, text);
    write(&mut line);
    line.finish();
}
