//! Names that anyone may choose: they break no row, and no terminal.

use portscope::{
    enrich::TimeColumn,
    output::{Columns, CsvOutput, Field, TextOutput, TraceOutput},
};
use proptest::prelude::*;

use crate::cases::{Case, any_case, header};

fn written(output: &mut dyn TraceOutput, case: &Case) -> String {
    let mut out = Vec::new();
    output.event(&case.seen(), &mut out);
    String::from_utf8(out).unwrap()
}

/// The cells of one record of RFC 4180, or none where the text is no such record.
fn cells(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_suffix('\n')?;
    let mut cells = Vec::new();
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            None => {
                let end = rest.find([',', '"', '\n', '\r']).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
            Some(quoted) => {
                let (mut cell, mut quoted) = (String::new(), quoted);
                loop {
                    let end = quoted.find('"')?;
                    cell.push_str(&quoted[..end]);
                    match quoted[end + 1..].strip_prefix('"') {
                        Some(more) => {
                            cell.push('"');
                            quoted = more;
                        }
                        None => break (cell, &quoted[end + 1..]),
                    }
                }
            }
        };
        cells.push(cell);
        if after.is_empty() {
            return Some(cells);
        }
        rest = after.strip_prefix(',')?;
    }
}

#[test]
fn the_header_of_csv_has_a_name_for_every_cell() {
    let mut out = Vec::new();
    CsvOutput::new().header(&header(), &mut out).unwrap();
    let names = cells(&String::from_utf8(out).unwrap()).unwrap();
    assert_eq!(names, Field::ALL.iter().map(|field| field.name()).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn csv_gives_every_name_back(case in any_case()) {
        let row = cells(&written(&mut CsvOutput::new(), &case)).unwrap();
        prop_assert_eq!(row.len(), Field::ALL.len());
        for (field, name) in [
            (Field::Comm, case.process.comm()),
            (Field::Exe, case.process.exe()),
            (Field::Unit, case.process.unit()),
            (Field::Container, case.process.container()),
            (Field::Pod, case.process.pod()),
        ] {
            let at = Field::ALL.iter().position(|one| *one == field).unwrap();
            prop_assert_eq!(row[at].as_str(), name.unwrap_or_default());
        }
    }

    #[test]
    fn csv_on_a_terminal_is_one_line_without_controls(case in any_case()) {
        let row = written(&mut CsvOutput::new().for_terminal(true), &case);
        let line = row.strip_suffix('\n').unwrap();
        prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        prop_assert_eq!(cells(&row).unwrap().len(), Field::ALL.len());
    }

    #[test]
    fn text_is_one_line_without_controls(case in any_case(), netns in any::<bool>(), every in any::<bool>()) {
        let fields = every.then(|| Field::ALL.to_vec());
        let columns = Columns { time: TimeColumn::utc(), netns, color: false, fields };
        let text = written(&mut TextOutput::new(columns), &case);
        let line = text.strip_suffix('\n').unwrap();
        prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        prop_assert!(!line.contains(['\u{202e}', '\u{2066}', '\u{200f}']), "{line:?}");
    }
}
