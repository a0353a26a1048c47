//! Every output over the fixed list, against a committed file.
//!
//! `PORTSCOPE_BLESS=1 cargo test` rewrites the files; read the difference before committing it.

use std::{env, fs, path::Path};

use portscope::{
    enrich::TimeColumn,
    event::MonoNs,
    output::{Columns, CsvOutput, Field, JsonOutput, TextOutput, TraceOutput},
};

use crate::cases::{fixed, footer, header};

/// Compares a text with a file of this crate, or rewrites the file when asked to.
pub(crate) fn assert_file(below: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    if env::var_os("PORTSCOPE_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{below} is out of date: PORTSCOPE_BLESS=1 rewrites it; now it would be\n{text}"
    );
}

fn trace(output: &mut dyn TraceOutput) -> String {
    let mut out = Vec::new();
    output.header(&header(), &mut out).unwrap();
    for case in fixed() {
        output.event(&case.seen(), &mut out);
    }
    output.footer(&footer(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn text(time: TimeColumn, netns: bool, color: bool, fields: Option<&str>) -> TextOutput {
    let fields = fields.map(|list| Field::parse_list(list).unwrap());
    TextOutput::new(Columns { time, netns, color, fields })
}

const FEW: &str = "comm,error,local_port,range,options,socket,held_us,ts";

#[test]
fn json_lines() {
    assert_file("tests/output/golden/trace.jsonl", &trace(&mut JsonOutput::new()));
}

#[test]
fn json_lines_of_a_few_fields() {
    let fields = Field::parse_list(FEW).unwrap();
    assert_file("tests/output/golden/fields.jsonl", &trace(&mut JsonOutput::with_fields(fields)));
}

#[test]
fn csv() {
    assert_file("tests/output/golden/trace.csv", &trace(&mut CsvOutput::new()));
}

#[test]
fn text_for_a_terminal() {
    assert_file("tests/output/golden/trace.txt", &trace(&mut text(TimeColumn::utc(), false, false, None)));
}

#[test]
fn text_with_namespaces_colours_and_seconds_since_the_start() {
    let since = TimeColumn::since(MonoNs(81_895_000_000_000));
    assert_file("tests/output/golden/colour.txt", &trace(&mut text(since, true, true, None)));
}

#[test]
fn text_of_a_few_fields() {
    assert_file(
        "tests/output/golden/fields.txt",
        &trace(&mut text(TimeColumn::utc(), false, false, Some(FEW))),
    );
}

#[test]
fn ordinary_lines_of_text_fit_110_columns() {
    let text = trace(&mut text(TimeColumn::utc(), false, false, None));
    for line in
        text.lines().filter(|line| !["2001:db8", "held=", "\\x1b"].iter().any(|wide| line.contains(wide)))
    {
        assert!(line.chars().count() <= 110, "{} {line}", line.chars().count());
    }
}

#[test]
fn no_text_output_lets_a_control_through() {
    let text = trace(&mut text(TimeColumn::utc(), true, false, None));
    assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
}
