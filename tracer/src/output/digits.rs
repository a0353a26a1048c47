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

/// The eight hexadecimal digits of a number below 2^32.
#[inline]
pub(super) const fn hex_digits(number: u64) -> [u8; 8] {
    // One nibble a byte, the first digit lowest: halves, quarters, eighths.
    let spread = number.swap_bytes() >> 32;
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread >> 4 | spread << 8) & 0x0f0f_0f0f_0f0f_0f0f;
    // From ten on, letters, which stand 39 places behind the digits' end.
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + letters * 39).to_le_bytes()
}
