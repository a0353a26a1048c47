//! JSON Lines: one object a line, a header first, a footer last.

mod draft;
mod event;
mod line;
mod select;
mod stamp;

use line::{Buffer, Line};
use serde::Serialize;

use super::{
    Field, Observation, OutputError, TraceOutput,
    records::{Footer, Header, TraceRecord},
};
use crate::enrich::{Rfc3339, harmless_json};

/// A document on one line, names in it harmless on a terminal.
///
/// # Errors
///
/// It does not fit JSON.
pub fn to_json(document: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(document).map(harmless_json)
}

/// The same on many lines.
///
/// # Errors
///
/// It does not fit JSON.
pub fn to_json_pretty(document: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(document).map(harmless_json)
}

/// Writes a trace as JSON Lines.
#[derive(Clone, Debug, Default)]
pub struct JsonOutput {
    buffer: Buffer,
    memory: event::Memory,
    fields: Option<(Vec<Field>, Rfc3339)>,
}

impl JsonOutput {
    /// All fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The type and these fields, in this order.
    #[must_use]
    pub fn with_fields(fields: Vec<Field>) -> Self {
        Self { fields: Some((fields, Rfc3339::new())), ..Self::default() }
    }
}

impl TraceOutput for JsonOutput {
    fn header(&mut self, header: &Header, out: &mut Vec<u8>) -> Result<(), OutputError> {
        document("header", &TraceRecord::Header(header.clone()), out)
    }

    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        match &mut self.fields {
            None => event::write(&mut self.memory, &mut self.buffer, seen, out),
            Some((fields, clock)) => {
                let mut line = Line::new(&mut self.buffer, out);
                select::write(&mut line, clock, fields, seen);
                line.finish();
            }
        }
    }

    fn footer(&mut self, footer: &Footer, out: &mut Vec<u8>) -> Result<(), OutputError> {
        document("footer", &TraceRecord::Footer(footer.clone()), out)
    }
}

/// Appends one line, or nothing.
fn document(record: &'static str, value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), OutputError> {
    let json = to_json(value).map_err(|source| OutputError::Json { record, source })?;
    out.extend_from_slice(json.as_bytes());
    out.push(b'\n');
    Ok(())
}
