//! Decimal digits, eight at a time.

/// The eight decimal digits of a number below 10^8, as values 0 to 9: the first digit is the lowest byte.
///
/// Each step splits all parts of the number at once: four digits and four, two and two, one and one. The
/// products stand for divisions by 100 and by 10 of numbers so small that they are exact.
#[inline]
pub(crate) const fn eight_digits(number: u64) -> u64 {
    let parts = (number / 10_000) | (number % 10_000) << 32;
    let hundreds = (parts.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f;
    let parts = hundreds | parts.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    let tens = (parts.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    tens | parts.wrapping_sub(tens.wrapping_mul(10)) << 8
}

/// Makes digits of their values.
#[inline]
pub(crate) const fn ascii(digits: u64) -> [u8; 8] {
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_library() {
        let edges = [0, 1, 9, 10, 99, 100, 9_999, 10_000, 10_001, 12_345_678, 99_999_999, 90_000_000];
        for number in (0..100_000_000).step_by(9_973).chain(edges) {
            assert_eq!(ascii(eight_digits(number)), format!("{number:08}").as_bytes(), "{number}");
        }
    }
}
