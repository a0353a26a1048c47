//! Segments that follow each other, as one recording.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Take},
};

/// The first segment with its header, then the batches of all others. It has no end: it reads like one that was cut.
#[derive(Debug)]
pub struct Splice(VecDeque<Take<File>>);

impl Splice {
    /// Of these files: each with where its first batch begins, and where its last one ends.
    pub(super) fn of(parts: Vec<(File, u64, u64)>) -> io::Result<Self> {
        let mut ranges = VecDeque::with_capacity(parts.len());
        for (mut file, head, end) in parts {
            let begin = if ranges.is_empty() { 0 } else { head };
            file.seek(SeekFrom::Start(begin))?;
            ranges.push_back(file.take(end.saturating_sub(begin)));
        }
        Ok(Self(ranges))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Read for Splice {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = self.0.front_mut() {
            let read = part.read(into)?;
            if read != 0 || into.is_empty() {
                return Ok(read);
            }
            if part.limit() != 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a segment has become shorter"));
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}
