//! Several recordings of one host and boot, one after the other, as if they were one.
//!
//! What two of them have is passed once: of the one that begins later, events that are not later than those that were
//! passed before are left out, unless it goes on where the one before it ended.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Read,
};

use super::{Account, Ending, Entry, Note, Opening, ReadError, Reader};
use crate::event::{MonoNs, Row};

/// A recording among others.
#[derive(Debug)]
pub struct Part<R> {
    /// What to call it.
    pub name: String,
    /// Its entries.
    pub reader: Reader<R>,
}

/// Recordings of one host and boot.
#[derive(Debug)]
pub struct Chain<R> {
    opening: Opening,
    /// The one that is being read, or was read last, and those after it.
    now: Part<R>,
    rest: VecDeque<Part<R>>,
    /// What was read and not yet passed on.
    pending: VecDeque<Entry>,
    /// The latest event that was passed.
    reached: Option<MonoNs>,
    /// Where the one that is being read overlaps with those before it: up to here.
    skips: Option<MonoNs>,
    skipped: u64,
    /// The filters are not those of the one before.
    differs: bool,
    /// The number of sockets in those before, and the highest one of this one.
    sockets: (u64, u64),
    head: Head,
    /// The accounts of those before; where those of this one are counted from; its last ones.
    carried: Account,
    base: Account,
    last: Account,
    /// Lost events by their cells: of those before; where those of this one are counted from, if that was told; of this
    /// one, once it has told an end.
    lost_cells: BTreeMap<u32, u64>,
    base_cells: Option<BTreeMap<u32, u64>>,
    own_cells: Option<BTreeMap<u32, u64>>,
    /// The last accounts of the one before, unless its last events were left out.
    joint: Option<MonoNs>,
    /// The one before ended then.
    ended: Option<MonoNs>,
    gaps: Vec<[MonoNs; 2]>,
    cuts: Vec<(String, Ending)>,
}

/// How far the beginning of a recording was read: what was counted before it, where it goes on, then settings, then the
/// scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Before,
    Scene,
    Over,
}

/// What is not recorded for less than this is no gap.
const GAP_NS: u64 = 5_000_000_000;

impl<R: Read> Chain<R> {
    /// Of one recording.
    #[must_use]
    pub fn of(name: String, reader: Reader<R>) -> Self {
        Self::new(Part { name, reader }, VecDeque::new())
    }

    /// Of these, in the order of their beginnings.
    #[must_use]
    pub fn new(first: Part<R>, rest: VecDeque<Part<R>>) -> Self {
        let mut opening = first.reader.opening().clone();
        for part in &rest {
            join(&mut opening, part.reader.opening());
        }
        Self {
            opening,
            now: first,
            rest,
            pending: VecDeque::new(),
            reached: None,
            skips: None,
            skipped: 0,
            differs: false,
            sockets: (0, 0),
            head: Head::Before,
            carried: Account::default(),
            base: Account::default(),
            last: Account::default(),
            lost_cells: BTreeMap::new(),
            base_cells: Some(BTreeMap::new()),
            own_cells: None,
            joint: None,
            ended: None,
            gaps: Vec::new(),
            cuts: Vec::new(),
        }
    }

    /// What it begins with; namespaces and what could not be seen of all of them.
    #[must_use]
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The name of the recording that is being read, or was read last.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.now.name
    }

    /// How the last one ends; none before everything was read.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        if self.rest.is_empty() { self.now.reader.ending() } else { None }
    }

    /// Those that were cut.
    #[must_use]
    pub fn cuts(&self) -> &[(String, Ending)] {
        &self.cuts
    }

    /// Times in which nothing was recorded, from their beginnings to their ends.
    #[must_use]
    pub fn gaps(&self) -> &[[MonoNs; 2]] {
        &self.gaps
    }

    /// Events that were left out because an earlier recording has them.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Goes on with the next recording; whether there is one.
    fn advance(&mut self) -> bool {
        let ending = self.now.reader.ending();
        if let Some(cut @ Ending::Cut { .. }) = ending
            && !self.cuts.iter().any(|(name, _)| *name == self.now.name)
        {
            self.cuts.push((self.now.name.clone(), cut));
        }
        let Some(next) = self.rest.pop_front() else { return false };
        let before = std::mem::replace(&mut self.now, next);
        let opening = self.now.reader.opening();
        self.differs = opening.header.filters != before.reader.opening().header.filters;
        let was_passed = self.skips.is_none();
        self.joint = was_passed.then_some(self.last.at);
        let until = self.reached.unwrap_or_default().max(self.last.at);
        self.ended = Some(self.ended.unwrap_or_default().max(until));
        self.skips = self.reached;
        let contributed = self.last.since(&self.base);
        let cells = self.own_cells.take().unwrap_or_else(|| contributed.cells());
        add(&mut self.lost_cells, cells);
        self.base_cells = Some(BTreeMap::new());
        self.carried = contributed.beside(&self.carried);
        (self.base, self.last) = (Account::default(), Account { at: self.last.at, ..Account::default() });
        self.head = Head::Before;
        self.sockets.0 = self.sockets.1;
        self.pending
            .push_back(Entry::Note(Box::new(Note::Clock { offset_ns: opening.facts.clock_offset_ns })));
        true
    }

    /// Takes an entry of the recording that is being read.
    fn pass(&mut self, entry: Entry) -> Result<(), ReadError> {
        match entry {
            Entry::Event(row) => self.event(row),
            Entry::Note(note) => {
                self.note(note);
                Ok(())
            }
        }
    }

    fn event(&mut self, row: Row) -> Result<(), ReadError> {
        self.head = Head::Over;
        if self.skips.is_some_and(|until| row.mono() <= until) {
            if self.differs {
                return Err(ReadError::Beside);
            }
            self.skipped = self.skipped.saturating_add(1);
            // What is told of this one alone.
            let is_of_next =
                |entry: &Entry| matches!(entry, Entry::Note(note) if matches!(**note, Note::Holders { .. }));
            self.pending.retain(|entry| !is_of_next(entry));
            return Ok(());
        }
        self.reached = self.reached.max(Some(row.mono()));
        let row = match row.socket() {
            0 => row,
            number => {
                let number = number.saturating_add(self.sockets.0);
                self.sockets.1 = self.sockets.1.max(number);
                row.with(row.mono(), number)
            }
        };
        self.pending.push_back(Entry::Event(row));
        Ok(())
    }

    /// Whether accounts are of a time that another recording has told of.
    fn is_counted(&self, account: &Account) -> bool {
        self.skips.is_some() && self.ended.is_some_and(|ended| account.at <= ended)
    }

    fn note(&mut self, mut note: Box<Note>) {
        let head = std::mem::replace(&mut self.head, Head::Over);
        let is_old = |at: MonoNs| self.skips.is_some_and(|until| at <= until);
        match &mut *note {
            Note::Before(before) => {
                // In the middle of a file it is of one that goes on there: its accounts do, too.
                if head == Head::Before {
                    // It goes on: from the one before, or from one that is not read.
                    if self.joint == Some(before.account.at) {
                        self.skips = None;
                    }
                    self.base = std::mem::take(&mut before.account);
                    self.base_cells = Some(before.lost_cells.iter().copied().collect());
                    self.head = Head::Scene;
                }
                return;
            }
            // Settings come before the scene.
            Note::Config(_) => self.head = head,
            Note::Scene(scene) => {
                let began = scene.stock.began;
                if head != Head::Over {
                    let gap = self.ended.filter(|ended| began.since(*ended) > GAP_NS);
                    self.gaps.extend(gap.map(|ended| [ended, began]));
                }
                if is_old(began) {
                    return;
                }
            }
            Note::Look(look) if is_old(look.at) => return,
            Note::Account(account) => {
                if self.is_counted(account) {
                    (self.base, self.base_cells) = (account.clone(), None);
                }
                self.last = std::mem::take(account);
                *account = self.last.since(&self.base).beside(&self.carried);
            }
            Note::End(end) => {
                if self.is_counted(&end.account) {
                    let cells = end.lost_cells.iter().copied().collect();
                    (self.base, self.base_cells) = (end.account.clone(), Some(cells));
                }
                self.last = std::mem::take(&mut end.account);
                let own = self.last.since(&self.base);
                let cells = match &self.base_cells {
                    Some(base) => since(&end.lost_cells, base),
                    None => own.cells(),
                };
                end.account = own.beside(&self.carried);
                let mut all = self.lost_cells.clone();
                add(&mut all, cells.clone());
                self.own_cells = Some(cells);
                end.lost_cells = all.into_iter().collect();
            }
            _ => {}
        }
        self.pending.push_back(Entry::Note(note));
    }
}

fn add(cells: &mut BTreeMap<u32, u64>, more: BTreeMap<u32, u64>) {
    for (cell, count) in more {
        let sum = cells.entry(cell).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// What came since then.
fn since(cells: &[(u32, u64)], base: &BTreeMap<u32, u64>) -> BTreeMap<u32, u64> {
    let had = |cell| base.get(cell).copied().unwrap_or(0);
    let since = cells.iter().map(|(cell, count)| (*cell, count.saturating_sub(had(cell))));
    since.filter(|(_, count)| *count != 0).collect()
}

/// Adds what a later recording begins with.
fn join(opening: &mut Opening, later: &Opening) {
    let Opening { header, facts } = opening;
    for netns in &later.header.netns {
        if !header.netns.iter().any(|known| known.id == netns.id) {
            header.netns.push(netns.clone());
        }
    }
    for (known, more) in [
        (&mut header.fields_unavailable, &later.header.fields_unavailable),
        (&mut header.fields_approximate, &later.header.fields_approximate),
    ] {
        let news: Vec<String> = more.iter().filter(|field| !known.contains(field)).cloned().collect();
        known.extend(news);
    }
    facts.start = facts.start.min(later.facts.start);
    facts.releases &= later.facts.releases;
}

impl<R: Read> Iterator for Chain<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Who held the port of the next event is kept until it is known whether that is passed.
            let waits = self.skips.is_some()
                && matches!(self.pending.front(), Some(Entry::Note(note)) if matches!(**note, Note::Holders { .. }))
                && self.pending.len() == 1;
            if !waits && let Some(entry) = self.pending.pop_front() {
                return Some(Ok(entry));
            }
            match self.now.reader.next() {
                Some(Ok(Entry::Event(row)))
                    if self.sockets.0 == 0 && self.skips.is_none() && self.rest.is_empty() =>
                {
                    // Nothing before it or behind it: as it is.
                    self.head = Head::Over;
                    return Some(Ok(Entry::Event(row)));
                }
                Some(Ok(entry)) => {
                    if let Err(error) = self.pass(entry) {
                        return Some(Err(error));
                    }
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.advance() => {}
                None => return self.pending.pop_front().map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests;
