//! Digits that are looked up, or worked out all at once.

/// Each octet's digits, points behind them, and how many digits there are.
pub(super) const OCTETS: [([u8; 4], usize); 256] = octets();

const fn octets() -> [([u8; 4], usize); 256] {
    let digit = b"0123456789";
    let mut table = [([b'.'; 4], 0); 256];
    let mut number = 0;
    while number < 256 {
        let (a, b, c) = (digit[number / 100], digit[number / 10 % 10], digit[number % 10]);
        table[number] = match number {
            0..10 => ([c, b'.', b'.', b'.'], 1),
            10..100 => ([b, c, b'.', b'.'], 2),
            _ => ([a, b, c, b'.'], 3),
        };
        number += 1;
    }
    table
}

/// The three digits of each number below 1,000, the first in the lowest byte, and how many of them it takes in
/// the highest.
static THREE: [u32; 1000] = three();

const fn three() -> [u32; 1000] {
    let digit = b"0123456789";
    let mut table = [0; 1000];
    let mut number = 0;
    while number < 1000 {
        let count = match number {
            0..10 => 1,
            10..100 => 2,
            _ => 3,
        };
        let [a, b, c] = [digit[number / 100], digit[number / 10 % 10], digit[number % 10]];
        table[number] = u32::from_le_bytes([a, b, c, count]);
        number += 1;
    }
    table
}

/// The entry of a number below 1,000.
#[inline]
fn three_digits(number: u64) -> u32 {
    THREE[usize::try_from(number).unwrap_or(0)]
}

/// The digits of a number below 1,000, and how many there are.
#[inline]
pub(super) fn up_to_three(number: u64) -> ([u8; 4], usize) {
    let digits = three_digits(number);
    let count = digits >> 24;
    ((digits >> (24 - count * 8)).to_le_bytes(), count as usize)
}

/// The digits of a number from 1,000 to 999,999, and how many there are.
#[inline]
pub(super) fn four_to_six(number: u64) -> ([u8; 8], usize) {
    let (first, count) = up_to_three(number / 1000);
    let last = u64::from(three_digits(number % 1000)) << (count * 8);
    let first = u64::from(u32::from_le_bytes(first)) & !(u64::MAX << (count * 8));
    ((first | last).to_le_bytes(), count + 3)
}

/// The six digits of a number below 1,000,000, zeros before it; two bytes too many.
#[inline]
pub(super) fn six(number: u64) -> [u8; 8] {
    let (first, last) = (three_digits(number / 1000) & 0xff_ffff, three_digits(number % 1000));
    (u64::from(first) | u64::from(last) << 24).to_le_bytes()
}

/// The two hexadecimal digits of each byte, the first in the lower byte.
static HEX: [u16; 256] = hex();

const fn hex() -> [u16; 256] {
    let digit = b"0123456789abcdef";
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = u16::from_le_bytes([digit[byte >> 4], digit[byte & 15]]);
        byte += 1;
    }
    table
}

/// The hexadecimal digits of a number, and how many there are.
#[inline]
pub(super) fn hex_digits(number: u64) -> ([u8; 16], usize) {
    let (first, last) = (hex_word(number >> 32), hex_word(number));
    let zeros = ((number | 1).leading_zeros() / 4) as usize;
    let digits = (u128::from(first) | u128::from(last) << 64) >> (zeros * 8);
    (digits.to_le_bytes(), 16 - zeros)
}

#[inline]
fn hex_word(number: u64) -> u64 {
    let [d, c, b, a, ..] = number.to_le_bytes();
    let digits = |byte: u8| u64::from(HEX[usize::from(byte)]);
    digits(a) | digits(b) << 16 | digits(c) << 32 | digits(d) << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_library() {
        for number in 0..1_000_000_u64 {
            let text = number.to_string();
            let written = if number < 1000 {
                let (digits, count) = up_to_three(number);
                digits[..count].to_vec()
            } else {
                let (digits, count) = four_to_six(number);
                digits[..count].to_vec()
            };
            assert_eq!(written, text.as_bytes());
            assert_eq!(six(number)[..6], *format!("{number:06}").as_bytes());
        }
    }

    #[test]
    fn every_byte_has_its_hexadecimal_digits() {
        for (byte, shift) in (0..=255_u64).flat_map(|byte| (0..8).map(move |place| (byte, place * 8))) {
            let (digits, count) = hex_digits(byte << shift);
            assert_eq!(digits[..count], *format!("{:x}", byte << shift).as_bytes());
        }
    }
}
