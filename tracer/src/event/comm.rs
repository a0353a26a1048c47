//! The kernel's 16-byte thread names: any bytes, chosen by whoever runs the thread.

use std::borrow::Cow;

/// Name of a thread as the kernel keeps it: NUL-padded, any bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// The name's bytes: up to the first NUL, or all 16.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // The first zero byte of the little-endian word is its lowest.
        let word = u128::from_le_bytes(self.0);
        let zeros =
            word.wrapping_sub(u128::from_le_bytes([0x01; 16])) & !word & u128::from_le_bytes([0x80; 16]);
        let length = usize::try_from(zeros.trailing_zeros() / 8).unwrap_or(16);
        self.0.get(..length).unwrap_or(&self.0)
    }

    /// The name as text, what is not UTF-8 replaced by U+FFFD.
    #[must_use]
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// Takes a name as `/proc/PID/comm` shows it, cut at 16 bytes.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        let mut bytes = [0; 16];
        for (slot, byte) in bytes.iter_mut().zip(name) {
            *slot = *byte;
        }
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_ends_at_the_first_nul() {
        for (name, rest) in [(&b""[..], 0), (b"a", 0xff), (b"curl", b'x'), (b"\x01\x80\xff\x7f", 0)] {
            let mut comm = Comm::from_name(name);
            for slot in comm.0.iter_mut().skip(name.len() + 1) {
                *slot = rest;
            }
            assert_eq!(comm.bytes(), name);
        }
    }

    #[test]
    fn a_name_may_fill_all_sixteen_bytes() {
        assert_eq!(Comm([b'z'; 16]).bytes(), [b'z'; 16]);
        assert_eq!(Comm::from_name(b"0123456789abcdefgh").bytes(), b"0123456789abcdef");
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(Comm::from_name(b"a\xffb").lossy(), "a\u{fffd}b");
    }
}
