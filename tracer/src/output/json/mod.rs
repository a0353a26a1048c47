//! JSON Lines: one object a line, a header first, a footer last.

mod line;
mod piece;
mod select;

use serde::Serialize;

pub(super) use piece::{hex, ipv4};

use super::{
    Field, Observation, OutputError, TraceOutput,
    records::{Footer, Header, TraceRecord},
};
use crate::enrich::Rfc3339;

/// Writes a trace as JSON Lines.
#[derive(Clone, Debug, Default)]
pub struct JsonOutput {
    clock: Rfc3339,
    fields: Option<Vec<Field>>,
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
        Self { clock: Rfc3339::default(), fields: Some(fields) }
    }
}

impl TraceOutput for JsonOutput {
    fn header(&mut self, header: &Header, out: &mut Vec<u8>) -> Result<(), OutputError> {
        document("header", &TraceRecord::Header(header.clone()), out)
    }

    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        match &self.fields {
            None => line::write(&mut self.clock, seen, out),
            Some(fields) => select::write(&mut self.clock, fields, seen, out),
        }
    }

    fn footer(&mut self, footer: &Footer, out: &mut Vec<u8>) -> Result<(), OutputError> {
        document("footer", &TraceRecord::Footer(footer.clone()), out)
    }
}

/// Appends one line, or nothing.
fn document(record: &'static str, value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), OutputError> {
    let start = out.len();
    if let Err(source) = serde_json::to_writer(&mut *out, value) {
        out.truncate(start);
        return Err(OutputError::Json { record, source });
    }
    out.push(b'\n');
    Ok(())
}
