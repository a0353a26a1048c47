//! The cells of a trace line.

use std::{borrow::Cow, fmt::Write as _};

use crate::{
    event::{Event, Kind, NetnsId, Outcome, Port, Search},
    output::{Observation, escape},
};

/// What does not apply.
const NOTHING: &str = "-";
/// What could not be seen.
const UNSEEN: &str = "?";

/// Name of the process, or of the thread where that is all there is.
pub(super) fn comm<'a>(seen: &Observation<'a>) -> Cow<'a, str> {
    match (seen.process.comm(), seen.event.comm()) {
        (Some(comm), _) => escape(comm),
        (None, Some(comm)) => escape(&comm.lossy()).into_owned().into(),
        (None, None) => UNSEEN.into(),
    }
}

/// Inode number of the network namespace.
pub(super) fn netns(event: &Event) -> Cow<'static, str> {
    event.netns().map_or(UNSEEN.into(), |netns| NetnsId::get(netns).to_string().into())
}

/// Where the choice was made.
pub(super) fn site(event: &Event) -> &'static str {
    event.kind().site().map_or("release", crate::event::Site::name)
}

/// Local address.
pub(super) fn local_addr(event: &Event) -> Cow<'static, str> {
    event.local_addr().map_or(UNSEEN.into(), |addr| addr.to_string().into())
}

/// The port chosen, the port asked for where that failed, `*` where any would have done.
pub(super) fn local_port(event: &Event) -> Cow<'static, str> {
    let named = event.local_port().or(event.requested_port());
    match named {
        Some(port) => Port::get(port).to_string().into(),
        None if event.failed() => "*".into(),
        None => UNSEEN.into(),
    }
}

/// Remote address.
pub(super) fn remote_addr(event: &Event) -> Cow<'static, str> {
    event.remote_addr().map_or(NOTHING.into(), |addr| addr.to_string().into())
}

/// Remote port.
pub(super) fn remote_port(event: &Event) -> Cow<'static, str> {
    event.remote_port().map_or(NOTHING.into(), |port| Port::get(port).to_string().into())
}

/// How the choice ended.
pub(super) fn ret(event: &Event) -> Cow<'static, str> {
    match (event.kind(), event.result()) {
        (Kind::Release(_), _) => NOTHING.into(),
        (_, Outcome::Ok) => "ok".into(),
        (_, Outcome::Failed { errno: None }) => UNSEEN.into(),
        (_, Outcome::Failed { errno: Some(errno) }) => {
            errno.name().map_or_else(|| errno.to_string().into(), Cow::Borrowed)
        }
    }
}

/// Search time in microseconds, to the tenth below a millisecond; `<` before an upper bound.
pub(super) fn micros(event: &Event) -> Cow<'static, str> {
    let Some(ns) = event.search_ns() else {
        return if matches!(event.kind(), Kind::Release(_)) { NOTHING.into() } else { UNSEEN.into() };
    };
    let bound = if event.search_upper_bound() { "<" } else { "" };
    // Rounded to a tenth; half a tenth is 50 ns.
    let tenths = ns.saturating_add(50) / 100;
    if tenths < 10_000 {
        format!("{bound}{}.{}", tenths / 10, tenths % 10).into()
    } else {
        format!("{bound}{}", ns.saturating_add(500) / 1000).into()
    }
}

/// Collisions: `~` before a number that may be off; `half` where one half of the range was searched in vain
/// and nothing more is known.
pub(super) fn collisions(event: &Event, search: &Search) -> Cow<'static, str> {
    match (search.collisions, search.candidates_exact, search.crossed_half) {
        (Some(collisions), Some(false), _) => format!("~{collisions}").into(),
        (Some(collisions), _, _) => collisions.to_string().into(),
        (None, _, Some(true)) if !event.failed() => "half".into(),
        (None, ..) => NOTHING.into(),
    }
}

/// Letters of what bears on the choice; of a release, how long the port was held, and what ended it.
pub(super) fn options(event: &Event) -> Cow<'static, str> {
    if let Kind::Release(state) = event.kind() {
        return held(event.held_ns(), state.name().unwrap_or(UNSEEN)).into();
    }
    let mut letters: String = event
        .options()
        .iter()
        .flat_map(|options| options.iter())
        .filter_map(|option| option.letter)
        .collect();
    let more = [
        (event.kernel_socket() == Some(true), 'K'),
        (event.time_wait_reused() == Some(true), 'T'),
        (matches!(event.kind(), Kind::Explicit(_)), 'E'),
    ];
    letters.extend(more.into_iter().filter(|(set, _)| *set).map(|(_, letter)| letter));
    match (letters.is_empty(), event.options()) {
        (false, _) => letters.into(),
        (true, Some(_)) => NOTHING.into(),
        (true, None) => UNSEEN.into(),
    }
}

fn held(ns: Option<u64>, state: &str) -> String {
    let mut text = String::from("held=");
    match ns {
        Some(ns) => {
            let millis = ns / 1_000_000;
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{}.{:03}s", millis / 1000, millis % 1000);
        }
        None => text.push_str(UNSEEN),
    }
    text.push(',');
    text.push_str(state);
    text
}
