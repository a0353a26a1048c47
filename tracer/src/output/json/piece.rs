//! Pieces of JSON, appended to a buffer by hand: a serializer takes six times as long.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    enrich::{is_plain, push_json_string},
    event::{Comm, Errno, Options, PortRange},
};

/// Appends a number, or `null`.
pub(super) fn number<N: itoa::Integer>(out: &mut Vec<u8>, number: Option<N>) {
    match number {
        Some(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends `true`, `false` or `null`.
pub(super) fn boolean(out: &mut Vec<u8>, answer: Option<bool>) {
    match answer {
        Some(true) => out.extend_from_slice(b"true"),
        Some(false) => out.extend_from_slice(b"false"),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a word that needs no escapes as a string, or `null`.
pub(super) fn word(out: &mut Vec<u8>, word: Option<&str>) {
    match word {
        Some(word) => {
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends the name of an errno as a string, or `null`.
pub(super) fn errno(out: &mut Vec<u8>, errno: Option<Errno>) {
    match errno {
        None => out.extend_from_slice(b"null"),
        Some(errno) if errno.name().is_some() => word(out, errno.name()),
        Some(errno) => word(out, Some(&errno.to_string())),
    }
}

/// Appends a thread's name as a string, or `null`.
pub(super) fn comm(out: &mut Vec<u8>, comm: Option<Comm>) {
    match comm {
        None => out.extend_from_slice(b"null"),
        Some(comm) if comm.bytes().iter().copied().all(is_plain) => {
            out.push(b'"');
            out.extend_from_slice(comm.bytes());
            out.push(b'"');
        }
        Some(comm) => push_json_string(out, &comm.lossy()),
    }
}

/// Appends an address as a string, or `null`.
pub(super) fn addr(out: &mut Vec<u8>, addr: Option<IpAddr>) {
    match addr {
        None => out.extend_from_slice(b"null"),
        Some(IpAddr::V4(addr)) => {
            out.push(b'"');
            ipv4(out, addr);
            out.push(b'"');
        }
        Some(IpAddr::V6(addr)) => {
            // Writing to a vector cannot fail.
            let _infallible = write!(out, "\"{addr}\"");
        }
    }
}

/// Appends an IPv4 address.
pub(crate) fn ipv4(out: &mut Vec<u8>, addr: Ipv4Addr) {
    let mut number = itoa::Buffer::new();
    let [a, b, c, d] = addr.octets();
    out.extend_from_slice(number.format(a).as_bytes());
    for octet in [b, c, d] {
        out.push(b'.');
        out.extend_from_slice(number.format(octet).as_bytes());
    }
}

/// Appends a range as a list of two ports, or `null`.
pub(super) fn range(out: &mut Vec<u8>, range: Option<PortRange>) {
    let Some(range) = range else {
        return out.extend_from_slice(b"null");
    };
    out.push(b'[');
    number(out, Some(range.low()));
    out.push(b',');
    number(out, Some(range.high()));
    out.push(b']');
}

/// Appends the names of options as a list, or `null`.
pub(super) fn options(out: &mut Vec<u8>, options: Option<Options>) {
    match options {
        None => out.extend_from_slice(b"null"),
        Some(options) if options.is_empty() => out.extend_from_slice(b"[]"),
        Some(options) => {
            let mut before = b'[';
            for option in options.iter() {
                out.push(before);
                word(out, Some(option.name));
                before = b',';
            }
            out.push(b']');
        }
    }
}

/// Appends a number in hexadecimal digits, without quotes.
pub(crate) fn hex(out: &mut Vec<u8>, number: u64) {
    let digits = 16_u32.saturating_sub(number.leading_zeros() / 4).max(1);
    for place in (0..digits).rev() {
        let digit =
            u32::try_from(number >> (place * 4) & 15).ok().and_then(|digit| char::from_digit(digit, 16));
        out.push(digit.and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'?'));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn addresses_and_hashes_are_written_as_the_library_writes_them(four in any::<u32>(), hash in any::<u64>()) {
            let mut out = Vec::new();
            ipv4(&mut out, Ipv4Addr::from_bits(four));
            prop_assert_eq!(String::from_utf8(out).unwrap(), Ipv4Addr::from_bits(four).to_string());
            let mut out = Vec::new();
            hex(&mut out, hash);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{hash:x}"));
        }
    }
}
