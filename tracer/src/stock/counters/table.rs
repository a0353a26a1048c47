//! The three kinds of tables under `/proc/net`.

use crate::stock::StockError;

/// Reads pairs of lines, names above numbers: `snmp_seq_show` of `net/ipv4/proc.c`.
pub(super) fn paired(
    file: &'static str,
    text: Option<&str>,
    prefix: &str,
    name: &str,
) -> Result<Option<u64>, StockError> {
    let mut lines = text.unwrap_or_default().lines().filter_map(|line| line.strip_prefix(prefix));
    let Some(place) = lines.next().and_then(|names| place_of(names, name)) else {
        return Ok(None);
    };
    let numbers = lines.next().unwrap_or_default();
    let word = numbers.split_ascii_whitespace().nth(place).unwrap_or_default();
    decimal(word)
        .map(Some)
        .ok_or_else(|| StockError::table(file, numbers, "a line of numbers below the line of names"))
}

/// Reads a line of names and numbers in turn: `sockstat_seq_show` of `net/ipv4/proc.c`.
pub(super) fn gauge(
    file: &'static str,
    text: Option<&str>,
    prefix: &str,
    name: &str,
) -> Result<Option<u64>, StockError> {
    let Some(line) = text.unwrap_or_default().lines().find_map(|line| line.strip_prefix(prefix)) else {
        return Ok(None);
    };
    let mut words = line.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        if word == name {
            return decimal(value)
                .map(Some)
                .ok_or_else(|| StockError::table(file, line, "names and numbers in turn"));
        }
    }
    Ok(None)
}

/// Reads a line of names above a line of hexadecimal numbers for each CPU, and sums a column:
/// `ct_cpu_seq_show` of `net/netfilter/nf_conntrack_standalone.c`.
pub(super) fn per_cpu_sum(
    file: &'static str,
    text: Option<&str>,
    name: &str,
) -> Result<Option<u64>, StockError> {
    let mut lines = text.unwrap_or_default().lines();
    let Some(place) = lines.next().and_then(|names| place_of(names, name)) else {
        return Ok(None);
    };
    let mut sum = 0_u64;
    for line in lines {
        let word = line.split_ascii_whitespace().nth(place).unwrap_or_default();
        let digits = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = digits.then(|| u64::from_str_radix(word, 16).ok()).flatten();
        let value = value.ok_or_else(|| StockError::table(file, line, "hexadecimal numbers for each CPU"))?;
        sum = sum.saturating_add(value);
    }
    Ok(Some(sum))
}

fn place_of(names: &str, name: &str) -> Option<usize> {
    names.split_ascii_whitespace().position(|one| one == name)
}

/// Digits only: `parse` alone would take a sign.
fn decimal(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 1234
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab
Tcp: 1 200 120000 -1 45 14 7 24 0
Udp: InDatagrams NoPorts
Udp: 9 8
";
    const NETSTAT: &str = "\
TcpExt: SyncookiesSent TW TWRecycled TWKilled TCPTimeWaitOverflow TCPSynRetrans
TcpExt: 0 5 18446744073709551615 0 3 2
IpExt: InNoRoutes
IpExt: 0
";
    const SOCKSTAT: &str = "\
sockets: used 11
TCP: inuse 1 orphan 0 tw 74 alloc 1 mem 302
UDP: inuse 0 mem 0
";
    const CONNTRACK: &str = "\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop
00000c2a  00000000 0000000a 00000000 00000001 00000000 00000000 00000000 00000000 00000002 0000000f 00000000
00000c2a  00000000 0000000a 00000000 00000001 00000000 00000000 00000000 00000000 00000001 00000001 00000000
";

    fn snmp(text: &str, name: &str) -> Result<Option<u64>, StockError> {
        paired("snmp", Some(text), "Tcp:", name)
    }

    #[test]
    fn the_named_numbers_are_found() {
        assert_eq!(snmp(SNMP, "ActiveOpens").unwrap(), Some(45));
        assert_eq!(snmp(SNMP, "AttemptFails").unwrap(), Some(7));
        let ext = |name| paired("netstat", Some(NETSTAT), "TcpExt:", name).unwrap();
        assert_eq!((ext("TW"), ext("TWRecycled")), (Some(5), Some(u64::MAX)));
        assert_eq!((ext("TCPTimeWaitOverflow"), ext("TCPSynRetrans")), (Some(3), Some(2)));
        assert_eq!(gauge("sockstat", Some(SOCKSTAT), "TCP:", "tw").unwrap(), Some(74));
        let tracked = |name| per_cpu_sum("nf_conntrack", Some(CONNTRACK), name).unwrap();
        assert_eq!((tracked("drop"), tracked("insert_failed")), (Some(16), Some(3)));
    }

    #[test]
    fn what_a_kernel_does_not_count_is_none() {
        assert_eq!(snmp(SNMP, "Exhausted").unwrap(), None);
        assert_eq!(snmp("", "ActiveOpens").unwrap(), None);
        assert_eq!(paired("snmp", None, "Tcp:", "ActiveOpens").unwrap(), None);
        assert_eq!(gauge("sockstat", Some(SOCKSTAT), "UDP:", "tw").unwrap(), None);
        assert_eq!(per_cpu_sum("nf_conntrack", Some(CONNTRACK), "found_twice").unwrap(), None);
    }

    #[test]
    fn absurd_tables_are_named() {
        for text in ["Tcp: ActiveOpens\n", "Tcp: ActiveOpens\nTcp: x\n", "Tcp: a ActiveOpens\nTcp: 1\n"] {
            let error = snmp(text, "ActiveOpens").unwrap_err().to_string();
            assert!(error.starts_with("snmp holds"), "{error}");
        }
        assert!(snmp("Tcp: MaxConn\nTcp: -1\n", "MaxConn").is_err());
        assert!(gauge("sockstat", Some("TCP: tw\n"), "TCP:", "tw").is_err());
        assert!(per_cpu_sum("stat", Some("drop\n+1\n"), "drop").is_err());
        assert!(per_cpu_sum("stat", Some("a drop\n1\n"), "drop").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "(Tcp:|drop|tw|[0-9a-f -]|\n){0,40}|.{0,40}") {
            let read = [
                snmp(&text, "drop"),
                gauge("sockstat", Some(&text), "Tcp:", "tw"),
                per_cpu_sum("stat", Some(&text), "drop"),
            ];
            prop_assert!(read.into_iter().all(|one| one.is_err() || text.contains("Tcp:") || text.contains("drop") || one.unwrap().is_none()));
        }
    }
}
