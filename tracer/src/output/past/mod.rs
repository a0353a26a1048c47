//! What `who` tells of a recording.

use std::net::{IpAddr, SocketAddr};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    records::{OwnerRecord, PortRecord, RecordedRecord, RefusedRecord, TenureRecord, Who},
    report::grouped,
    screen::{headline, line, put},
};

/// Lines that the text tells of one port.
const MOST_SHOWN: usize = 40;

/// The screen, with the times of day of a zone.
#[must_use]
pub fn text(who: &Who, recorded: &RecordedRecord, zone: &TimeZone, color: bool) -> String {
    let mut out = String::new();
    for port in &who.ports {
        one(&mut out, port, zone, color);
        put(&mut out, "\n");
    }
    let span = format!("host {}, {} to {}", who.host, date(&recorded.from, zone), clock(&recorded.to, zone));
    line(&mut out, "recording", &span);
    if !recorded.releases {
        line(
            &mut out,
            "not seen",
            "releases were not recorded (record --releases): ends are known no closer than from look to look",
        );
    }
    let looks = match recorded.looks.as_slice() {
        [] => "the sockets were never looked at".to_owned(),
        [only] => format!("the sockets were looked at once, at {}", clock(only, zone)),
        [first, .., last] => format!(
            "the sockets were looked at {} times, from {} to {}; named ports are seen to end only so",
            recorded.looks.len(),
            clock(first, zone),
            clock(last, zone)
        ),
    };
    line(&mut out, "looks", &looks);
    if recorded.lost != 0 {
        let told = format!("{} events of which the count alone is known", grouped(recorded.lost));
        line(&mut out, "not seen", &told);
    }
    if recorded.cut {
        line(&mut out, "not seen", "what came after the cut: the recording has no end");
    }
    if who.truncated {
        line(&mut out, "not seen", "there were more processes, namespaces or sockets than are looked at");
    }
    out
}

/// What happened to a port, at a time.
enum Step<'a> {
    Had(&'a TenureRecord),
    Refused(&'a RefusedRecord),
}

impl Step<'_> {
    fn at(&self) -> &str {
        match self {
            Self::Had(one) => one.from.as_ref().or(one.seen_from.as_ref()).unwrap_or(&one.seen_to),
            Self::Refused(one) => &one.first,
        }
    }
}

fn one(out: &mut String, port: &PortRecord, zone: &TimeZone, color: bool) {
    let mut steps: Vec<Step<'_>> = port.history.iter().map(Step::Had).collect();
    steps.extend(port.refused.iter().map(Step::Refused));
    steps.sort_by(|one, other| one.at().cmp(other.at()));
    let mut labels: Vec<&str> = port.history.iter().filter_map(|one| one.label.as_deref()).collect();
    labels.extend(port.refused.iter().filter_map(|one| one.label.as_deref()));
    labels.sort_unstable();
    labels.dedup();
    let (place, many) = match labels.as_slice() {
        [] => (String::new(), false),
        [only] => (format!("netns {only}"), false),
        all => (format!("{} netns", all.len()), true),
    };
    if let Some(verdict) = &port.verdict {
        headline(out, &verdict.word, &verdict.reason, &place, color);
    }
    for step in steps.iter().take(MOST_SHOWN) {
        let told = match step {
            Step::Had(one) => tenure(one, port.port, many, zone),
            Step::Refused(one) => refused(one, port.port, many, zone),
        };
        line(out, &clock(step.at(), zone), &told);
    }
    if let Some(more) = steps.len().checked_sub(MOST_SHOWN).filter(|more| *more != 0) {
        line(
            out,
            "",
            &format!("… {} more (-o json has them; --from and --to choose a time)", grouped(more as u64)),
        );
    }
}

fn tenure(one: &TenureRecord, port: u16, many: bool, zone: &TimeZone) -> String {
    let owner = one.owner.as_ref().map_or_else(|| "no process that was seen".to_owned(), owner);
    let how = match (&one.how, &one.seen_from) {
        (Some(how), _) if how == "explicit" => "named by it",
        (Some(how), _) if how == "connect" => "given by connect",
        (Some(how), _) if how == "bind" => "given by bind",
        (Some(how), _) if how == "listen" => "given by listen",
        (Some(_), _) => "given by autobind",
        (None, _) => "had it already at this look",
    };
    let end = match (one.end.as_str(), &one.to, &one.gone_by) {
        ("time_wait", Some(to), _) => format!("free at {}, after TIME_WAIT", clock(to, zone)),
        (_, Some(to), _) => format!("released at {}", clock(to, zone)),
        (_, _, Some(by)) => {
            format!("seen until {}, gone by {}", clock(&one.seen_to, zone), clock(by, zone))
        }
        ("held", ..) => "still had it at the end".to_owned(),
        _ => format!("its end was not seen; seen until {}", clock(&one.seen_to, zone)),
    };
    let shared = match one.accepted {
        0 => String::new(),
        1 => ", with 1 connection beside it".to_owned(),
        many => format!(", with {many} connections beside it"),
    };
    format!(
        "{owner} {} {}{}{}, {how}; {end}{shared}",
        one.proto,
        end_of(one.local_addr, port),
        peer(one.remote_addr, one.remote_port),
        space(one.label.as_deref(), many),
    )
}

fn refused(one: &RefusedRecord, port: u16, many: bool, zone: &TimeZone) -> String {
    let times = match one.count {
        1 => String::new(),
        many => format!(", {} times until {}", grouped(many), clock(&one.last, zone)),
    };
    format!(
        "refused: {} {} {} {}{}{} {}{times}",
        owner(&one.owner),
        one.proto,
        one.site,
        end_of(one.local_addr, port),
        peer(one.remote_addr, one.remote_port),
        space(one.label.as_deref(), many),
        one.error.as_deref().unwrap_or("?"),
    )
}

fn space(label: Option<&str>, many: bool) -> String {
    label.filter(|_| many).map(|label| format!(" in netns {label}")).unwrap_or_default()
}

fn owner(owner: &OwnerRecord) -> String {
    let place = super::who::place(owner);
    format!("{} (pid {}{place})", owner.comm.as_deref().or(owner.exe.as_deref()).unwrap_or("?"), owner.pid)
}

fn end_of(addr: Option<IpAddr>, port: u16) -> String {
    addr.map_or_else(|| format!("*:{port}"), |addr| SocketAddr::new(addr, port).to_string())
}

fn peer(addr: Option<IpAddr>, port: Option<u16>) -> String {
    addr.zip(port).map(|(addr, port)| format!(" > {}", SocketAddr::new(addr, port))).unwrap_or_default()
}

/// The time of day.
fn clock(time: &str, zone: &TimeZone) -> String {
    shown(time, zone, "%H:%M:%S%.3f")
}

fn date(time: &str, zone: &TimeZone) -> String {
    shown(time, zone, "%Y-%m-%d %H:%M:%S%.3f")
}

fn shown(time: &str, zone: &TimeZone, format: &str) -> String {
    let read = time.parse::<Timestamp>();
    read.map_or_else(|_| time.to_owned(), |time| time.to_zoned(zone.clone()).strftime(format).to_string())
}

#[cfg(test)]
mod tests;
