//! One field of one event as a value, whatever the output makes of it.

use std::{borrow::Cow, net::IpAddr};

use super::{Field, Observation};
use crate::{
    enrich::UtcNs,
    event::{Errno, Kind, Kinds, Options, Outcome, PortRange, Site},
};

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Absent, unseen, or does not apply.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(u64),
    /// A number that JSON carries as a string, because it may exceed 2^53.
    BigNumber(u64),
    /// A number written in hexadecimal digits, a string in JSON.
    Hex(u64),
    /// A word of ours.
    Word(&'static str),
    /// A name that others chose.
    Text(Cow<'a, str>),
    /// An address.
    Addr(IpAddr),
    /// An errno's name.
    Errno(Errno),
    /// Two ports.
    Range(PortRange),
    /// A list of names.
    Options(Options),
    /// A time of day.
    Time(UtcNs),
}

/// The `type` of the record of such an event.
pub(super) const fn record_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Allocation(_) => "allocation",
        Kind::Explicit(Site::Bind) => "bind",
        Kind::Explicit(_) => "check",
        Kind::Release(_) => "release",
    }
}

impl<'a> Value<'a> {
    /// Looks up a field of an event.
    pub(super) fn of(field: Field, seen: &Observation<'a>) -> Self {
        let event = seen.event;
        let release = matches!(event.kind(), Kind::Release(_));
        match field {
            Field::Type => Self::Word(record_type(event.kind())),
            Field::Ts => Self::Time(seen.utc),
            Field::MonoUs => Self::Number(event.mono().0 / 1000),
            Field::Site => word(event.kind().site().map(Site::name)),
            Field::Result if release => Self::Null,
            Field::Result => Self::Word(result_name(event.result())),
            Field::Error => event.errno().map_or(Self::Null, Self::Errno),
            Field::Cause => word(event.cause().map(crate::event::Cause::name)),
            Field::Proto => Self::Word(event.protocol().name()),
            Field::Family => word(event.family().name()),
            Field::Pid => number(Some(event.pid().0)),
            Field::Tid => number(Some(event.tid().0)),
            Field::Uid => number(event.uid().map(|uid| uid.0)),
            Field::ThreadComm => {
                event.comm().map_or(Self::Null, |comm| Self::Text(comm.lossy().into_owned().into()))
            }
            Field::Comm => text(seen.process.comm()),
            Field::Exe => text(seen.process.exe()),
            Field::Unit => text(seen.process.unit()),
            Field::Container => text(seen.process.container()),
            Field::Pod => text(seen.process.pod()),
            Field::Netns => number(event.netns().map(crate::event::NetnsId::get)),
            Field::CgroupId => event.cgroup_id().map_or(Self::Null, |id| Self::BigNumber(id.get())),
            Field::LocalAddr => event.local_addr().map_or(Self::Null, Self::Addr),
            Field::RemoteAddr => event.remote_addr().map_or(Self::Null, Self::Addr),
            Field::LocalPort => number(event.local_port().map(crate::event::Port::get)),
            Field::RemotePort => number(event.remote_port().map(crate::event::Port::get)),
            Field::Socket => event.socket().map_or(Self::Null, |socket| Self::Hex(socket.get())),
            Field::State => match event.kind() {
                Kind::Release(state) => word(state.name()),
                _ => Self::Null,
            },
            Field::HeldUs => event.held_ns().map_or(Self::Null, |held| Self::Number(held / 1000)),
            _ if release => Self::Null,
            _ => Self::of_search(field, seen),
        }
    }

    /// Looks up a field that releases do not have.
    fn of_search(field: Field, seen: &Observation<'a>) -> Self {
        let (event, search) = (seen.event, seen.search);
        let kinds = || Kinds::of(event, &search);
        match field {
            Field::KernelSocket => boolean(event.kernel_socket()),
            Field::RequestedPort => number(Some(event.requested_port().map_or(0, crate::event::Port::get))),
            Field::SearchNs => number(event.search_ns()),
            Field::SearchExact => boolean(event.search_ns().map(|_| !event.search_upper_bound())),
            Field::Candidates => number(search.candidates),
            Field::CandidatesExact => boolean(search.candidates_exact),
            Field::Collisions => number(search.collisions),
            Field::BucketCollisions => number(kinds().and_then(|kinds| kinds.bucket)),
            Field::TupleCollisions => number(kinds().map(|kinds| kinds.tuple)),
            Field::TimeWaitCollisions => number(kinds().map(|kinds| kinds.time_wait)),
            Field::CrossedHalf => boolean(search.crossed_half),
            Field::Range => event.range().map_or(Self::Null, Self::Range),
            Field::Options => event.options().map_or(Self::Null, Self::Options),
            Field::TimeWaitReused => boolean(event.time_wait_reused()),
            _ => Self::Null,
        }
    }
}

/// The word for how it ended.
pub(super) const fn result_name(result: Outcome) -> &'static str {
    match result {
        Outcome::Ok => "ok",
        Outcome::Failed { .. } => "failed",
    }
}

fn number<'a>(number: Option<impl Into<u64>>) -> Value<'a> {
    number.map_or(Value::Null, |number| Value::Number(number.into()))
}

fn boolean<'a>(answer: Option<bool>) -> Value<'a> {
    answer.map_or(Value::Null, Value::Bool)
}

fn word<'a>(word: Option<&'static str>) -> Value<'a> {
    word.map_or(Value::Null, Value::Word)
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, |text| Value::Text(text.into()))
}
