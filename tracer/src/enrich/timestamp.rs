//! Times as text: the date is worked out once a second, the rest by hand.

use jiff::{Timestamp, tz::TimeZone};

use super::{UtcNs, ascii, eight_digits};
use crate::event::MonoNs;

const NS_PER_S: i64 = 1_000_000_000;

/// Formats RFC 3339 times in UTC to the nanosecond: 30 bytes, `2026-11-22T12:00:00.123456789Z`.
#[derive(Clone, Debug)]
pub struct Rfc3339 {
    /// The second that `text` is of, in nanoseconds that wrap at the ends of time; none for no second yet.
    second: Option<i64>,
    /// The last time; everything up to the decimal point counts for the whole second.
    text: [u8; 30],
}

impl Default for Rfc3339 {
    fn default() -> Self {
        Self::new()
    }
}

impl Rfc3339 {
    /// A writer that has worked out no date yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { second: None, text: [b'Z'; 30] }
    }

    /// The bytes of the time, all ASCII.
    #[inline]
    pub fn format(&mut self, time: UtcNs) -> [u8; 30] {
        let ns = match self.second.map(|second| time.0.wrapping_sub(second).cast_unsigned()) {
            Some(ns) if ns < NS_PER_S.unsigned_abs() => ns,
            _ => self.begin(time),
        };
        let digits = self.text.split_at_mut(20).1;
        digits[..8].copy_from_slice(&ascii(eight_digits(ns / 10)));
        digits[8] = b'0' + (ns % 10) as u8;
        self.text
    }

    /// Works out the date, and returns the nanoseconds behind the second.
    #[cold]
    fn begin(&mut self, time: UtcNs) -> u64 {
        let (second, ns) = (time.0.div_euclid(NS_PER_S), time.0.rem_euclid(NS_PER_S));
        let prefix: [u8; 20] = calendar(second, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%S.");
        self.text.split_at_mut(20).0.copy_from_slice(&prefix);
        self.second = Some(time.0.wrapping_sub(ns));
        ns.unsigned_abs()
    }

    /// The time as a text of its own.
    #[must_use]
    pub fn text(time: UtcNs) -> String {
        String::from_utf8_lossy(&Self::default().format(time)).into_owned()
    }
}

/// The TIME column of text: 12 bytes, or more of a very long run.
#[derive(Clone, Debug)]
pub struct TimeColumn {
    style: Style,
    second: Option<i64>,
    prefix: [u8; 9],
}

#[derive(Clone, Debug)]
enum Style {
    /// `HH:MM:SS.mmm` in this zone.
    Clock(TimeZone),
    /// Seconds since this time, to the millisecond.
    Since(MonoNs),
}

impl TimeColumn {
    /// The time of day where this machine is.
    #[must_use]
    pub fn local() -> Self {
        Self::of(Style::Clock(TimeZone::system()))
    }

    /// The time of day in UTC.
    #[must_use]
    pub const fn utc() -> Self {
        Self::of(Style::Clock(TimeZone::UTC))
    }

    /// Seconds since a time.
    #[must_use]
    pub const fn since(start: MonoNs) -> Self {
        Self::of(Style::Since(start))
    }

    const fn of(style: Style) -> Self {
        Self { style, second: None, prefix: [b' '; 9] }
    }

    /// Appends the time, padded on the left to 12 bytes.
    pub fn write(&mut self, mono: MonoNs, utc: UtcNs, out: &mut Vec<u8>) {
        let zone = match &self.style {
            Style::Clock(zone) => zone,
            Style::Since(start) => return write_seconds(mono.since(*start), out),
        };
        let second = utc.0.div_euclid(NS_PER_S);
        if self.second != Some(second) {
            self.prefix = calendar(second, zone, "%H:%M:%S.");
            self.second = Some(second);
        }
        out.extend_from_slice(&self.prefix);
        let mut millis = [0; 3];
        digits(utc.0.rem_euclid(NS_PER_S).unsigned_abs() / 1_000_000, &mut millis);
        out.extend_from_slice(&millis);
    }
}

fn write_seconds(ns: u64, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let whole = buffer.format(ns / NS_PER_S.unsigned_abs()).as_bytes();
    out.extend(std::iter::repeat_n(b' ', 8_usize.saturating_sub(whole.len())));
    out.extend_from_slice(whole);
    let mut millis = [b'.'; 4];
    digits(ns % NS_PER_S.unsigned_abs() / 1_000_000, millis.split_at_mut(1).1);
    out.extend_from_slice(&millis);
}

/// Fills the slots with the number's last digits, zeros before it.
fn digits(mut number: u64, slots: &mut [u8]) {
    for slot in slots.iter_mut().rev() {
        // A remainder of ten fits a byte.
        *slot = b'0' | u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// A second in a zone, as a text of exactly `N` bytes.
fn calendar<const N: usize>(second: i64, zone: &TimeZone, format: &str) -> [u8; N] {
    let mut text = [b'?'; N];
    if let Ok(time) = Timestamp::from_second(second) {
        let written = time.to_zoned(zone.clone()).strftime(format).to_string();
        for (slot, byte) in text.iter_mut().zip(written.bytes()) {
            *slot = byte;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz;
    use proptest::prelude::*;

    use super::*;

    fn column(column: &mut TimeColumn, mono: u64, utc: i64) -> String {
        let mut out = Vec::new();
        column.write(MonoNs(mono), UtcNs(utc), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_time_is_written_to_the_nanosecond() {
        assert_eq!(Rfc3339::text(UtcNs(1_795_348_800_123_456_789)), "2026-11-22T12:00:00.123456789Z");
        assert_eq!(Rfc3339::text(UtcNs(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Rfc3339::text(UtcNs(-1)), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn the_column_keeps_its_width() {
        let utc = 1_795_348_799_999_000_000;
        assert_eq!(column(&mut TimeColumn::utc(), 0, utc), "11:59:59.999");
        let zone = TimeColumn::of(Style::Clock(TimeZone::fixed(tz::offset(1))));
        assert_eq!(column(&mut zone.clone(), 0, utc), "12:59:59.999");
        let mut since = TimeColumn::since(MonoNs(1_000_000));
        assert_eq!(column(&mut since, 12_346_678_901, 0), "      12.345");
        assert_eq!(column(&mut since, 0, 0), "       0.000");
        assert_eq!(column(&mut since, u64::MAX, 0), "18446744073.708");
    }

    proptest! {
        #[test]
        fn a_cached_second_never_shows_in_another(times in proptest::collection::vec(0_i64..4_000_000_000, 1..20)) {
            let mut cached = Rfc3339::default();
            for time in times {
                let written = cached.format(UtcNs(time));
                prop_assert_eq!(String::from_utf8(written.to_vec()).unwrap(), Rfc3339::text(UtcNs(time)));
            }
        }

        #[test]
        fn every_time_reads_back(time in any::<i64>()) {
            let parsed: Timestamp = Rfc3339::text(UtcNs(time)).parse().unwrap();
            prop_assert_eq!(parsed.as_nanosecond(), i128::from(time));
        }
    }
}
