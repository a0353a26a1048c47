//! JSON Lines: one object a line, a header first, a footer last.

mod event;
mod line;
mod select;

use line::{Buffer, Line};
use serde::Serialize;

use super::{
    Field, Observation, OutputError, TraceOutput,
    records::{Footer, Header, TraceRecord},
};
use crate::enrich::Rfc3339;

/// Writes a trace as JSON Lines.
#[derive(Clone, Debug, Default)]
pub struct JsonOutput {
    clock: Rfc3339,
    buffer: Buffer,
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
        Self { fields: Some(fields), ..Self::default() }
    }
}

impl TraceOutput for JsonOutput {
    fn header(&mut self, header: &Header, out: &mut Vec<u8>) -> Result<(), OutputError> {
        document("header", &TraceRecord::Header(header.clone()), out)
    }

    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        let mut line = Line::new(&mut self.buffer, out);
        match &self.fields {
            None => event::write(&mut line, &mut self.clock, seen),
            Some(fields) => select::write(&mut line, &mut self.clock, fields, seen),
        }
        line.finish();
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
