//! What a line is made of: numbers, words, addresses, lists.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use super::Line;
use crate::{
    enrich::push_json_string,
    event::{Comm, Errno, Options, PortRange},
    output::{
        digits::{OCTETS, four_to_six, hex_digits, six, up_to_three},
        to_json,
    },
};

impl Line<'_> {
    /// Appends a number, or `null`.
    #[inline]
    pub(in crate::output::json) fn number(&mut self, number: Option<impl Into<u64>>) {
        match number {
            Some(number) => self.decimal(number.into()),
            None => self.put("null"),
        }
    }

    /// Appends a number.
    #[inline]
    pub(in crate::output::json) fn decimal(&mut self, number: u64) {
        if number < 1000 {
            let (digits, count) = up_to_three(number);
            self.put_some(digits, count);
        } else if number < 1_000_000 {
            let (digits, count) = four_to_six(number);
            self.put_some(digits, count);
        } else {
            self.long(number);
        }
    }

    /// Appends a number of six digits at most, zeros before it.
    #[inline]
    pub(in crate::output::json) fn six(&mut self, number: u64) {
        self.put_some(six(number % 1_000_000), 6);
    }

    fn long(&mut self, number: u64) {
        let (first, last) = (number / 1_000_000, number % 1_000_000);
        self.decimal(first);
        self.six(last);
    }

    /// Appends `true`, `false` or `null`.
    pub(in crate::output::json) fn boolean(&mut self, answer: Option<bool>) {
        self.put(match answer {
            Some(true) => "true",
            Some(false) => "false",
            None => "null",
        });
    }

    /// Appends a word that needs no escapes as a string, or `null`.
    pub(in crate::output::json) fn word(&mut self, word: Option<&str>) {
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
    pub(in crate::output::json) fn string(&mut self, text: &str) {
        let mut quoted = Vec::new();
        push_json_string(&mut quoted, text);
        self.put_bytes(&quoted);
    }

    /// Appends the name of an errno as a string, or `null`.
    pub(in crate::output::json) fn errno(&mut self, errno: Option<Errno>) {
        match errno {
            Some(errno) if errno.name().is_none() => self.word(Some(&errno.to_string())),
            errno => self.word(errno.and_then(Errno::name)),
        }
    }

    /// Appends a thread's name as a string, or `null`.
    #[inline]
    pub(in crate::output::json) fn comm(&mut self, comm: Option<Comm>) {
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
    pub(in crate::output::json) fn addr(&mut self, addr: Option<IpAddr>) {
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
    pub(in crate::output::json) fn range(&mut self, range: Option<PortRange>) {
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
    #[inline]
    pub(in crate::output::json) fn options(&mut self, options: Option<Options>) {
        match options {
            None => self.put("null"),
            Some(options) if options.is_empty() => self.put("[]"),
            Some(options) => self.some_options(options),
        }
    }

    fn some_options(&mut self, options: Options) {
        let mut before = "[";
        for option in options.iter() {
            self.put(before);
            self.word(Some(option.name));
            before = ",";
        }
        self.put("]");
    }

    /// Appends a number in hexadecimal digits as a string.
    pub(in crate::output::json) fn hex(&mut self, number: u64) {
        let (digits, count) = hex_digits(number);
        self.put("\"");
        self.put_some(digits, count);
        self.put("\"");
    }

    /// Appends a value as a serializer writes it, or `null` where it cannot.
    pub(in crate::output::json) fn serialize(&mut self, value: &impl serde::Serialize) {
        match to_json(value) {
            Ok(json) => self.put_bytes(json.as_bytes()),
            Err(_) => self.put("null"),
        }
    }
}

/// Whether each of 16 bytes is NUL or a character that [`crate::enrich::is_plain`], all at once.
#[inline]
pub(super) const fn is_plain_or_nul(bytes: u128) -> bool {
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
