//! `check --ranges`: the well-known ranges beside this host's.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use crate::{
    cli::{Failure, exit::say, filters, options::Format},
    event::PortRange,
    output::report::grouped,
    stock::NetnsConfig,
};

/// Ranges of ephemeral ports, and who has them.
const WELL_KNOWN: [(&str, u16, u16); 8] = [
    ("IANA dynamic ports (RFC 6335)", 49_152, 65_535),
    ("Linux (since 4.2)", 32_768, 60_999),
    ("Linux, older", 32_768, 61_000),
    ("Linux, much older", 1_024, 4_999),
    ("BSD, traditional", 1_024, 5_000),
    ("FreeBSD", 49_152, 65_535),
    ("Windows, up to XP", 1_025, 5_000),
    ("Windows, since Vista", 49_152, 65_535),
];

/// One range.
#[derive(Debug, Serialize)]
struct Known {
    name: &'static str,
    range: [u16; 2],
    ports: u32,
    /// Ports that this host's range shares with it.
    shared: u32,
}

/// Tells them.
pub(super) fn run(output: Format, netns: &[String]) -> Result<(), Failure> {
    let own = filters::one_namespace(netns)?;
    let config = NetnsConfig::of(&own, Path::new("/proc"))?;
    let known: Vec<Known> =
        WELL_KNOWN.iter().map(|(name, low, high)| known(name, *low, *high, config.range)).collect();
    if output == Format::Json {
        let document = serde_json::json!({
            "type": "ranges",
            "schema": crate::output::records::SCHEMA,
            "host": { "range": [config.range.low(), config.range.high()], "effective": config.effective() },
            "ranges": known,
        });
        return say(&format!("{document:#}\n"));
    }
    say(&text(&known, &config))
}

fn known(name: &'static str, low: u16, high: u16, own: PortRange) -> Known {
    let shared_low = low.max(own.low());
    let shared_high = high.min(own.high());
    let shared = if shared_low <= shared_high { u32::from(shared_high - shared_low) + 1 } else { 0 };
    Known { name, range: [low, high], ports: u32::from(high - low) + 1, shared }
}

fn text(known: &[Known], config: &NetnsConfig) -> String {
    let mut out = format!("{:<32} {:>11} {:>8} {:>15}\n", "RANGE", "PORTS", "NUMBER", "SHARED WITH US");
    let range = config.range;
    let own = format!("{}-{}", range.low(), range.high());
    let mut row = |name: &str, range: &str, ports: u32, shared: u32| {
        let written = writeln!(out, "{name:<32} {range:>11} {:>8} {:>15}", grouped(ports), grouped(shared));
        debug_assert!(written.is_ok(), "a string takes everything");
    };
    row("this host", &own, range.count(), range.count());
    for one in known {
        row(one.name, &format!("{}-{}", one.range[0], one.range[1]), one.ports, one.shared);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_ports_are_counted() {
        let own = PortRange::new(32_768, 60_999).unwrap();
        assert_eq!(known("iana", 49_152, 65_535, own).shared, 11_848);
        assert_eq!(known("linux", 32_768, 60_999, own).shared, 28_232);
        assert_eq!(known("old", 1_024, 4_999, own).shared, 0);
    }
}
