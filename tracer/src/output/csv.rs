//! CSV (RFC 4180, lines ended by a line feed): one header row, one row an event, null as nothing. A reader gets every name
//! back as it was; a terminal gets none that it would obey.

use std::borrow::Cow;

use super::{
    Field, Observation, OutputError, TraceOutput, escape, plain,
    records::{Footer, Header},
    value::Value,
};
use crate::enrich::Rfc3339;

/// Writes a trace as CSV. Header and footer records have no place in it: the caller says them elsewhere.
#[derive(Clone, Debug)]
pub struct CsvOutput {
    clock: Rfc3339,
    fields: Vec<Field>,
    for_terminal: bool,
}

impl CsvOutput {
    /// All fields, in the order of [`Field::ALL`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_fields(Field::ALL.to_vec())
    }

    /// These fields, in this order.
    #[must_use]
    pub fn with_fields(fields: Vec<Field>) -> Self {
        Self { clock: Rfc3339::default(), fields, for_terminal: false }
    }

    /// Names as on the screen, if this is one.
    #[must_use]
    pub fn for_terminal(self, for_terminal: bool) -> Self {
        Self { for_terminal, ..self }
    }
}

impl Default for CsvOutput {
    fn default() -> Self {
        Self::new()
    }
}

impl TraceOutput for CsvOutput {
    fn header(&mut self, _: &Header, out: &mut Vec<u8>) -> Result<(), OutputError> {
        row(out, &self.fields, |field, out| out.extend_from_slice(field.name().as_bytes()));
        Ok(())
    }

    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        let Self { clock, fields, for_terminal } = self;
        row(out, fields, |field, out| match Value::of(field, seen) {
            Value::Text(text) if *for_terminal => out.extend_from_slice(quoted(&escape(&text)).as_bytes()),
            value => cell(clock, value, out),
        });
    }

    fn footer(&mut self, _: &Footer, _: &mut Vec<u8>) -> Result<(), OutputError> {
        Ok(())
    }
}

fn row(out: &mut Vec<u8>, fields: &[Field], mut write: impl FnMut(Field, &mut Vec<u8>)) {
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(*field, out);
    }
    out.push(b'\n');
}

fn cell(clock: &mut Rfc3339, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => out.extend_from_slice(quoted(&text).as_bytes()),
        value => plain::value(clock, &value, out),
    }
}

/// Quotes a text where a reader would stumble: over separators, quotes, ends of lines, outer spaces; and the
/// empty text, which is not null.
fn quoted(text: &str) -> Cow<'_, str> {
    let stumbles = text.is_empty() || text.contains([',', '"', '\n', '\r']) || text.trim() != text;
    if stumbles { format!("\"{}\"", text.replace('"', "\"\"")).into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let table = [
            ("curl", "curl"),
            ("", "\"\""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            (" a", "\" a\""),
        ];
        for (raw, written) in table {
            assert_eq!(quoted(raw), written);
        }
    }
}
