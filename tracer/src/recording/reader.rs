//! Reading a recording, entry by entry.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    sync::Arc,
};

use arrow_buffer::Buffer;
use arrow_ipc::{MessageHeader, reader::read_record_batch, root_as_message};
use arrow_schema::SchemaRef;

use super::{
    LookNote, Note, Opening, PoolLook, ReadError,
    batch::ReadRows,
    format::{self, MOST_NOTE, NOTE, OPENING_KEY, PART, VERSION, VERSION_KEY},
    frame::{Frame, Frames},
    parts, socket_numbers,
};
use crate::{
    event::{KINDS, MonoNs, NetnsId, Row},
    stock::PoolKey,
};

/// What is in a recording.
#[derive(Debug)]
pub enum Entry {
    /// A record as the ring had it, but for the number of its socket, which counts sockets as they are first seen.
    Event(Row),
    /// Something else. Looks are complete.
    Note(Box<Note>),
}

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was ended.
    Complete,
    /// It was cut, behind this many whole batches.
    Cut {
        /// The byte up to which it was read.
        at: u64,
        /// The batches.
        batches: u64,
    },
}

/// An iterator over the entries of a recording, which ends after the first error.
#[derive(Debug)]
pub struct Reader<R> {
    frames: Frames<R>,
    schema: SchemaRef,
    opening: Opening,
    /// The batch that is being read, where it begins, and the next row.
    rows: Option<(ReadRows, u64)>,
    next: usize,
    batches: u64,
    /// The time of the last event and the number of sockets, within a batch.
    time: Option<MonoNs>,
    sockets: u64,
    /// A note of which some parts have been read.
    text: String,
    pools: BTreeMap<(NetnsId, PoolKey), PoolLook>,
    ending: Option<Ending>,
    failed: bool,
}

/// What is wrong with a batch.
type Wrong = String;

impl<R: Read> Reader<R> {
    /// Reads the beginning of a recording.
    ///
    /// # Errors
    ///
    /// It is none, or of a later version, or damaged, or cut before its first batch.
    pub fn open(file: R) -> Result<Self, ReadError> {
        let mut frames = Frames::new(file);
        let foreign = |why: &str| ReadError::Foreign(why.to_owned());
        let (metadata, body) = match frames.next().map_err(ReadError::Read)? {
            Frame::Message { metadata, body } => (metadata, body),
            Frame::End => return Err(foreign("an Arrow stream without a schema")),
            Frame::Cut => return Err(ReadError::Headless { at: frames.at() }),
            Frame::Damaged(what) => return Err(foreign(&format!("at its first byte, {what}"))),
        };
        let message = root_as_message(&metadata).map_err(|error| foreign(&error.to_string()))?;
        let schema = message.header_as_schema().filter(|_| body.is_empty());
        let schema = schema.ok_or_else(|| foreign("an Arrow stream that does not begin with a schema"))?;
        let metadata = metadata_of(&schema);
        let opening = opening(&metadata)?;
        let expected = format::schema(metadata);
        if !parts::is_of(&schema, &expected) {
            return Err(foreign("its columns are not those of a recording of this version"));
        }
        Ok(Self {
            frames,
            schema: expected,
            opening,
            rows: None,
            next: 0,
            batches: 0,
            time: None,
            sockets: 0,
            text: String::new(),
            pools: BTreeMap::new(),
            ending: None,
            failed: false,
        })
    }

    /// What it begins with.
    #[must_use]
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// How it ends; none before everything was read, and where that failed.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The next entry; none at the end.
    fn entry(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            let Some((rows, at)) = &self.rows else {
                if !self.batch()? {
                    return Ok(None);
                }
                continue;
            };
            let at = *at;
            if self.next >= rows.columns.len() {
                self.rows = None;
                continue;
            }
            match self.row() {
                Ok(Some(entry)) => return Ok(Some(entry)),
                Ok(None) => {}
                Err(what) => return Err(self.damaged(at, &what)),
            }
        }
    }

    fn damaged(&self, at: u64, what: &str) -> ReadError {
        ReadError::Damaged { at, batch: self.batches, what: what.to_owned() }
    }

    /// Reads a batch; whether there was one.
    fn batch(&mut self) -> Result<bool, ReadError> {
        let at = self.frames.at();
        match self.frames.next().map_err(ReadError::Read)? {
            Frame::Message { metadata, body } => {
                let rows = self.rows_of(&metadata, body).map_err(|what| self.damaged(at, &what))?;
                self.batches = self.batches.saturating_add(1);
                self.rows = Some((rows, at));
                self.next = 0;
                self.time = None;
                Ok(true)
            }
            Frame::End if self.text.is_empty() => {
                self.ending = Some(Ending::Complete);
                Ok(false)
            }
            Frame::End => Err(self.damaged(at, "it ends in the middle of a note")),
            Frame::Cut => {
                self.ending = Some(Ending::Cut { at, batches: self.batches });
                Ok(false)
            }
            Frame::Damaged(what) => Err(self.damaged(at, what)),
        }
    }

    fn rows_of(&self, metadata: &[u8], body: Vec<u8>) -> Result<ReadRows, Wrong> {
        let message = root_as_message(metadata).map_err(|error| error.to_string())?;
        if message.header_type() != MessageHeader::RecordBatch {
            return Err("it is no batch".to_owned());
        }
        let batch = message.header_as_record_batch().ok_or("it is no batch")?;
        if !parts::is_sound(&batch, &self.schema, &body) {
            return Err("its columns are not laid out as they were written".to_owned());
        }
        let body = Buffer::from_vec(body);
        let version = message.version();
        let batch =
            read_record_batch(&body, batch, Arc::clone(&self.schema), &HashMap::new(), None, &version)
                .map_err(|error| error.to_string())?;
        ReadRows::of(&batch).ok_or_else(|| "its columns are of other types".to_owned())
    }

    /// Takes the next row; none where it is a part of what follows.
    #[inline]
    fn row(&mut self) -> Result<Option<Entry>, Wrong> {
        let Some((rows, _)) = &self.rows else { return Ok(None) };
        let at = self.next;
        self.next = self.next.saturating_add(1);
        let kind = rows.columns.kind(at).unwrap_or(NOTE);
        if usize::from(kind) < KINDS {
            let time = self.time.ok_or("an event comes before its time is told")?;
            let delta = rows.times.get(at).copied().unwrap_or(0);
            let mono = MonoNs(time.0.saturating_add_signed(delta.into()));
            let socket = socket_numbers::number(rows.socket(at), &mut self.sockets);
            let row = rows.columns.row(at).ok_or("a row is missing")?;
            self.time = Some(mono);
            return Ok(Some(Entry::Event(row.with(mono, socket))));
        }
        let text = rows.text(at).ok_or("a note without a text")?;
        if self.text.len().saturating_add(text.len()) > MOST_NOTE {
            return Err("a note that is longer than one may be".to_owned());
        }
        self.text.push_str(text);
        match kind {
            PART => Ok(None),
            NOTE => self.note(),
            other => Err(format!("a row of the unknown kind {other}")),
        }
    }

    #[inline(never)]
    fn note(&mut self) -> Result<Option<Entry>, Wrong> {
        let text = std::mem::take(&mut self.text);
        let mut note: Note = serde_json::from_str(&text).map_err(|error| format!("a note: {error}"))?;
        match &mut note {
            Note::Time { mono, sockets } => {
                (self.time, self.sockets) = (Some(*mono), *sockets);
                return Ok(None);
            }
            Note::Look(look) => self.complete(look),
            _ => {}
        }
        Ok(Some(Entry::Note(Box::new(note))))
    }

    /// Adds the pools that have not changed since the last look.
    fn complete(&mut self, look: &mut LookNote) {
        for key in std::mem::take(&mut look.gone) {
            self.pools.remove(&key);
        }
        for pool in &look.pools {
            self.pools.insert((pool.netns, pool.key), *pool);
        }
        look.pools = self.pools.values().copied().collect();
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.ending.is_some() {
            return None;
        }
        let entry = self.entry();
        self.failed = entry.is_err();
        entry.transpose()
    }
}

fn metadata_of(schema: &arrow_ipc::Schema<'_>) -> HashMap<String, String> {
    let all = schema.custom_metadata().into_iter().flatten();
    all.filter_map(|pair| Some((pair.key()?.to_owned(), pair.value()?.to_owned()))).collect()
}

fn opening(metadata: &HashMap<String, String>) -> Result<Opening, ReadError> {
    let foreign = |why: String| ReadError::Foreign(why);
    let version = metadata.get(VERSION_KEY);
    let version =
        version.ok_or_else(|| foreign("an Arrow stream that portscope did not write".to_owned()))?;
    let found: u32 =
        version.parse().map_err(|_not_a_number| foreign(format!("its format is '{version}'")))?;
    if found > VERSION {
        return Err(ReadError::Later { found, known: VERSION });
    }
    let opening = metadata.get(OPENING_KEY).ok_or_else(|| foreign("it has no header".to_owned()))?;
    serde_json::from_str(opening).map_err(|error| foreign(format!("its header: {error}")))
}
