//! How the kernel walks a range in search of a free port: the arithmetic of `__inet_hash_connect` and
//! `inet_csk_find_open_port` (Linux 5.10 to 7.2, `net/ipv4/inet_hashtables.c`, `inet_connection_sock.c`).

use crate::event::{PortRange, Reserved, Stride};

/// The steps of a connect's search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The ports of the parity of the range's low end first, then the others.
    Parity,
    /// Every port in turn: sockets with `IP_LOCAL_PORT_RANGE` from Linux 6.8 on.
    Every,
}

/// What a search looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Ports it looked at, the reserved ones that it skipped and the chosen one included.
    pub candidates: u32,
    /// Of these, the reserved ones; none where the reserved ports are not known.
    pub reserved: Option<u32>,
}

impl Examined {
    /// Those rejected because somebody has them: neither reserved nor, where one was found, chosen.
    #[must_use]
    pub fn collisions(self, found: bool) -> Option<u32> {
        self.candidates.checked_sub(self.reserved?)?.checked_sub(u32::from(found))
    }
}

/// One round through the offsets `bottom`, `bottom + stride`, … `top` from `low`, beginning at `first`.
///
/// All lie within 0 to 65,536, and `bottom` ≤ `first` ≤ `top`: sums and differences of them do not wrap where
/// `wrapping` is written.
#[derive(Clone, Copy)]
struct Pass {
    bottom: u32,
    top: u32,
    first: u32,
    stride: Stride,
}

impl Pass {
    const fn steps(self, distance: u32) -> u32 {
        match self.stride {
            Stride::Every => distance,
            Stride::Second => distance >> 1,
        }
    }

    const fn count(self) -> u32 {
        self.steps(self.top.wrapping_sub(self.bottom)).wrapping_add(1)
    }

    /// How many it looks at until it meets this offset, which counts; none if it never does.
    const fn until(self, offset: u32) -> Option<u32> {
        let inside = self.bottom <= offset && offset <= self.top;
        if !inside || (matches!(self.stride, Stride::Second) && (offset ^ self.bottom) & 1 == 1) {
            return None;
        }
        Some(if offset >= self.first {
            self.steps(offset.wrapping_sub(self.first)).wrapping_add(1)
        } else {
            let left_out = self.steps(self.first.wrapping_sub(offset)).wrapping_sub(1);
            self.count().wrapping_sub(left_out)
        })
    }

    /// Reserved ports among those it looks at until it meets this offset.
    fn reserved_until(self, offset: u32, low: u16, reserved: &Reserved) -> u32 {
        if reserved.is_empty() {
            return 0;
        }
        let count = |from: u32, to: u32| {
            let port = |offset: u32| u16::try_from(u32::from(low).wrapping_add(offset)).ok();
            match (port(from), port(to)) {
                (Some(from), Some(to)) => reserved.count(from, to, self.stride),
                _ => 0,
            }
        };
        if offset >= self.first {
            count(self.first, offset)
        } else {
            count(self.first, self.top).wrapping_add(count(self.bottom, offset))
        }
    }

    fn reserved(self, low: u16, reserved: &Reserved) -> u32 {
        Self { first: self.bottom, ..self }.reserved_until(self.top, low, reserved)
    }
}

/// The rounds of a connect's search that begins at `start`.
///
/// With parity and an odd number of ports it looks at all but one: at offset 0 if the first round begins
/// there, else at the last offset in its place.
#[inline]
fn passes(start: u32, range: PortRange, step: Step) -> (Pass, Option<Pass>) {
    let ports = range.count();
    let last = ports.wrapping_sub(1);
    if step == Step::Every || ports == 1 {
        let first = start.checked_rem(ports).unwrap_or(0);
        return (Pass { bottom: 0, top: last, first, stride: Stride::Every }, None);
    }
    let even_ports = ports & !1;
    let first = start.checked_rem(even_ports).unwrap_or(0) & !1;
    let end = even_ports.wrapping_sub(1);
    let (bottom, top) = if ports & 1 == 1 && first != 0 { (2, last) } else { (0, end & !1) };
    (
        Pass { bottom, top, first, stride: Stride::Second },
        Some(Pass { bottom: 1, top: end, first: first | 1, stride: Stride::Second }),
    )
}

/// What a connect looked at before it took `port`, which counts.
///
/// `start` is `table_perturb[index] + (port_offset >> 32)` at its entry. None where such a search never meets
/// that port: then the start is not the one that the kernel used.
#[must_use]
#[inline]
pub fn examined(
    start: u32,
    port: u16,
    range: PortRange,
    step: Step,
    reserved: Option<&Reserved>,
) -> Option<Examined> {
    let offset = u32::from(port.checked_sub(range.low())?);
    let (pass, other) = passes(start, range, step);
    if let Some(candidates) = pass.until(offset) {
        let reserved = reserved.map(|set| pass.reserved_until(offset, range.low(), set));
        return Some(Examined { candidates, reserved });
    }
    let other = other?;
    Some(Examined {
        candidates: pass.count().wrapping_add(other.until(offset)?),
        reserved: reserved.map(|set| {
            pass.reserved(range.low(), set).wrapping_add(other.reserved_until(offset, range.low(), set))
        }),
    })
}

/// What a connect looked at before it failed: all that it could.
///
/// The candidates are known without `start`; the reserved ones among them may hang on it.
#[must_use]
pub fn examined_in_vain(start: u32, range: PortRange, step: Step, reserved: Option<&Reserved>) -> Examined {
    let (pass, other) = passes(start, range, step);
    let low = range.low();
    Examined {
        candidates: pass.count().wrapping_add(other.map_or(0, Pass::count)),
        reserved: reserved.map(|set| {
            pass.reserved(low, set).wrapping_add(other.map_or(0, |other| other.reserved(low, set)))
        }),
    }
}

#[cfg(test)]
mod tests;
