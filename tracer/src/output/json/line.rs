//! A line in the making: pieces of JSON written by hand into a buffer. A serializer takes six times as long.

use std::{
    io::Write as _,
    mem,
    net::{IpAddr, Ipv4Addr},
};

use super::digits::{OCTETS, hex_digits};
use crate::{
    enrich::{ascii, eight_digits, push_json_string},
    event::{Comm, Errno, Options, PortRange},
};

/// What is left of a buffer, and whether something did not fit into it.
pub(super) struct Line<'a> {
    rest: &'a mut [u8],
    size: usize,
    full: bool,
}

impl<'a> Line<'a> {
    /// Begins a line at the start of a buffer.
    pub(super) fn new(buffer: &'a mut [u8]) -> Self {
        let size = buffer.len();
        Self { rest: buffer, size, full: false }
    }

    /// How many bytes were written, unless the buffer was too small.
    pub(super) const fn length(&self) -> Option<usize> {
        if self.full { None } else { Some(self.size - self.rest.len()) }
    }

    #[inline]
    fn put_bytes(&mut self, bytes: &[u8]) {
        match mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((room, rest)) => {
                room.copy_from_slice(bytes);
                self.rest = rest;
            }
            None => self.full = true,
        }
    }

    /// Appends a text as it is.
    #[inline]
    pub(super) fn put(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }

    /// Appends as many bytes as there are.
    #[inline]
    pub(super) fn put_array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_some(bytes, N);
    }

    /// Appends the first bytes of an array. It is copied whole: what is too much is written over later.
    #[inline]
    fn put_some<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        let rest = mem::take(&mut self.rest);
        if let Some(room) = rest.first_chunk_mut::<N>() {
            *room = bytes;
        }
        match rest.get_mut(count..) {
            Some(rest) if rest.len() + count >= N => self.rest = rest,
            _ => self.full = true,
        }
    }

    /// Appends a number, or `null`.
    #[inline]
    pub(super) fn number(&mut self, number: Option<impl Into<u64>>) {
        match number {
            Some(number) => self.decimal(number.into()),
            None => self.put("null"),
        }
    }

    /// Appends a number.
    pub(super) fn decimal(&mut self, number: u64) {
        const EIGHT: u64 = 100_000_000;
        if number < 10 {
            self.put_array([b'0' | (number & 15) as u8]);
        } else if number < EIGHT {
            let digits = eight_digits(number);
            let zeros = digits.trailing_zeros() & !7;
            self.put_some(ascii(digits >> zeros), 8 - (zeros / 8) as usize);
        } else {
            self.decimal(number / EIGHT);
            self.put_array(ascii(eight_digits(number % EIGHT)));
        }
    }

    /// Appends `true`, `false` or `null`.
    pub(super) fn boolean(&mut self, answer: Option<bool>) {
        self.put(match answer {
            Some(true) => "true",
            Some(false) => "false",
            None => "null",
        });
    }

    /// Appends a word that needs no escapes as a string, or `null`.
    pub(super) fn word(&mut self, word: Option<&str>) {
        match word {
            Some(word) => {
                self.put("\"");
                self.put(word);
                self.put("\"");
            }
            None => self.put("null"),
        }
    }

    /// Appends any text as a string.
    #[cold]
    pub(super) fn string(&mut self, text: &str) {
        let mut quoted = Vec::new();
        push_json_string(&mut quoted, text);
        self.put_bytes(&quoted);
    }

    /// Appends the name of an errno as a string, or `null`.
    pub(super) fn errno(&mut self, errno: Option<Errno>) {
        match errno {
            Some(errno) if errno.name().is_none() => self.word(Some(&errno.to_string())),
            errno => self.word(errno.and_then(Errno::name)),
        }
    }

    /// Appends a thread's name as a string, or `null`.
    #[inline]
    pub(super) fn comm(&mut self, comm: Option<Comm>) {
        match comm {
            None => self.put("null"),
            Some(comm) if is_plain_or_nul(u128::from_le_bytes(comm.0)) => {
                self.put("\"");
                self.put_some(comm.0, comm.bytes().len());
                self.put("\"");
            }
            Some(comm) => self.string(&comm.lossy()),
        }
    }

    /// Appends an address as a string, or `null`.
    #[inline]
    pub(super) fn addr(&mut self, addr: Option<IpAddr>) {
        match addr {
            None => self.put("null"),
            Some(IpAddr::V4(addr)) => self.ipv4(addr),
            Some(IpAddr::V6(addr)) => {
                let mut text = Vec::with_capacity(48);
                // Writing to a vector cannot fail.
                let _infallible = write!(text, "\"{addr}\"");
                self.put_bytes(&text);
            }
        }
    }

    fn ipv4(&mut self, addr: Ipv4Addr) {
        let [a, b, c, d] = addr.octets();
        self.put("\"");
        for octet in [a, b, c] {
            let (digits, count) = OCTETS[usize::from(octet)];
            self.put_some(digits, count + 1);
        }
        let (digits, count) = OCTETS[usize::from(d)];
        self.put_some(digits, count);
        self.put("\"");
    }

    /// Appends a range as a list of two ports, or `null`.
    pub(super) fn range(&mut self, range: Option<PortRange>) {
        let Some(range) = range else {
            return self.put("null");
        };
        self.put("[");
        self.decimal(range.low().into());
        self.put(",");
        self.decimal(range.high().into());
        self.put("]");
    }

    /// Appends the names of options as a list, or `null`.
    pub(super) fn options(&mut self, options: Option<Options>) {
        match options {
            None => self.put("null"),
            Some(options) if options.is_empty() => self.put("[]"),
            Some(options) => {
                let mut before = "[";
                for option in options.iter() {
                    self.put(before);
                    self.word(Some(option.name));
                    before = ",";
                }
                self.put("]");
            }
        }
    }

    /// Appends a number in hexadecimal digits as a string.
    pub(super) fn hex(&mut self, number: u64) {
        let zeros = (number | 1).leading_zeros() / 4;
        let shifted = number << (zeros * 4);
        let count = 16 - zeros as usize;
        self.put("\"");
        self.put_some(hex_digits(shifted >> 32), count.min(8));
        self.put_some(hex_digits(shifted & 0xffff_ffff), count.saturating_sub(8));
        self.put("\"");
    }

    /// Appends a value as a serializer writes it, or `null` where it cannot.
    pub(super) fn serialize(&mut self, value: &impl serde::Serialize) {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.put_bytes(&bytes),
            Err(_) => self.put("null"),
        }
    }
}

/// Whether each of 16 bytes is NUL or a character that [`crate::enrich::is_plain`], all at once.
#[inline]
const fn is_plain_or_nul(bytes: u128) -> bool {
    const ONES: u128 = u128::from_le_bytes([1; 16]);
    const HIGH: u128 = ONES << 7;
    // The high bit of each byte that is NUL becomes a blank.
    let nuls = !(((bytes & !HIGH) + !HIGH) | bytes) & HIGH;
    let text = bytes | nuls >> 2;
    let (quotes, slashes) = (text ^ (ONES * b'"' as u128), text ^ (ONES * b'\\' as u128));
    // Below a blank, DEL, above ASCII, a quote, a backslash: the lowest such byte always shows.
    let bad = text.wrapping_sub(ONES * (b' ' as u128))
        | text.wrapping_add(ONES)
        | text
        | (quotes.wrapping_sub(ONES) & !quotes)
        | (slashes.wrapping_sub(ONES) & !slashes);
    bad & HIGH == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::enrich::is_plain;

    fn written(write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut buffer = [b'?'; 128];
        let mut line = Line::new(&mut buffer);
        write(&mut line);
        let length = line.length().unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn numbers_of_every_length_are_written() {
        for power in 0..20 {
            for number in [10_u64.pow(power), 10_u64.pow(power) - 1, 10_u64.pow(power) + 1] {
                assert_eq!(written(|line| line.decimal(number)), number.to_string());
            }
        }
        assert_eq!(written(|line| line.decimal(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn a_line_that_outgrows_its_buffer_says_so() {
        let mut buffer = [0; 10];
        for (text, fits) in [("0123456789", true), ("0123456789a", false)] {
            let mut line = Line::new(&mut buffer);
            line.put(text);
            assert_eq!(line.length().is_some(), fits);
        }
        let mut line = Line::new(&mut buffer);
        line.put("012345678");
        line.put_some([0; 8], 1);
        line.put("");
        assert_eq!(line.length(), None);
    }

    #[test]
    fn every_byte_is_plain_or_not_at_every_place() {
        for (byte, place) in (0..=255_u8).flat_map(|byte| (0..16).map(move |place| (byte, place))) {
            for others in [0, b'a', b' ', b'~'] {
                let mut bytes = [others; 16];
                bytes[place] = byte;
                let plain = is_plain(byte) || byte == 0;
                assert_eq!(
                    is_plain_or_nul(u128::from_le_bytes(bytes)),
                    plain,
                    "{byte} at {place} of {others}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn everything_is_written_as_the_library_writes_it(
            four in any::<u32>(), number in any::<u64>(), shift in 0_u32..64, comm in any::<[u8; 16]>(),
            plain in "[ -~]{0,16}",
        ) {
            let (addr, number) = (Ipv4Addr::from_bits(four), number >> shift);
            prop_assert_eq!(written(|line| line.addr(Some(addr.into()))), format!("\"{addr}\""));
            prop_assert_eq!(written(|line| line.hex(number)), format!("\"{number:x}\""));
            prop_assert_eq!(written(|line| line.decimal(number)), number.to_string());
            for comm in [Comm(comm), Comm::from_name(plain.as_bytes())] {
                let read: String = serde_json::from_str(&written(|line| line.comm(Some(comm)))).unwrap();
                prop_assert_eq!(read, comm.lossy());
            }
        }
    }
}
