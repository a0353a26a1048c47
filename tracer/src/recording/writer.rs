//! Writing a recording.

use std::collections::HashMap;

use arrow_ipc::{
    CompressionType,
    writer::{CompressionContext, DictionaryTracker, IpcDataGenerator, IpcWriteOptions},
};
use arrow_schema::{ArrowError, SchemaRef};
use rustc_hash::FxHashMap;

use super::{
    LookNote, Note, Opening, PoolLook,
    batch::{NO_SOCKET, Rows},
    format::{self, NOTE, OPENING_KEY, PART, PART_BYTES, VERSION_KEY},
    frame,
    socket_numbers::SocketNumbers,
};
use crate::{
    event::{MonoNs, NetnsId, Row},
    stock::PoolKey,
};

/// Rows of a batch: when there are so many it is time to write them.
pub const MOST_ROWS: usize = 65_536;
/// Bytes of notes that a batch may have before it is time to write it.
const MOST_NOTES: usize = 8 << 20;

/// Turns events and notes into the bytes of a recording.
#[derive(Debug)]
pub struct Writer {
    schema: SchemaRef,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: CompressionContext,
    rows: Rows,
    note_bytes: usize,
    sockets: SocketNumbers,
    /// The time of the last event, if times are counted from it.
    last: Option<MonoNs>,
    looked: FxHashMap<(NetnsId, PoolKey), PoolLook>,
    /// The next look tells all pools: the last one is in another file.
    restates: bool,
}

impl Writer {
    /// Begins a recording; the first bytes go to `out`.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn begin(opening: &Opening, out: &mut Vec<u8>) -> Result<Self, ArrowError> {
        let version = format::version(&opening.facts);
        let opening = serde_json::to_string(opening).map_err(unwritable)?;
        let metadata =
            HashMap::from([(VERSION_KEY.to_owned(), version.to_string()), (OPENING_KEY.to_owned(), opening)]);
        let schema = format::schema(metadata);
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
        let mut dictionaries = DictionaryTracker::new(false);
        let first = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
            &schema,
            &mut dictionaries,
            &options,
        );
        frame::write(&first, out);
        Ok(Self {
            schema,
            options,
            dictionaries,
            context: CompressionContext::default(),
            rows: Rows::default(),
            note_bytes: 0,
            sockets: SocketNumbers::default(),
            last: None,
            looked: FxHashMap::default(),
            restates: false,
        })
    }

    /// Appends an event.
    ///
    /// # Errors
    ///
    /// None is to be expected.
    #[inline]
    pub fn event(&mut self, row: &Row) -> Result<(), ArrowError> {
        let delta = match self.last.and_then(|last| delta(last, row.mono())) {
            Some(delta) => delta,
            None => self.base(row.mono())?,
        };
        self.last = Some(row.mono());
        self.rows.columns.push(row);
        self.rows.times.push(delta);
        self.rows.sockets.push(self.sockets.back(row.socket()).unwrap_or(NO_SOCKET));
        Ok(())
    }

    /// Counts times from here on.
    #[inline(never)]
    fn base(&mut self, mono: MonoNs) -> Result<i32, ArrowError> {
        self.note(&Note::Time { mono, sockets: self.sockets.count() })?;
        Ok(0)
    }

    /// Appends a note.
    ///
    /// # Errors
    ///
    /// None is to be expected.
    pub fn note(&mut self, note: &Note) -> Result<(), ArrowError> {
        let text = serde_json::to_string(note).map_err(unwritable)?;
        self.note_bytes = self.note_bytes.saturating_add(text.len());
        let mut rest = text.as_str();
        loop {
            // A part ends where a character does.
            let mut end = rest.len().min(PART_BYTES);
            while !rest.is_char_boundary(end) {
                end = end.saturating_sub(1);
            }
            let (part, more) = rest.split_at(end);
            self.rows.texts.push((self.rows.columns.len(), part.to_owned()));
            self.rows.columns.push_other(if more.is_empty() { NOTE } else { PART });
            self.rows.times.push(0);
            self.rows.sockets.push(NO_SOCKET);
            if more.is_empty() {
                return Ok(());
            }
            rest = more;
        }
    }

    /// Appends a look: of its pools only those that have changed.
    ///
    /// # Errors
    ///
    /// None is to be expected.
    pub fn look(&mut self, look: LookNote) -> Result<(), ArrowError> {
        let mut before = std::mem::take(&mut self.looked);
        let mut changed = Vec::new();
        for pool in look.pools {
            let key = (pool.netns, pool.key);
            if before.remove(&key) != Some(pool) || self.restates {
                changed.push(pool);
            }
            self.looked.insert(key, pool);
        }
        let gone = before.into_keys().collect();
        self.restates = false;
        self.note(&Note::Look(LookNote { pools: changed, gone, ..look }))
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.columns.is_empty()
    }

    /// Whether it is time to write, for want of room.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.rows.columns.len() >= MOST_ROWS || self.note_bytes >= MOST_NOTES
    }

    /// Appends a batch of what was gathered to `out`. What comes later can be read without it, but for processes and
    /// settings that were told.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.is_empty() {
            return Ok(());
        }
        self.note_bytes = 0;
        self.last = None;
        let batch = self.rows.take(&self.schema)?;
        let (_, message) = IpcDataGenerator::default().encode(
            &batch,
            &mut self.dictionaries,
            &self.options,
            &mut self.context,
        )?;
        frame::write(&message, out);
        Ok(())
    }

    /// Begins another file, whose first bytes go to `out`. Sockets are numbered on: batches of both files can stand
    /// in one.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn next(&mut self, opening: &Opening, out: &mut Vec<u8>) -> Result<Self, ArrowError> {
        let next = Self::begin(opening, out)?;
        Ok(Self {
            sockets: std::mem::take(&mut self.sockets),
            looked: std::mem::take(&mut self.looked),
            restates: true,
            ..next
        })
    }

    /// Appends nothing but a batch of these notes to `out`: for the end of a file that others began.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn postscript(opening: &Opening, notes: &[Note], out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let mut writer = Self::begin(opening, &mut Vec::new())?;
        for note in notes {
            writer.note(note)?;
        }
        writer.end(out)
    }

    /// Writes what is left, and the end.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.end_file(out)
    }

    /// The same, where another file goes on: nothing but [`Self::next`] may follow.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn end_file(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.flush(out)?;
        out.extend_from_slice(&frame::END);
        Ok(())
    }
}

fn unwritable(error: serde_json::Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// Nanoseconds from one time to another, either way; none where that does not fit.
#[inline]
fn delta(from: MonoNs, to: MonoNs) -> Option<i32> {
    i32::try_from(i64::try_from(to.0).ok()?.checked_sub(i64::try_from(from.0).ok()?)?).ok()
}
