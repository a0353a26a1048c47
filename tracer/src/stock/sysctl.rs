//! The sysctls of a network namespace: asked for, and their texts parsed.

use std::path::Path;

use super::{StockError, folder::Folder};
use crate::event::{PortRange, Reserved};

const IPV4: &str = "net.ipv4.";
const NETFILTER: &str = "net.netfilter.";

/// The sysctls `net.ipv4.*` and `net.netfilter.*`.
#[derive(Debug)]
pub(super) struct Sysctls {
    ipv4: Folder,
    netfilter: Folder,
}

impl Sysctls {
    /// Those of the namespace that this thread is in; `proc_root` must be a real `/proc`.
    pub(super) fn here(proc_root: &Path) -> Self {
        let net = proc_root.join("sys/net");
        Self { ipv4: Folder::open(net.join("ipv4")), netfilter: Folder::open(net.join("netfilter")) }
    }

    /// What one of them holds; none where there is no such sysctl.
    pub(super) fn text(&self, sysctl: &str) -> Result<Option<String>, StockError> {
        let (folder, name) = self.place(sysctl);
        folder.text(name)
    }

    /// The same of one that every kernel has.
    pub(super) fn must_have(&self, sysctl: &str) -> Result<String, StockError> {
        let (folder, name) = self.place(sysctl);
        folder.must_have(name)
    }

    /// The number that one of them holds; none where there is no such sysctl.
    pub(super) fn number(&self, sysctl: &'static str) -> Result<Option<u32>, StockError> {
        let Some(text) = self.text(sysctl)? else { return Ok(None) };
        let digits = text.trim();
        // Digits only: `parse` alone would take a sign.
        let parsed = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
        parsed.flatten().map(Some).ok_or_else(|| StockError::sysctl(sysctl, &text, "a number"))
    }

    fn place<'a>(&self, sysctl: &'a str) -> (&Folder, &'a str) {
        let of_ipv4 = sysctl.strip_prefix(IPV4).map(|name| (&self.ipv4, name));
        of_ipv4.unwrap_or_else(|| (&self.netfilter, sysctl.strip_prefix(NETFILTER).unwrap_or(sysctl)))
    }
}

/// Reads `ip_local_port_range`: two ports, the first not above the second.
pub fn parse_range(text: &str) -> Result<PortRange, StockError> {
    let wrong = || StockError::sysctl("net.ipv4.ip_local_port_range", text, "two ports, the lower first");
    let mut words = text.split_ascii_whitespace();
    let (Some(low), Some(high), None) = (words.next(), words.next(), words.next()) else {
        return Err(wrong());
    };
    let (Some(low), Some(high)) = (parse_port(low), parse_port(high)) else {
        return Err(wrong());
    };
    PortRange::new(low, high).ok_or_else(wrong)
}

/// Reads `ip_local_reserved_ports`: ports and stretches of ports, separated by commas; often nothing.
pub fn parse_reserved(text: &str) -> Result<Reserved, StockError> {
    let wrong = || {
        StockError::sysctl(
            "net.ipv4.ip_local_reserved_ports",
            text,
            "ports and ranges such as '8080,9100-9110'",
        )
    };
    let mut stretches = Vec::new();
    for part in text.trim().split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (parse_port(first), parse_port(last)) {
            (Some(first), Some(last)) if first <= last => stretches.push(first..=last),
            _ => return Err(wrong()),
        }
    }
    Ok(Reserved::from_ports(stretches.into_iter().flatten()))
}

/// Reads `ip_local_port_step_width`, 0 where connects go straight on.
pub fn parse_step_width(text: &str) -> Result<u32, StockError> {
    text.trim()
        .parse()
        .ok()
        .ok_or_else(|| StockError::sysctl("net.ipv4.ip_local_port_step_width", text, "a number"))
}

/// Digits only: `parse` alone would take a sign.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_range_is_two_ports() {
        for (text, low, high) in [("32768\t60999\n", 32_768, 60_999), ("1 1", 1, 1), ("0 65535\n", 0, 65_535)]
        {
            assert_eq!(parse_range(text).ok(), PortRange::new(low, high));
        }
        for text in ["", "\n", "1", "1 2 3", "5 4", "1 65536", "-1 5", "+1 5", "a b", "1\0 2", "0x1 0x2"] {
            assert!(parse_range(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_absurd_range_is_quoted_and_cut() {
        let said = parse_range(&"\x1b".repeat(500)).unwrap_err().to_string();
        assert!(said.starts_with("net.ipv4.ip_local_port_range holds '\\u{1b}"), "{said}");
        assert!(said.len() < 200);
    }

    #[test]
    fn the_reserved_ports_may_be_none_some_or_all() {
        let table = [
            ("\n", vec![]),
            ("8080\n", vec![(8080, 8080)]),
            ("1-3,4,9-9\n", vec![(1, 4), (9, 9)]),
            ("9, 7-8 ,7", vec![(7, 9)]),
            ("0-65535", vec![(0, 65_535)]),
        ];
        for (text, stretches) in table {
            let found = parse_reserved(text).unwrap().stretches().collect::<Vec<_>>();
            assert_eq!(found, stretches, "{text:?}");
        }
        for text in ["x", "5-4", "1-", "-1", "1-2-3", "65536", "1;2", "1 2"] {
            assert!(parse_reserved(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_step_width_is_a_number() {
        assert_eq!(parse_step_width("0\n").ok(), Some(0));
        assert!(parse_step_width("wide").is_err() && parse_step_width("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "[-0-9, \t\n]{0,40}|.{0,40}") {
            let (range, reserved) = (parse_range(&text), parse_reserved(&text));
            prop_assert!(range.is_err() || reserved.is_err() || text.trim().len() < 40);
        }
    }
}
