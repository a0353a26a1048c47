//! Both times of a line: what is the same for a whole second is worked out once a second.

use super::line::Line;
use crate::{
    enrich::{Rfc3339, UtcNs},
    event::MonoNs,
};

const NS_PER_S: u64 = 1_000_000_000;

/// Writes the times of lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamp {
    clock: Rfc3339,
    /// The second since boot that `digits` is of, in nanoseconds; 0 for none yet.
    second: u64,
    /// Its digits, and how many there are.
    digits: ([u8; 16], usize),
}

impl Stamp {
    /// Writes the time of day, and the microseconds of the monotonic one behind their key.
    #[inline]
    pub(super) fn write(&mut self, line: &mut Line<'_>, utc: UtcNs, mono: MonoNs) {
        line.put_array(self.clock.format(utc));
        line.put("\",\"mono_us\":");
        if mono.0 < NS_PER_S {
            return line.decimal(mono.0 / 1000);
        }
        // The first second has been dealt with: nothing lies within a second of 0.
        let mut ns = mono.0.wrapping_sub(self.second);
        if ns >= NS_PER_S {
            ns = self.begin(mono);
        }
        line.put_some(self.digits.0, self.digits.1);
        line.six(ns / 1000);
    }

    /// Writes the digits of another second, and returns the nanoseconds behind it.
    #[cold]
    fn begin(&mut self, mono: MonoNs) -> u64 {
        let ns = mono.0 % NS_PER_S;
        self.second = mono.0 - ns;
        // 2^64 ns are a number of seconds of eleven digits.
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(mono.0 / NS_PER_S).bytes();
        self.digits.1 = text.len();
        for (slot, digit) in self.digits.0.iter_mut().zip(text) {
            *slot = digit;
        }
        ns
    }
}

#[cfg(test)]
mod tests {
    use super::{super::line::Buffer, *};

    #[test]
    fn times_of_any_second_are_written_in_any_order() {
        let (mut stamp, mut buffer) = (Stamp::default(), Buffer::default());
        let second = 1_000_000_000;
        let times = [0, 999, 1_000, second - 1, second, second + 1_000, 2 * second - 1, 2 * second, second];
        for mono in times.into_iter().chain([81_895_158_000_123, 81_895_157_999_999, u64::MAX, 5, u64::MAX]) {
            let mut out = Vec::new();
            let mut line = Line::new(&mut buffer, &mut out);
            stamp.write(&mut line, UtcNs(-1), MonoNs(mono));
            line.finish();
            let expected = format!("1969-12-31T23:59:59.999999999Z\",\"mono_us\":{}", mono / 1000);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
