//! A line in the making: pieces of JSON written by hand into a buffer. A serializer takes six times as long.

mod pieces;

/// Bytes that are put together before they go on; most lines are shorter than 1,000.
const SIZE: usize = 4096;

/// Where pieces are put together.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8; SIZE]>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: Box::new([0; SIZE]) }
    }
}

/// A line that goes on to `out` when it is finished, or when it does not fit its buffer.
pub(super) struct Line<'a> {
    bytes: &'a mut [u8; SIZE],
    length: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> Line<'a> {
    /// Begins a line.
    pub(super) fn new(buffer: &'a mut Buffer, out: &'a mut Vec<u8>) -> Self {
        Self { bytes: &mut buffer.bytes, length: 0, out }
    }

    /// Hands on what has been put together.
    pub(super) fn finish(&mut self) {
        self.out.extend_from_slice(self.bytes.get(..self.length).unwrap_or_default());
        self.length = 0;
    }

    /// Appends bytes as they are.
    #[inline]
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.bytes.get_mut(self.length..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length = end;
            }
            None => self.spill(bytes),
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        self.finish();
        self.out.extend_from_slice(bytes);
    }

    /// Appends a text as it is.
    #[inline]
    pub(super) fn put(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }

    /// Appends as many bytes as there are.
    #[inline]
    pub(super) fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_bytes(&bytes);
    }

    /// Appends the first bytes of an array. It is copied whole: what is too much is written over later.
    #[inline]
    pub(super) fn put_some<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        match self.bytes.get_mut(self.length..self.length + N) {
            Some(room) => {
                room.copy_from_slice(&bytes);
                self.length += count;
            }
            None => self.spill(bytes.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
