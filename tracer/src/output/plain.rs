//! Values as people write them, for text and CSV.

use std::{io::Write as _, net::IpAddr};

use super::{digits::OCTETS, value::Value};
use crate::{enrich::Rfc3339, event::Errno};

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends an address.
pub(super) fn addr(out: &mut Vec<u8>, addr: IpAddr) {
    let IpAddr::V4(addr) = addr else {
        // Writing to a vector cannot fail.
        let _infallible = write!(out, "{addr}");
        return;
    };
    let mut text = [0; 16];
    let mut length = 0;
    for octet in addr.octets() {
        let (digits, count) = OCTETS[usize::from(octet)];
        if let Some(room) = text.get_mut(length..length + digits.len()) {
            room.copy_from_slice(&digits);
            length += count + 1;
        }
    }
    // Without the last point.
    out.extend_from_slice(text.get(..length - 1).unwrap_or_default());
}

/// Appends the name of an errno.
pub(super) fn errno(out: &mut Vec<u8>, errno: Errno) {
    if let Some(name) = errno.name() {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.push(b'E');
        number(out, errno.number());
    }
}

/// Appends a value: lists with blanks, an empty one as `none`, ranges with a dash, null as nothing.
pub(super) fn value(clock: &mut Rfc3339, value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(answer) => out.extend_from_slice(if *answer { b"true" } else { b"false" }),
        Value::Number(value) | Value::BigNumber(value) => number(out, *value),
        Value::Word(word) => out.extend_from_slice(word.as_bytes()),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Addr(value) => addr(out, *value),
        Value::Errno(value) => errno(out, *value),
        Value::Range(range) => {
            number(out, range.low());
            out.push(b'-');
            number(out, range.high());
        }
        Value::Hex(number) => {
            let _infallible = write!(out, "{number:x}");
        }
        Value::Options(options) if options.is_empty() => out.extend_from_slice(b"none"),
        Value::Options(options) => {
            for (index, option) in options.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(option.name.as_bytes());
            }
        }
        Value::Time(time) => out.extend_from_slice(&clock.format(*time)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn addresses_are_written_as_the_library_writes_them(four in any::<u32>()) {
            let (mut out, four) = (b"x".to_vec(), Ipv4Addr::from_bits(four));
            addr(&mut out, four.into());
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x{four}"));
        }
    }
}
