//! Pieces against what the library writes, and lines that do not fit their buffer.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::{pieces::is_plain_or_nul, *};
use crate::{enrich::is_plain, event::Comm};

fn written(write: impl FnOnce(&mut Line<'_>)) -> String {
    let (mut buffer, mut out) = (Buffer::default(), Vec::new());
    let mut line = Line::new(&mut buffer, &mut out);
    write(&mut line);
    line.finish();
    String::from_utf8(out).unwrap()
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
fn a_line_may_outgrow_its_buffer_at_any_piece() {
    for filled in SIZE - 20..=SIZE {
        let text = written(|line| {
            line.put(&"x".repeat(filled));
            line.decimal(123);
            line.hex(0xabcd_ef01_2345);
            line.put(&"y".repeat(SIZE + 1));
            line.decimal(12_345_678_901);
        });
        let expected =
            format!("{}123\"abcdef012345\"{}12345678901", "x".repeat(filled), "y".repeat(SIZE + 1));
        assert!(text == expected, "{filled}");
    }
}

#[test]
fn every_byte_is_plain_or_not_at_every_place() {
    for (byte, place) in (0..=255_u8).flat_map(|byte| (0..16).map(move |place| (byte, place))) {
        for others in [0, b'a', b' ', b'~'] {
            let mut bytes = [others; 16];
            bytes[place] = byte;
            let plain = is_plain(byte) || byte == 0;
            assert_eq!(is_plain_or_nul(u128::from_le_bytes(bytes)), plain, "{byte} at {place} of {others}");
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
