//! Traces as a table for people, 110 columns wide.
//!
//! | column | holds |
//! |---|---|
//! | TIME | when it ended |
//! | PID, COMM | the process, the name of its first thread |
//! | NETNS | inode number of the namespace; only when there is more than one |
//! | PROTO, SITE | protocol; `connect`, `bind`, `listen`, `autobind`, `release` |
//! | LADDR, LPORT | the port chosen; the requested one of a failed explicit bind; `*` of a failed choice |
//! | RADDR, RPORT | the peer |
//! | RET | `ok`, or the errno's name |
//! | US | search time, microseconds; `<` before an upper bound |
//! | COLL | collisions; `~` before a number that may be off; `half`: one half was searched in vain |
//! | OPTS | `R` SO_REUSEADDR, `r` SO_REUSEPORT, `N` IP_BIND_ADDRESS_NO_PORT, `F` IP_FREEBIND, `L` IP_LOCAL_PORT_RANGE, `M` MPTCP, `K` kernel socket, `T` TIME_WAIT reused, `E` explicit port |
//!
//! `-` does not apply, `?` could not be seen.

mod footer;
mod row;
mod trace;

use row::{Align, Column, Row};

use super::{
    Field, Observation, OutputError, TraceOutput, escape, plain,
    records::{Footer, Header},
    value::Value,
};
use crate::enrich::{Rfc3339, TimeColumn};

/// How a table looks.
#[derive(Clone, Debug)]
pub struct Columns {
    /// What the TIME column shows.
    pub time: TimeColumn,
    /// Show the network namespace: there is more than one.
    pub netns: bool,
    /// Show failures in red.
    pub color: bool,
    /// Show these fields instead of the usual columns.
    pub fields: Option<Vec<Field>>,
}

/// Writes a trace as text.
#[derive(Clone, Debug)]
pub struct TextOutput {
    columns: Columns,
    clock: Rfc3339,
    scratch: Vec<u8>,
}

const fn left(title: &'static str, width: usize) -> Column {
    Column { title, width, align: Align::Left }
}

const fn right(title: &'static str, width: usize) -> Column {
    Column { title, width, align: Align::Right }
}

const TIME: Column = left("TIME", 12);
const PID: Column = right("PID", 6);
const COMM: Column = left("COMM", 10);
const NETNS: Column = left("NETNS", 10);
const PROTO: Column = left("PROTO", 5);
const SITE: Column = left("SITE", 8);
const LADDR: Column = left("LADDR", 12);
const LPORT: Column = right("LPORT", 5);
const RADDR: Column = left("RADDR", 12);
const RPORT: Column = right("RPORT", 5);
const RET: Column = left("RET", 8);
const US: Column = right("US", 6);
const COLL: Column = right("COLL", 5);
const OPTS: Column = left("OPTS", 4);

impl TextOutput {
    /// A table of these columns.
    #[must_use]
    pub const fn new(columns: Columns) -> Self {
        Self { columns, clock: Rfc3339::new(), scratch: Vec::new() }
    }

    fn titles(&self) -> Vec<Column> {
        if let Some(fields) = &self.columns.fields {
            return fields.iter().map(|field| column_of(*field)).collect();
        }
        USUAL.into_iter().filter(|column| self.columns.netns || *column != NETNS).collect()
    }

    fn usual(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        let failed = self.columns.color && seen.event.failed();
        let mut row = Row::new(out);
        let netns = self.columns.netns;
        each_cell(seen, &mut self.columns.time, &mut self.scratch, |column, cell| {
            if netns || column != NETNS {
                row.cell(column, cell, failed && column == RET);
            }
        });
        row.finish();
        seen.holders.into_iter().flatten().for_each(|holder| trace::held_by(holder, out));
    }

    fn selected(&mut self, fields: &[Field], seen: &Observation<'_>, out: &mut Vec<u8>) {
        let mut row = Row::new(out);
        for field in fields {
            let value = Value::of(*field, seen);
            let red =
                self.columns.color && seen.event.failed() && matches!(field, Field::Result | Field::Error);
            self.scratch.clear();
            match value {
                Value::Null => self.scratch.push(b'-'),
                Value::Text(text) => self.scratch.extend_from_slice(escape(&text).as_bytes()),
                value => plain::value(&mut self.clock, &value, &mut self.scratch),
            }
            row.cell(column_of(*field), &self.scratch, red);
        }
        row.finish();
    }
}

/// The columns of a table, with the namespace.
const USUAL: [Column; 14] =
    [TIME, PID, COMM, NETNS, PROTO, SITE, LADDR, LPORT, RADDR, RPORT, RET, US, COLL, OPTS];

/// Each cell of a line, in the order of [`USUAL`].
fn each_cell(
    seen: &Observation<'_>,
    time: &mut TimeColumn,
    cell: &mut Vec<u8>,
    mut take: impl FnMut(Column, &[u8]),
) {
    let event = seen.event;
    let mut write = |column, fill: &mut dyn FnMut(&mut Vec<u8>)| {
        cell.clear();
        fill(cell);
        take(column, cell);
    };
    write(TIME, &mut |cell| time.write(event.mono(), seen.utc, cell));
    write(PID, &mut |cell| plain::number(cell, event.pid().0));
    write(COMM, &mut |cell| trace::comm(seen, cell));
    write(NETNS, &mut |cell| trace::netns(event, cell));
    write(PROTO, &mut |cell| cell.extend_from_slice(event.protocol().name().as_bytes()));
    write(SITE, &mut |cell| trace::site(event, cell));
    write(LADDR, &mut |cell| trace::local_addr(event, cell));
    write(LPORT, &mut |cell| trace::local_port(event, cell));
    write(RADDR, &mut |cell| trace::remote_addr(event, cell));
    write(RPORT, &mut |cell| trace::remote_port(event, cell));
    write(RET, &mut |cell| trace::ret(event, cell));
    write(US, &mut |cell| trace::micros(event, cell));
    write(COLL, &mut |cell| trace::collisions(event, &seen.search, cell));
    write(OPTS, &mut |cell| trace::options(event, cell));
}

/// A column of a table of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// What stands above it.
    pub title: &'static str,
    /// Columns of the terminal that it usually needs.
    pub width: usize,
    /// Its text stands at the right.
    pub right: bool,
}

/// The columns of [`cells`].
#[must_use]
pub fn headings() -> Vec<Heading> {
    let heading = |column: &Column| Heading {
        title: column.title,
        width: column.width,
        right: column.align == Align::Right,
    };
    USUAL.iter().map(heading).collect()
}

/// The cells of one event, hostile names made harmless.
#[must_use]
pub fn cells(seen: &Observation<'_>, time: &mut TimeColumn) -> Vec<String> {
    let (mut all, mut scratch) = (Vec::with_capacity(USUAL.len()), Vec::new());
    each_cell(seen, time, &mut scratch, |_, cell| all.push(String::from_utf8_lossy(cell).into_owned()));
    all
}

fn column_of(field: Field) -> Column {
    Column { title: field.name(), width: field.width().max(field.name().len()), align: Align::Left }
}

impl TraceOutput for TextOutput {
    fn header(&mut self, _: &Header, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let mut row = Row::new(out);
        for column in self.titles() {
            row.cell(column, column.title.to_ascii_uppercase().as_bytes(), false);
        }
        row.finish();
        Ok(())
    }

    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        match self.columns.fields.take() {
            None => self.usual(seen, out),
            Some(fields) => {
                self.selected(&fields, seen, out);
                self.columns.fields = Some(fields);
            }
        }
    }

    fn footer(&mut self, footer: &Footer, out: &mut Vec<u8>) -> Result<(), OutputError> {
        footer::write(footer, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_columns_take_110() {
        let columns = Columns { time: TimeColumn::utc(), netns: false, color: false, fields: None };
        let titles = TextOutput::new(columns).titles();
        let width = titles.iter().map(|column| column.width + 1).sum::<usize>() - 1;
        assert!(width <= 110, "{width}");
    }
}
