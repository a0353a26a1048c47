//! One record between header and footer.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A record as it stood on its line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Event(pub Map<String, Value>);

impl Event {
    /// The value of a field; `None` where the field is missing.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// A field that holds text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.value(field)?.as_str()
    }

    /// A field that holds a number that is not negative.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.value(field)?.as_u64()
    }

    /// A field that holds yes or no.
    #[must_use]
    pub fn flag(&self, field: &str) -> Option<bool> {
        self.value(field)?.as_bool()
    }

    /// Its `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// Whether its process is one of these.
    #[must_use]
    pub fn is_of(&self, pid: u32) -> bool {
        self.number("pid") == Some(pid.into())
    }

    /// The fields that say what it is, for messages.
    #[must_use]
    pub fn brief(&self) -> String {
        const SHOWN: [&str; 12] = [
            "type",
            "site",
            "proto",
            "family",
            "result",
            "error",
            "local_addr",
            "local_port",
            "requested_port",
            "remote_addr",
            "remote_port",
            "tid",
        ];
        let shown = SHOWN.iter().filter_map(|field| Some(format!("{field}={}", self.value(field)?)));
        shown.collect::<Vec<_>>().join(" ")
    }
}
