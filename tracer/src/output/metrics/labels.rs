//! What labels hold: names that others have chosen, cut and made harmless.

use std::borrow::Cow;

use serde_json::Value;

use super::super::{escape, records::PoolRecord};

/// The longest value, in characters.
const MOST: usize = 96;

/// Labels of one line.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A name as a value.
pub(super) fn value(name: &str) -> String {
    let safe: Cow<'_, str> = escape(name);
    if safe.chars().count() <= MOST {
        return safe.into_owned();
    }
    safe.chars().take(MOST - 1).chain(['…']).collect()
}

/// Those of a pool.
pub(super) fn pool(pool: &PoolRecord, netns: &str) -> Labels {
    let raddr = pool.remote_addr.map(|addr| addr.to_string()).unwrap_or_default();
    let rport = pool.remote_port.map(|port| port.to_string()).unwrap_or_default();
    vec![
        ("netns", value(netns)),
        ("proto", pool.proto.clone()),
        ("laddr", pool.local_addr.to_string()),
        ("raddr", raddr),
        ("rport", rport),
    ]
}

/// Those of all pools that are not told one by one: no pool has no protocol.
pub(super) fn other_pools() -> Labels {
    let empty = |name| (name, String::new());
    vec![("netns", "other".to_owned()), empty("proto"), empty("laddr"), empty("raddr"), empty("rport")]
}

/// The first of a list of processes in the evidence of a finding.
pub(super) fn first(list: Option<&Value>) -> String {
    let name = |key: &str| list?.get(0)?.get(key)?.as_str();
    let exe = name("exe").map(|exe| exe.rsplit('/').next().unwrap_or(exe));
    value(exe.or_else(|| name("comm")).unwrap_or_default())
}
