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
    /// No port: null, or 0.
    NoPort,
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
            Self::NoPort => found.is_null() || *found == json!(0),
            Self::Null => found.is_null(),
        };
        let wanted = match self {
            Self::Is(value) | Self::IsOrNull(value) => value.to_string(),
            Self::NoPort => "no port".to_owned(),
            Self::Null => "null".to_owned(),
        };
        let unlisted = if found.is_null() { " (and not in fields_unavailable)" } else { "" };
        (!fits).then(|| format!("{field} is {found}{unlisted}, not {wanted}"))
    }
}

/// The fields that the application knows, and what they must hold.
pub(super) fn expectations(operation: &Operation) -> Vec<(&'static str, Want)> {
    let is = |value: Value| Want::Is(value);
    let kind = match operation.kind {
        Kind::Allocation => "allocation",
        Kind::Explicit => "bind",
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
        ("local_port", if operation.ok { is(json!(operation.local_port)) } else { Want::NoPort }),
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
