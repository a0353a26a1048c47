//! What the records must say of an operation, field by field (DESIGN.md §4).

use serde_json::{Value, json};

use crate::operation::{Kind, Operation, Site};

/// What a field must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// This value.
    Is(Value),
    /// This value, or null.
    IsOrNull(Value),
    /// A list of these words, in any order; other words of [`BESIDES`] may stand there too.
    Words(Vec<String>),
    /// Null.
    Null,
}

impl Want {
    /// What is wrong with the value that was found.
    pub(super) fn objection(&self, field: &str, found: Option<&Value>) -> Option<String> {
        let Some(found) = found else { return Some(format!("{field} is missing")) };
        let fits = match self {
            Self::Is(value) => found == value,
            Self::IsOrNull(value) => found.is_null() || found == value,
            Self::Words(words) => listed(found).is_some_and(|found| found == sorted(words)),
            Self::Null => found.is_null(),
        };
        let wanted = match self {
            Self::Is(value) | Self::IsOrNull(value) => value.to_string(),
            Self::Words(words) => format!("{words:?}"),
            Self::Null => "null".to_owned(),
        };
        let unlisted = if found.is_null() { " (and not in fields_unavailable)" } else { "" };
        (!fits).then(|| format!("{field} is {found}{unlisted}, not {wanted}"))
    }
}

/// Options that the records list and no application sets: the kernel's mark on a port that was named.
const BESIDES: [&str; 1] = ["bindport_lock"];

/// Options that are not in the records.
const UNRECORDED: [&str; 3] = ["fastopen_connect", "v6only", "bind_to_device"];

fn listed(found: &Value) -> Option<Vec<&str>> {
    let words = found.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
    let mut words: Vec<_> = words.into_iter().filter(|word| !BESIDES.contains(word)).collect();
    words.sort_unstable();
    Some(words)
}

fn sorted(words: &[String]) -> Vec<&str> {
    let mut words: Vec<_> =
        words.iter().map(String::as_str).filter(|word| !UNRECORDED.contains(word)).collect();
    words.sort_unstable();
    words
}

/// The fields that the application knows, and what they must hold.
pub(super) fn expectations(operation: &Operation) -> Vec<(&'static str, Want)> {
    let is = |value: Value| Want::Is(value);
    let kind = match (operation.kind, operation.site) {
        (Kind::Allocation, _) => "allocation",
        (Kind::Explicit, Site::Bind) => "bind",
        (Kind::Explicit, _) => "check",
    };
    let mut wants = vec![
        ("type", is(json!(kind))),
        ("site", is(json!(operation.site.word()))),
        ("result", is(json!(if operation.ok { "ok" } else { "failed" }))),
        ("error", is(json!(operation.errno))),
        ("cause", is(json!(operation.cause))),
        ("proto", is(json!(operation.proto.word()))),
        ("pid", is(json!(operation.pid))),
        ("tid", is(json!(operation.tid))),
        ("comm", is(json!(operation.comm))),
        ("thread_comm", is(json!(operation.thread_comm))),
        ("netns", is(json!(operation.netns))),
        ("requested_port", is(json!(operation.requested_port))),
        ("options", Want::Words(operation.options.clone())),
        ("local_port", if operation.ok { is(json!(operation.local_port)) } else { Want::Null }),
    ];
    if let Some(family) = operation.family {
        wants.push(("family", is(json!(family.word()))));
    }
    if let Some(addr) = operation.local_addr {
        wants.push(("local_addr", is(json!(addr))));
    }
    if let Some(range) = operation.range {
        wants.push(("range", is(json!(range))));
    }
    // A datagram socket is bound before the kernel looks at the destination: a backend may know it, or not.
    let remote = |value: Value| match operation.site {
        Site::Connect => Want::Is(value),
        Site::Autobind => Want::IsOrNull(value),
        Site::Bind | Site::Listen => Want::Null,
    };
    wants.push(("remote_addr", remote(json!(operation.remote_addr))));
    wants.push(("remote_port", remote(json!(operation.remote_port))));
    wants
}
