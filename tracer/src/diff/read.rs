//! From the bytes of a file to the report in it.

use serde::Deserialize;

use crate::output::records::{Report, SCHEMA};

/// Larger files are not read: a report is below 1 MiB.
pub const MOST_BYTES: u64 = 64 << 20;

/// A report and where it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The file.
    pub file: String,
    /// How many documents it holds: one for each interval, then the whole.
    pub documents: usize,
    /// The last of them.
    pub report: Report,
}

impl Reading {
    /// Which document it is, where the file has several.
    #[must_use]
    pub fn document(&self) -> Option<String> {
        let what = match self.report.interval {
            _ if self.documents == 1 => return None,
            Some(number) => format!("interval {number}"),
            None => "the whole".to_owned(),
        };
        Some(format!("{what}, the last of {} documents", self.documents))
    }
}

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// There is nothing in it.
    #[error("{file} is empty")]
    Empty {
        /// The file.
        file: String,
    },
    /// It is larger than [`MOST_BYTES`].
    #[error("{file} is larger than {} MiB", MOST_BYTES >> 20)]
    TooLarge {
        /// The file.
        file: String,
    },
    /// It is no JSON.
    #[error("{file} is no JSON at line {line}, column {column}: {told}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What the parser says.
        told: String,
        /// It ends too early.
        is_cut: bool,
    },
    /// It is JSON, but something else.
    #[error("{file} is {what}, not a report")]
    Other {
        /// The file.
        file: String,
        /// What it is.
        what: String,
    },
    /// It is a report of a later version.
    #[error("{file} is a report of schema {schema}; this portscope knows {SCHEMA}")]
    Later {
        /// The file.
        file: String,
        /// Its number.
        schema: u32,
    },
    /// It calls itself a report and is none.
    #[error("{file} is no whole report: {told}, at line {line}, column {column}")]
    Fields {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        told: String,
    },
}

impl Unread {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "of many intervals the last document is enough: tail -n 1 FILE",
            Self::Later { .. } => "compare with the portscope that made it, or a later one",
            Self::Syntax { is_cut: true, .. } => {
                "it was cut while it was written: stop a report with Ctrl-C and let it finish"
            }
            Self::Empty { .. } | Self::Syntax { .. } | Self::Other { .. } | Self::Fields { .. } => {
                "make one with: portscope report -d 60s -o json -w FILE"
            }
        }
    }
}

/// The kind of a document; nothing else of it is kept.
#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
    schema: Option<u32>,
}

/// Reads the last document of a file.
///
/// # Errors
///
/// When that is no report that can be compared.
pub fn read(file: &str, bytes: &[u8]) -> Result<Reading, Unread> {
    let file = file.to_owned();
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(Unread::TooLarge { file });
    }
    let mut kinds = serde_json::Deserializer::from_slice(bytes).into_iter::<Kind>();
    let (mut documents, mut begin, mut end) = (0, 0, 0);
    while let Some(kind) = kinds.next() {
        let kind = match kind {
            Ok(kind) => kind,
            Err(error) => return Err(broken(file, bytes, &error)),
        };
        match (kind.kind.as_deref(), kind.schema) {
            (Some("report"), Some(schema)) if schema > SCHEMA => return Err(Unread::Later { file, schema }),
            (Some("report"), _) => {}
            (kind, _) => return Err(Unread::Other { file, what: what(kind) }),
        }
        documents += 1;
        (begin, end) = (end, kinds.byte_offset());
    }
    let last = bytes.get(begin..end).unwrap_or_default();
    if documents == 0 {
        return Err(Unread::Empty { file });
    }
    match serde_json::from_slice(last) {
        Ok(report) => Ok(Reading { file, documents, report }),
        Err(error) => {
            let before = bytes.get(..begin).unwrap_or_default();
            let lines = before.split(|byte| *byte == b'\n').count().saturating_sub(1);
            let (line, column, told) = (lines + error.line(), error.column(), words(&error));
            Err(Unread::Fields { file, line, column, told })
        }
    }
}

/// Why the next document could not even be told by its kind.
fn broken(file: String, bytes: &[u8], error: &serde_json::Error) -> Unread {
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Unread::Other { file, what: "a page or another XML document".to_owned() };
    }
    if error.is_data() {
        return Unread::Other { file, what: "JSON of another kind".to_owned() };
    }
    Unread::Syntax {
        file,
        line: error.line(),
        column: error.column(),
        told: words(error),
        is_cut: error.is_eof(),
    }
}

fn what(kind: Option<&str>) -> String {
    match kind {
        Some("header" | "allocation" | "bind" | "check_record" | "release" | "footer") => {
            "a trace".to_owned()
        }
        Some(kind @ ("check" | "bundle" | "who" | "diff")) => format!("the document of {kind}"),
        _ => "JSON of another kind".to_owned(),
    }
}

/// What the parser says, without the place.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words).to_owned()
}
