//! Messages of an Arrow stream, each sealed where readers of Arrow look for padding.
//!
//! ```text
//! ff ff ff ff | length of metadata, i32 | metadata (flatbuffer) | 0 to 7 zeros | seal | body
//! ```
//!
//! All numbers are little-endian; the length of the metadata takes in the zeros and the seal. The seal: CRC-32 of the
//! body, its length (both u32), CRC-32 of everything from the first byte of the message up to here, and `SEAL`.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
};

use arrow_ipc::writer::EncodedData;

use super::format::{MOST_BODY, MOST_METADATA};

const CONTINUATION: [u8; 4] = [0xff; 4];
const SEAL: [u8; 4] = *b"SEAL";
const SEAL_BYTES: usize = 16;
/// The end of an Arrow stream.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Whether this file begins as a recording does. What cannot be wound back, a pipe, does not.
///
/// # Errors
///
/// It cannot be read.
pub fn is_recording(file: &mut File) -> io::Result<bool> {
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut mark = Vec::new();
    Read::by_ref(file).take(4).read_to_end(&mut mark)?;
    file.rewind()?;
    Ok(mark == CONTINUATION)
}
/// What a recording ends with that was ended: a file that ends so was not cut, whatever its messages say. The second half
/// lies behind the end of the stream, where readers of Arrow do not look.
pub(super) const END: [u8; 16] = *b"\xff\xff\xff\xff\0\0\0\0the end\n";

/// Appends a message with its seal.
pub(super) fn write(message: &EncodedData, out: &mut Vec<u8>) {
    let EncodedData { ipc_message, arrow_data } = message;
    let begin = out.len();
    let zeros = ipc_message.len().wrapping_neg() & 7;
    let length = ipc_message.len().saturating_add(zeros).saturating_add(SEAL_BYTES);
    out.extend_from_slice(&CONTINUATION);
    out.extend_from_slice(&le(length));
    out.extend_from_slice(ipc_message);
    out.extend_from_slice([0; 8].get(..zeros).unwrap_or_default());
    out.extend_from_slice(&crc32fast::hash(arrow_data).to_le_bytes());
    out.extend_from_slice(&le(arrow_data.len()));
    let all = crc32fast::hash(out.get(begin..).unwrap_or_default());
    out.extend_from_slice(&all.to_le_bytes());
    out.extend_from_slice(&SEAL);
    out.extend_from_slice(arrow_data);
}

fn le(length: usize) -> [u8; 4] {
    // Both lengths are far below: a batch is bounded.
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// The same messages with seals that hold, as far as they can be told apart: for fuzzing what lies behind the seals.
#[must_use]
pub fn seal_anew(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some((prefix, behind)) = rest.split_at_checked(8) {
        let Some(length) = length_of(prefix) else { break };
        let Some((metadata, behind)) = behind.split_at_checked(length) else { break };
        let (metadata, seal) = metadata.split_at(length.saturating_sub(SEAL_BYTES));
        let promised = seal.get(4..8).and_then(|bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?)));
        let body = promised.and_then(|length| usize::try_from(length).ok()).unwrap_or(0).min(behind.len());
        let (body, behind) = behind.split_at(body);
        write(&EncodedData { ipc_message: metadata.to_vec(), arrow_data: body.to_vec() }, &mut out);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out
}

/// Where the first message of a stream ends that has no body, as the schema has none.
pub(super) fn head(stream: &[u8]) -> u64 {
    let length = stream.get(..8).and_then(length_of_metadata);
    length.map_or(0, |length| u64::from(length).saturating_add(8))
}

/// The number behind the mark.
fn length_of_metadata(prefix: &[u8]) -> Option<u32> {
    prefix.split_first_chunk::<4>()?.1.first_chunk().map(|length| u32::from_le_bytes(*length))
}

/// What comes next in a stream.
#[derive(Debug)]
pub(super) enum Frame {
    /// A message whose seals hold.
    Message { metadata: Vec<u8>, body: Vec<u8> },
    /// The end that was written.
    End,
    /// The file ends here, or in the middle of a message.
    Cut,
    /// Something that was not written so.
    Damaged(&'static str),
}

/// Reads messages, and knows where it is.
#[derive(Debug)]
pub(super) struct Frames<R> {
    file: R,
    /// Where the next message begins.
    at: u64,
}

impl<R: Read> Frames<R> {
    pub(super) const fn new(file: R) -> Self {
        Self { file, at: 0 }
    }

    /// Where the next message begins.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// The next message.
    pub(super) fn next(&mut self) -> io::Result<Frame> {
        let mut read = Vec::new();
        if !self.more(&mut read, 8)? {
            let begins = CONTINUATION.iter().zip(&read).all(|(due, found)| due == found);
            let is_nothing = read.iter().all(|byte| *byte == 0);
            return Ok(if begins || is_nothing {
                Frame::Cut
            } else {
                Frame::Damaged("no message begins here")
            });
        }
        if read == END_OF_STREAM {
            let limit = u64::try_from(END.len()).unwrap_or(u64::MAX);
            self.file.by_ref().take(limit).read_to_end(&mut read)?;
            let is_end = END.starts_with(&read);
            return Ok(if is_end { Frame::End } else { Frame::Damaged("something comes after its end") });
        }
        // What a file system has made longer and never filled is zeros.
        if read == [0; 8] && self.rest_is_zeros()? {
            return Ok(Frame::Cut);
        }
        let Some(length) = length_of(&read) else {
            return Ok(Frame::Damaged("no message begins here"));
        };
        if !self.more(&mut read, length)? {
            return Ok(cut(&read));
        }
        let Some(seal) = sealed(&read) else {
            return Ok(Frame::Damaged("the seal of its header is broken"));
        };
        let mut body = Vec::new();
        if seal.body > MOST_BODY {
            return Ok(Frame::Damaged("it is longer than a message may be"));
        }
        if !self.more(&mut body, seal.body)? {
            return Ok(cut(&body));
        }
        if crc32fast::hash(&body) != seal.crc {
            return Ok(Frame::Damaged("the seal of its body is broken"));
        }
        let bytes = read.len().saturating_add(body.len());
        self.at = self.at.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let metadata = read.get(8..read.len().saturating_sub(SEAL_BYTES)).unwrap_or_default().to_vec();
        Ok(Frame::Message { metadata, body })
    }

    /// Appends so many bytes; whether there were as many. Memory is taken as they come, not as they are promised.
    fn more(&mut self, into: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
        let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
        let read = self.file.by_ref().take(limit).read_to_end(into)?;
        Ok(read == bytes)
    }

    fn rest_is_zeros(&mut self) -> io::Result<bool> {
        let mut part = [0; 4096];
        loop {
            match self.file.read(&mut part) {
                Ok(0) => return Ok(true),
                Ok(read) if part.iter().take(read).all(|byte| *byte == 0) => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What it means that a file ends inside of a message: it was cut, unless it ends as one that was ended.
fn cut(rest: &[u8]) -> Frame {
    if rest.ends_with(&END) { Frame::Damaged("it is longer than the file") } else { Frame::Cut }
}

/// The length of the metadata, from the first 8 bytes of a message.
fn length_of(prefix: &[u8]) -> Option<usize> {
    let (mark, length) = prefix.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length.first_chunk()?)).ok()?;
    (*mark == CONTINUATION && (SEAL_BYTES..=MOST_METADATA).contains(&length) && length.is_multiple_of(8))
        .then_some(length)
}

/// What a seal says of the body.
struct Seal {
    crc: u32,
    body: usize,
}

/// The seal at the end of a message's metadata; none where it is broken.
fn sealed(message: &[u8]) -> Option<Seal> {
    let (rest, mark) = message.split_last_chunk::<4>()?;
    let (rest, all) = rest.split_last_chunk::<4>()?;
    let (before, body) = rest.split_last_chunk::<4>()?;
    let (_, crc) = before.split_last_chunk::<4>()?;
    let holds = *mark == SEAL && crc32fast::hash(rest) == u32::from_le_bytes(*all);
    holds.then(|| {
        Some(Seal { crc: u32::from_le_bytes(*crc), body: usize::try_from(u32::from_le_bytes(*body)).ok()? })
    })?
}
