//! PS019: it fails with the words of exhaustion, and ports are not the reason.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::json;

use super::{
    Case, Finding, Refusal, Severity, draft,
    place::Place,
    seen::{free_in, key_of, lacks_source},
    wording,
};
use crate::{
    event::{Cause, Errno, NetnsId},
    stock::NetnsConfig,
};

/// What the address is wanting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `::1`, and the host has no IPv6.
    NoIpv6,
    /// The address is not one of this host's.
    Foreign,
    /// The 4-tuple that the caller fixed is in use.
    TupleBusy,
    /// No address of the host can be the source.
    NoSource,
}

impl Kind {
    fn of(refusal: &Refusal) -> Option<Self> {
        let is_v6_loopback = |addr: Option<IpAddr>| addr == Some(IpAddr::V6(Ipv6Addr::LOCALHOST));
        let v6_off =
            is_v6_loopback(refusal.laddr) || (lacks_source(refusal) && is_v6_loopback(refusal.raddr));
        match refusal.cause {
            _ if refusal.errno != Some(Errno::EADDRNOTAVAIL) || refusal.count == 0 => None,
            Some(Cause::TupleBusy) if !lacks_source(refusal) => Some(Self::TupleBusy),
            Some(Cause::Exhausted) if !lacks_source(refusal) => None,
            _ if v6_off => Some(Self::NoIpv6),
            Some(Cause::NoAddress) => Some(Self::Foreign),
            _ if lacks_source(refusal) => Some(Self::NoSource),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::NoIpv6 => "no_ipv6",
            Self::Foreign => "address_not_here",
            Self::TupleBusy => "tuple_busy",
            Self::NoSource => "no_source_address",
        }
    }

    const fn why(self) -> &'static str {
        match self {
            Self::NoIpv6 => {
                "::1 is no address of this namespace: IPv6 is off (net.ipv6.conf.lo.disable_ipv6)"
            }
            Self::Foreign => "the address is not one of this namespace's, or not yet",
            Self::TupleBusy => "the caller fixed its own port, and a connection with both these ends exists",
            Self::NoSource => "no address of this namespace can be the source for that destination",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::NoIpv6 => "connect to 127.0.0.1, or have IPv6 on for lo",
            Self::Foreign => "bind to an address that `ip address` shows, or add the address first",
            Self::TupleBusy => "bind to port 0 (or not at all): then the kernel finds a free port",
            Self::NoSource => "add an address of that family and scope, or connect over the other family",
        }
    }
}

/// EADDRNOTAVAIL, and the pool is free.
pub(super) fn ps019(case: &Case<'_>) -> Vec<Finding> {
    let refusals = case.flow.into_iter().flat_map(|flow| flow.refusals);
    refusals.filter_map(|refusal| Some(of(case, refusal, Kind::of(refusal)?))).collect()
}

fn of(case: &Case<'_>, refusal: &Refusal, kind: Kind) -> Finding {
    let key = key_of(refusal);
    let effective =
        Place::of(case, refusal.netns).and_then(|place| place.config()).map(NetnsConfig::effective);
    let free = key.as_ref().and_then(|key| free_in(case, refusal.netns, key));
    let local = match (refusal.laddr, refusal.requested) {
        (Some(addr), Some(port)) => Some(wording::endpoint(addr, port)),
        (addr, _) => addr.map(|addr| addr.to_string()),
    };
    let remote = refusal.raddr.zip(refusal.rport).map(|(addr, port)| wording::endpoint(addr, port));
    let ends: Vec<String> = local.iter().chain(&remote).cloned().collect();
    let ends = if ends.is_empty() { "somewhere".to_owned() } else { ends.join(" > ") };
    let title = format!(
        "{ends}: {} of {} {} fail with EADDRNOTAVAIL, and not for want of ports",
        wording::count(refusal.count),
        wording::count(refusal.attempts.max(refusal.count)),
        refusal.site.name()
    );
    let victims: Vec<String> = refusal
        .victims
        .iter()
        .map(|one| {
            format!("{} {}", wording::program(&one.process, one.processes.into()), wording::count(one.count))
        })
        .collect();
    let free_line = free
        .zip(effective)
        .map(|(free, of)| format!("{} of {} ports are free here", wording::count(free), wording::count(of)));
    Finding::new(19, Severity::Warning, title)
        .fact("netns", json!(refusal.netns.map(NetnsId::get)))
        .fact("kind", kind.name())
        .fact("local", json!(local))
        .fact("remote", json!(remote))
        .fact("refused", refusal.count)
        .fact("free", json!(free))
        .fact("effective", json!(effective))
        .fact("victims", draft::victims(refusal))
        .maybe_line("refused to", (!victims.is_empty()).then(|| wording::some_of(&victims, 3)))
        .line("why", kind.why())
        .maybe_line("ports", free_line)
        .advise(kind.remedy(), None)
        .in_vain(&["a wider range", "tcp_tw_reuse", "ulimit -n"])
        .done()
}
