//! From the bytes of a record to a typed event.

use std::net::Ipv6Addr;

use tracer_ebpf::abi::{Record, kind, present};
use zerocopy::FromBytes as _;

use crate::event::{Event, Kind, ReleaseState, Site};

/// Bytes that are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another length than a record has.
    #[error("a record of {actual} bytes, where {expected} are due")]
    Length {
        /// How many there are.
        actual: usize,
        /// How many a record has.
        expected: usize,
    },
    /// A kind that this version does not know.
    #[error("a record of the unknown kind {0}")]
    Kind(u8),
}

/// Decodes one record of the ring. Any bytes may come: those of a record give an event or an error.
///
/// The bytes may lie at any address: records in files are not aligned.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let Ok(mut record) = Record::read_from_bytes(bytes) else {
        return Err(DecodeError::Length { actual: bytes.len(), expected: size_of::<Record>() });
    };
    let kind = kind_of(&record)?;
    if record.family == 6 {
        unmap(&mut record);
    }
    Ok(Event { record, kind })
}

const fn kind_of(record: &Record) -> Result<Kind, DecodeError> {
    Ok(match record.kind {
        kind::CONNECT => Kind::Allocation(Site::Connect),
        kind::BIND => Kind::Allocation(Site::Bind),
        kind::LISTEN => Kind::Allocation(Site::Listen),
        kind::AUTOBIND => Kind::Allocation(Site::Autobind),
        kind::FIXED_CONNECT => Kind::Explicit(Site::Connect),
        kind::FIXED_BIND => Kind::Explicit(Site::Bind),
        kind::FIXED_LISTEN => Kind::Explicit(Site::Listen),
        kind::RELEASE => Kind::Release(match record.state {
            6 => ReleaseState::TimeWait,
            7 => ReleaseState::Closed,
            other => ReleaseState::Unknown(other),
        }),
        unknown => return Err(DecodeError::Kind(unknown)),
    })
}

/// Turns v4-mapped addresses into IPv4, where the kernel half has not done so; the wildcard beside one is the
/// IPv4 wildcard then.
fn unmap(record: &mut Record) {
    let mapped = |bit: u16, bytes: [u8; 16]| {
        let addr = Ipv6Addr::from_octets(bytes);
        if record.present & bit == 0 { None } else { addr.to_ipv4_mapped() }
    };
    let local = mapped(present::LOCAL_ADDR, record.local_addr);
    let remote = mapped(present::REMOTE, record.remote_addr);
    if local.is_none() && remote.is_none() {
        return;
    }
    record.family = 4;
    for (bytes, addr) in [(&mut record.local_addr, local), (&mut record.remote_addr, remote)] {
        let [a, b, c, d] = addr.map_or([0; 4], |addr| addr.octets());
        *bytes = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    }
}

#[cfg(test)]
mod tests;
