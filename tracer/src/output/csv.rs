//! CSV (RFC 4180, lines ended by a line feed): one header row, one row an event, null as nothing.

use std::{borrow::Cow, io::Write as _};

use super::{
    Field, Observation, OutputError, TraceOutput,
    records::{Footer, Header},
    value::Value,
};
use crate::enrich::Rfc3339;

/// Writes a trace as CSV. Header and footer records have no place in it: the caller says them elsewhere.
#[derive(Clone, Debug)]
pub struct CsvOutput {
    clock: Rfc3339,
    fields: Vec<Field>,
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
        Self { clock: Rfc3339::default(), fields }
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
        let clock = &mut self.clock;
        row(out, &self.fields, |field, out| cell(clock, Value::of(field, seen), out));
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

/// Appends a value as people write it: lists with spaces, an empty one as `none`, ranges with a dash.
pub(super) fn plain(clock: &mut Rfc3339, value: Value<'_>, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _infallible = match value {
        Value::Null => Ok(()),
        Value::Bool(answer) => write!(out, "{answer}"),
        Value::Number(number) | Value::BigNumber(number) => write!(out, "{number}"),
        Value::Word(word) => out.write_all(word.as_bytes()),
        Value::Text(text) => out.write_all(text.as_bytes()),
        Value::Addr(addr) => write!(out, "{addr}"),
        Value::Hex(number) => write!(out, "{number:x}"),
        Value::Errno(errno) => write!(out, "{errno}"),
        Value::Range(range) => write!(out, "{}-{}", range.low(), range.high()),
        Value::Options(options) if options.is_empty() => out.write_all(b"none"),
        Value::Options(options) => {
            let names: Vec<&str> = options.iter().map(|option| option.name).collect();
            out.write_all(names.join(" ").as_bytes())
        }
        Value::Time(time) => out.write_all(&clock.format(time)),
    };
}

fn cell(clock: &mut Rfc3339, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => out.extend_from_slice(quoted(&text).as_bytes()),
        value => plain(clock, value, out),
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
