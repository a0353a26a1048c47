//! The line written by hand must say what a serializer would have said.

use portscope::{
    enrich::Rfc3339,
    event::{Family, Kind, Kinds, NetnsId, Outcome, Port, ReleaseState, Site},
    output::{
        Field, JsonOutput, Observation, TraceOutput as _,
        records::{Choice, ExplicitBind, FamilyName, Release, ReleaseStateName, ResultName, TraceRecord},
    },
};
use proptest::prelude::*;
use serde_json::Value;

use crate::cases::{any_case, fixed, footer, header};

fn family(family: Family) -> Option<FamilyName> {
    match family {
        Family::V4 => Some(FamilyName::Ipv4),
        Family::V6 => Some(FamilyName::Ipv6),
        Family::Unknown(_) => None,
    }
}

fn choice(seen: &Observation<'_>, site: Site) -> Choice {
    let (event, process) = (seen.event, seen.process);
    let kinds = Kinds::of(event, &seen.search);
    Choice {
        ts: Rfc3339::text(seen.utc),
        mono_us: event.mono().0 / 1000,
        site,
        result: match event.result() {
            Outcome::Ok => ResultName::Ok,
            Outcome::Failed { .. } => ResultName::Failed,
        },
        error: event.errno().map(|errno| errno.to_string()),
        cause: event.cause(),
        proto: event.protocol().name().into(),
        family: family(event.family()),
        pid: event.pid().0,
        tid: event.tid().0,
        uid: event.uid().map(|uid| uid.0),
        comm: process.comm().map(Into::into),
        thread_comm: event.comm().map(|comm| comm.lossy().into()),
        exe: process.exe().map(Into::into),
        netns: event.netns().map(NetnsId::get),
        cgroup_id: event.cgroup_id().map(|id| id.get().to_string()),
        unit: process.unit().map(Into::into),
        container: process.container().map(Into::into),
        pod: process.pod().map(Into::into),
        kernel_socket: event.kernel_socket(),
        local_addr: event.local_addr(),
        local_port: event.local_port().map(Port::get),
        requested_port: event.requested_port().map_or(0, Port::get),
        remote_addr: event.remote_addr(),
        remote_port: event.remote_port().map(Port::get),
        search_ns: event.search_ns(),
        search_exact: event.search_ns().map(|_| !event.search_upper_bound()),
        candidates: seen.search.candidates,
        candidates_exact: seen.search.candidates_exact,
        collisions: seen.search.collisions,
        bucket_collisions: kinds.and_then(|kinds| kinds.bucket),
        tuple_collisions: kinds.map(|kinds| kinds.tuple),
        time_wait_collisions: kinds.map(|kinds| kinds.time_wait),
        crossed_half: seen.search.crossed_half,
        range: event.range().map(|range| [range.low(), range.high()]),
        options: event.options().map(|options| options.iter().map(|option| option.name.into()).collect()),
        time_wait_reused: event.time_wait_reused(),
        socket: event.socket().map(|socket| format!("{:x}", socket.get())),
        host: None,
    }
}

fn release(seen: &Observation<'_>, state: ReleaseState) -> Release {
    let event = seen.event;
    Release {
        ts: Rfc3339::text(seen.utc),
        mono_us: event.mono().0 / 1000,
        state: match state {
            ReleaseState::TimeWait => Some(ReleaseStateName::TimeWait),
            ReleaseState::Closed => Some(ReleaseStateName::Closed),
            ReleaseState::Unknown(_) => None,
        },
        held_us: event.held_ns().map(|held| held / 1000),
        proto: event.protocol().name().into(),
        family: family(event.family()),
        pid: event.pid().0,
        tid: event.tid().0,
        comm: seen.process.comm().map(Into::into),
        netns: event.netns().map(NetnsId::get),
        local_addr: event.local_addr(),
        local_port: event.local_port().map(Port::get),
        remote_addr: event.remote_addr(),
        remote_port: event.remote_port().map(Port::get),
        socket: event.socket().map(|socket| format!("{:x}", socket.get())),
        host: None,
    }
}

fn slowly(seen: &Observation<'_>) -> TraceRecord {
    match seen.event.kind() {
        Kind::Allocation(site) => TraceRecord::Allocation(choice(seen, site)),
        Kind::Explicit(Site::Bind) => TraceRecord::Bind(ExplicitBind {
            choice: choice(seen, Site::Bind),
            holders: seen.holders.map(<[_]>::to_vec),
        }),
        Kind::Explicit(site) => TraceRecord::Check(choice(seen, site)),
        Kind::Release(state) => TraceRecord::Release(release(seen, state)),
    }
}

fn line(output: &mut JsonOutput, seen: &Observation<'_>) -> String {
    let mut out = Vec::new();
    output.event(seen, &mut out);
    let line = String::from_utf8(out).unwrap();
    assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
    line
}

/// Keys in their order, as the record type declares them.
fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn check(seen: &Observation<'_>) {
    let written = line(&mut JsonOutput::new(), seen);
    let record = slowly(seen);
    assert_eq!(serde_json::from_str::<TraceRecord>(&written).unwrap(), record, "{written}");
    // Not a field more, not a field less, and null where the record says null.
    let value: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(value, serde_json::to_value(&record).unwrap());
    let selected = line(&mut JsonOutput::with_fields(Field::ALL.to_vec()), seen);
    let selected: Value = serde_json::from_str(&selected).unwrap();
    for key in keys(&value).into_iter().filter(|key| key != "holders") {
        assert_eq!(selected[&key], value[&key], "{key}");
    }
}

#[test]
fn the_fixed_events_are_written_as_the_records_say() {
    for case in fixed() {
        check(&case.seen());
    }
}

#[test]
fn header_and_footer_read_back() {
    let mut out = Vec::new();
    JsonOutput::new().header(&header(), &mut out).unwrap();
    JsonOutput::new().footer(&footer(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let records: Vec<TraceRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records, [TraceRecord::Header(header()), TraceRecord::Footer(footer())]);
}

proptest! {
    #[test]
    fn any_event_is_written_as_the_records_say(case in any_case()) {
        check(&case.seen());
    }
}
