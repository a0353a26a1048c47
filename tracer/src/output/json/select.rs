//! The lines of single events, chosen fields only.

use super::line::Line;
use crate::{
    enrich::Rfc3339,
    output::{Field, Observation, value::Value},
};

/// Writes the line of an event: its type, then the fields in the order given.
pub(super) fn write(line: &mut Line<'_>, clock: &mut Rfc3339, fields: &[Field], seen: &Observation<'_>) {
    line.put("{\"type\":");
    value(line, clock, Value::of(Field::Type, seen));
    for field in fields.iter().filter(|field| **field != Field::Type) {
        line.put(",\"");
        line.put(field.name());
        line.put("\":");
        value(line, clock, Value::of(*field, seen));
    }
    line.put("}\n");
}

fn value(line: &mut Line<'_>, clock: &mut Rfc3339, value: Value<'_>) {
    match value {
        Value::Null => line.put("null"),
        Value::Bool(answer) => line.boolean(Some(answer)),
        Value::Number(number) => line.decimal(number),
        Value::BigNumber(number) => {
            line.put("\"");
            line.decimal(number);
            line.put("\"");
        }
        Value::Hex(number) => line.hex(number),
        Value::Word(word) => line.word(Some(word)),
        Value::Text(text) => line.string(&text),
        Value::Addr(addr) => line.addr(Some(addr)),
        Value::Errno(errno) => line.errno(Some(errno)),
        Value::Range(range) => line.range(Some(range)),
        Value::Options(options) => line.options(Some(options)),
        Value::Time(time) => {
            line.put("\"");
            line.put_array(clock.format(time));
            line.put("\"");
        }
    }
}
