//! Numbers, addresses and names as they stand in a sentence.

use std::net::{IpAddr, SocketAddr};

use crate::{
    enrich::Process,
    event::{Pid, Port, Protocol},
    stock::{PoolKey, State},
};

/// A count as a real number: exact up to 2^53.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a share needs no more than 53 bits")]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

/// `part` ÷ `whole`; none of nothing.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| real(part) / real(whole))
}

/// A count with a comma between every three digits.
#[must_use]
pub fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A real number without its fraction, with commas: never more than it is.
pub(super) fn whole(number: f64) -> String {
    // Formatting rounds; a rate that is promised must not be rounded up.
    let text = format!("{:.0}", number.floor().max(0.0));
    text.parse().map_or(text, |number: u64| count(number))
}

/// `97.0 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `470/s`, `4.2/s`.
pub(super) fn rate(per_s: f64) -> String {
    if per_s < 10.0 { format!("{per_s:.1}/s") } else { format!("{}/s", whole(per_s)) }
}

/// A time of a search: `3 us`, `1.9 ms`.
pub(super) fn short_time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} ms", real(ns) / 1e6),
        _ => format!("{:.1} s", real(ns) / 1e9),
    }
}

/// The length of a window: `30.0 s`.
pub(super) fn seconds(ns: u64) -> String {
    format!("{:.1} s", real(ns) / 1e9)
}

/// A time ahead: `46 s`, `12 min`, `3.5 h`.
pub(super) fn ahead(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{} s", whole(seconds))
    } else if seconds < 7_200.0 {
        format!("{} min", whole(seconds / 60.0))
    } else {
        format!("{:.1} h", seconds / 3_600.0)
    }
}

/// `10.0.3.14:443`, `[::1]:443`.
pub(super) fn endpoint(addr: IpAddr, port: Port) -> String {
    SocketAddr::new(addr, port.get()).to_string()
}

/// `10.0.3.14 > 10.0.9.2:6379`; of a pool for bind the address alone. The protocol stands before it unless it is
/// TCP.
pub(super) fn pool(key: &PoolKey) -> String {
    let proto = match key.proto() {
        Protocol::Tcp => String::new(),
        other => format!("{} ", other.name()),
    };
    match key {
        PoolKey::Connect { laddr, raddr, rport, .. } => {
            format!("{proto}{laddr} > {}", endpoint(*raddr, *rport))
        }
        PoolKey::Bind { laddr, .. } => format!("{proto}{laddr}"),
    }
}

/// The state as `ss` says it, where that is shorter.
pub(super) const fn state(state: State) -> &'static str {
    match state {
        State::Established => "ESTAB",
        other => other.name(),
    }
}

/// What a process is called: its name, else its executable's, on one line.
pub(super) fn name(process: &Process) -> String {
    called(process.comm(), process.exe())
}

/// The same of a name and an executable.
pub(super) fn called(comm: Option<&str>, exe: Option<&str>) -> String {
    let file = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let name = comm.filter(|name| !name.is_empty()).map(str::to_owned);
    single_line(&name.or_else(|| exe.map(file)).unwrap_or_else(|| "unknown".to_owned()))
}

/// A group of processes: `php-fpm x48`.
pub(super) fn program(process: &Process, processes: u64) -> String {
    several(name(process), processes)
}

/// A group that is called so.
pub(super) fn several(name: String, processes: u64) -> String {
    if processes > 1 { format!("{name} x{}", count(processes)) } else { name }
}

/// A process with its number and, where there is one, its unit: `otel-agent (pid 977, otel.service)`.
pub(super) fn process(process: &Process, pid: Option<Pid>) -> String {
    let pid = pid.map(|pid| format!("pid {}", pid.0));
    let unit = process.unit().map(single_line);
    let more: Vec<String> = pid.into_iter().chain(unit).collect();
    if more.is_empty() { name(process) } else { format!("{} ({})", name(process), more.join(", ")) }
}

/// The text without ends of lines; whatever else a terminal would act upon is for the renderer to escape.
pub(super) fn single_line(text: &str) -> String {
    text.replace(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}', '\u{b}', '\u{c}'], " ")
}

/// The first `most` of a list, and how many others there are.
pub(super) fn some_of(list: &[String], most: usize) -> String {
    let shown: Vec<&str> = list.iter().take(most).map(String::as_str).collect();
    let others = u64::try_from(list.len().saturating_sub(most)).unwrap_or(u64::MAX);
    match others {
        0 => shown.join(", "),
        others => format!("{}, {} more", shown.join(", "), count(others)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_and_rates_are_never_rounded_up() {
        assert_eq!(
            [0_u32, 999, 1_000, 28_232, 1_234_567].map(count).join(" "),
            "0 999 1,000 28,232 1,234,567"
        );
        assert_eq!(
            [4.25, 16.67, 470.53, 766.9, 18_379.0].map(rate).join(" "),
            "4.2/s 16/s 470/s 766/s 18,379/s"
        );
        assert_eq!((percent(0.97), percent(0.0)), ("97.0 %".to_owned(), "0.0 %".to_owned()));
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!([3_400, 1_900_000, 2_500_000_000].map(short_time).join(", "), "3 us, 1.9 ms, 2.5 s");
        assert_eq!([46.2, 720.0, 12_600.0].map(ahead).join(", "), "46 s, 12 min, 3.5 h");
        assert_eq!(whole(f64::NAN), "0");
    }

    #[test]
    fn pools_are_named_by_their_ends() {
        let port = Port::new(443).unwrap();
        let (laddr, raddr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
        assert_eq!(
            pool(&PoolKey::Connect { proto: Protocol::Tcp, laddr, raddr, rport: port }),
            "fd00::1 > [fd00::2]:443"
        );
        assert_eq!(pool(&PoolKey::Bind { proto: Protocol::Udp, laddr }), "udp fd00::1");
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let hostile = Process::new(Some("a\nb\u{1b}[2J"), None, None);
        assert_eq!(program(&hostile, 1_904), "a b\u{1b}[2J x1,904");
        assert_eq!(name(&Process::new(None, Some("/usr/bin/curl"), None)), "curl");
        assert_eq!(process(&Process::unknown(), Some(Pid(7))), "unknown (pid 7)");
    }
}
