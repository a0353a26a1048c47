//! The words in which options are given: lists, ranges, networks, durations, sizes.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// Comma lists, repeated or not, as one list.
pub(super) fn list(given: &[String]) -> impl Iterator<Item = &str> {
    given.iter().flat_map(|words| words.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// Whole numbers.
pub(super) fn numbers(what: &str, given: &[String]) -> Result<Vec<u32>, String> {
    list(given)
        .map(|word| word.parse().map_err(|_unread| format!("'{word}' is no {what}: give a number")))
        .collect()
}

/// `8080`, `9000-9100`.
pub(super) fn port_ranges(given: &[String]) -> Result<Vec<(u16, u16)>, String> {
    list(given)
        .map(|word| {
            let (low, high) = word.split_once('-').unwrap_or((word, word));
            match (low.parse(), high.parse()) {
                (Ok(low), Ok(high)) if low <= high => Ok((low, high)),
                (Ok(low), Ok(high)) => Err(format!("'{word}' is empty: {low} is above {high}")),
                _ => Err(format!("'{word}' is no port: give 0 to 65535, or a range such as 9000-9100")),
            }
        })
        .collect()
}

/// `10.0.0.0/8`, `2001:db8::/32`, or an address; as IPv6 with the prefix of 128 bits.
pub(super) fn networks(given: &[String]) -> Result<Vec<([u8; 16], u8)>, String> {
    list(given).map(network).collect()
}

fn network(word: &str) -> Result<([u8; 16], u8), String> {
    let wrong =
        || format!("'{word}' is no network: give an address, or one with a prefix such as 10.0.0.0/8");
    let (address, prefix) = match word.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_unread| wrong())?)),
        None => (word, None),
    };
    let (address, most, before): (Ipv6Addr, u8, u8) = match address.parse().map_err(|_unread| wrong())? {
        IpAddr::V4(address) => (address.to_ipv6_mapped(), 32, 96),
        IpAddr::V6(address) => (address, 128, 0),
    };
    let prefix = prefix.unwrap_or(most);
    if prefix > most { Err(wrong()) } else { Ok((address.octets(), before + prefix)) }
}

/// `30s`, `500ms`, `5m`, `2h`, or seconds.
pub(super) fn duration(word: &str) -> Result<Duration, String> {
    let wrong = || format!("'{word}' is no duration: give 30s, 500ms, 5m or 2h");
    let at = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, unit) = word.split_at(at);
    let number: f64 = number.parse().map_err(|_unread| wrong())?;
    let seconds = match unit {
        "" | "s" => number,
        "ms" => number / 1e3,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_unread| wrong())
}

/// `2000/s`, or a number a second.
pub(super) fn rate(word: &str) -> Result<f64, String> {
    let number = word.strip_suffix("/s").unwrap_or(word);
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(format!("'{word}' is no rate: give connects a second, such as 2000/s")),
    }
}

/// `64KiB`, `4MiB`, `1G`, or bytes.
pub(super) fn size(word: &str) -> Result<u64, String> {
    let wrong = || format!("'{word}' is no size: give bytes, or a number with KiB, MiB or GiB");
    let at = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, unit) = word.split_at(at);
    let number: u64 = number.parse().map_err(|_unread| wrong())?;
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// The size of a ring: the kernel wants a power of two of at least a page.
pub(super) fn buffer(word: &str) -> Result<u32, String> {
    let bytes = size(word)?;
    match u32::try_from(bytes) {
        Ok(bytes) if bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => Err(format!("'{word}' cannot be the size of a ring: give a power of two from 4KiB to 1GiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn lists_may_be_repeated_and_separated_by_commas() {
        assert_eq!(numbers("process id", &words(&["1,2", "3"])), Ok(vec![1, 2, 3]));
        assert!(numbers("process id", &words(&["x"])).unwrap_err().contains("'x' is no process id"));
    }

    #[test]
    fn port_ranges_are_read() {
        assert_eq!(port_ranges(&words(&["80,9000-9100"])), Ok(vec![(80, 80), (9000, 9100)]));
        for bad in ["70000", "9-1", "http", "-"] {
            assert!(port_ranges(&words(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_of_both_families_are_read() {
        let found = networks(&words(&["10.0.0.0/8,::1"])).unwrap();
        assert_eq!((found[0].1, found[1].1), (104, 128));
        for bad in ["10.0.0.0/33", "::/129", "ten", "1.2.3.4/x"] {
            assert!(networks(&words(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_and_sizes_are_read() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(buffer("64KiB"), Ok(65536));
        for bad in ["", "s", "-1s", "1d", "99999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["5000", "4", "x", "8GiB", "99999999999999999999G"] {
            assert!(buffer(bad).is_err(), "{bad}");
        }
    }
}
