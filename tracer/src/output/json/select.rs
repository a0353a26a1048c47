//! The lines of single events, chosen fields only.

use super::piece;
use crate::{
    enrich::{Rfc3339, push_json_string},
    output::{Field, Observation, value::Value},
};

/// Appends the line of an event: its type, then the fields in the order given.
pub(super) fn write(clock: &mut Rfc3339, fields: &[Field], seen: &Observation<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    value(clock, Value::of(Field::Type, seen), out);
    for field in fields.iter().filter(|field| **field != Field::Type) {
        out.push(b',');
        piece::word(out, Some(field.name()));
        out.push(b':');
        value(clock, Value::of(*field, seen), out);
    }
    out.extend_from_slice(b"}\n");
}

fn value(clock: &mut Rfc3339, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(answer) => piece::boolean(out, Some(answer)),
        Value::Number(number) => piece::number(out, Some(number)),
        Value::BigNumber(number) => {
            out.push(b'"');
            piece::number(out, Some(number));
            out.push(b'"');
        }
        Value::Hex(number) => {
            out.push(b'"');
            piece::hex(out, number);
            out.push(b'"');
        }
        Value::Word(word) => piece::word(out, Some(word)),
        Value::Text(text) => push_json_string(out, &text),
        Value::Addr(addr) => piece::addr(out, Some(addr)),
        Value::Errno(errno) => piece::errno(out, Some(errno)),
        Value::Range(range) => piece::range(out, Some(range)),
        Value::Options(options) => piece::options(out, Some(options)),
        Value::Time(time) => {
            out.push(b'"');
            clock.write(time, out);
            out.push(b'"');
        }
    }
}
