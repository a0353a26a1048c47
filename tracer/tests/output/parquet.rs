//! The Parquet file, read back and held against the lines of JSON of the same events.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use arrow_array::{
    Array, RecordBatch, StructArray,
    cast::AsArray as _,
    types::{Int32Type, TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_schema::DataType;
use parquet::{
    arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    basic::Compression,
};
use portscope::output::{Field, JsonOutput, ParquetOutput, TraceOutput, records::Header};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    cases::{Case, any_case, fixed, footer, header},
    golden::assert_file,
};

/// A file that goes away.
struct Written(PathBuf);

impl Written {
    fn of<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.{number}.parquet", std::process::id()));
        fs::write(&path, written(&mut ParquetOutput::new().unwrap(), cases)).unwrap();
        Self(path)
    }

    fn open(&self) -> ParquetRecordBatchReaderBuilder<File> {
        ParquetRecordBatchReaderBuilder::try_new(File::open(&self.0).unwrap()).unwrap()
    }

    fn batches(&self) -> Vec<RecordBatch> {
        let reader: ParquetRecordBatchReader = self.open().build().unwrap();
        reader.map(Result::unwrap).collect()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn written<'a>(output: &mut dyn TraceOutput, cases: impl IntoIterator<Item = &'a Case>) -> Vec<u8> {
    let mut out = Vec::new();
    output.header(&header(), &mut out).unwrap();
    for case in cases {
        output.event(&case.seen(), &mut out);
    }
    output.footer(&footer(), &mut out).unwrap();
    out
}

fn lines(cases: &[Case]) -> Vec<Value> {
    let lines = |mut output: JsonOutput| -> Vec<Value> {
        let text = String::from_utf8(written(&mut output, cases)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut all = lines(JsonOutput::new());
    // Lines of releases leave out what CSV has.
    for (line, fields) in all.iter_mut().zip(lines(JsonOutput::with_fields(Field::ALL.to_vec()))) {
        for (name, value) in fields.as_object().unwrap() {
            line.as_object_mut().unwrap().entry(name).or_insert(value.clone());
        }
    }
    all
}

/// What JSON says, in the types of the columns.
fn expected(line: &Value, column: &str) -> Value {
    let text = |name: &str| line[name].as_str();
    match column {
        "ts" => {
            let at: jiff::Timestamp = text("ts").unwrap().parse().unwrap();
            json!(i64::try_from(at.as_nanosecond()).unwrap())
        }
        "cgroup_id" => json!(text(column).map(|digits| digits.parse::<u64>().unwrap())),
        "socket" => json!(text(column).map(|digits| u64::from_str_radix(digits, 16).unwrap())),
        "range_low" => line["range"][0].clone(),
        "range_high" => line["range"][1].clone(),
        _ => line[column].clone(),
    }
}

/// A value of an array as JSON.
fn found(array: &dyn Array, at: usize) -> Value {
    if array.is_null(at) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(at)),
        DataType::UInt16 => json!(array.as_primitive::<UInt16Type>().value(at)),
        DataType::UInt32 => json!(array.as_primitive::<UInt32Type>().value(at)),
        DataType::UInt64 => json!(array.as_primitive::<UInt64Type>().value(at)),
        DataType::Utf8 => json!(array.as_string::<i32>().value(at)),
        DataType::Timestamp(..) => json!(array.as_primitive::<TimestampNanosecondType>().value(at)),
        DataType::Dictionary(..) => {
            let words = array.as_dictionary::<Int32Type>();
            found(words.values(), usize::try_from(words.keys().value(at)).unwrap())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(at);
            (0..items.len()).map(|at| found(&items, at)).collect()
        }
        DataType::Struct(_) => {
            let one: &StructArray = array.as_struct();
            let names = one.column_names();
            names
                .iter()
                .map(|name| ((*name).to_owned(), found(one.column_by_name(name).unwrap(), at)))
                .collect()
        }
        other => unreachable!("no column is of {other}"),
    }
}

fn hold(cases: &[Case]) {
    let file = Written::of(cases);
    let lines = lines(cases);
    let mut at = 0;
    for batch in file.batches() {
        for row in 0..batch.num_rows() {
            at += 1;
            let line = &lines[at];
            for (name, column) in
                batch.schema().fields().iter().map(|field| field.name()).zip(batch.columns())
            {
                assert_eq!(found(column, row), expected(line, name), "{name} of {line}");
            }
            // Every member has its column.
            for name in line.as_object().unwrap().keys() {
                let name = if name == "range" { "range_low" } else { name };
                assert!(batch.column_by_name(name).is_some(), "{name} has no column");
            }
        }
    }
    assert_eq!(at, cases.len());
}

#[test]
fn columns_have_what_the_lines_of_json_have() {
    hold(&fixed());
}

#[test]
fn any_events_are_read_back() {
    let mut runner = TestRunner::new(Config::default());
    let cases: Vec<Case> = (0..2000).map(|_| any_case().new_tree(&mut runner).unwrap().current()).collect();
    hold(&cases);
}

#[test]
fn columns_and_their_types() {
    let file = Written::of(&[]);
    let line = |field: &std::sync::Arc<arrow_schema::Field>| {
        let null = if field.is_nullable() { " or null" } else { "" };
        format!("{} {}{null}", field.name(), field.data_type())
    };
    let lines: Vec<String> = file.open().schema().fields().iter().map(line).collect();
    let types = lines.join("\n") + "\n";
    assert_file("tests/output/golden/parquet.txt", &types);
    assert!(file.batches().is_empty());
}

#[test]
fn header_and_footer_are_beside_the_rows() {
    let file = Written::of(&fixed());
    let reader = file.open();
    let metadata = reader.metadata().file_metadata();
    let pairs = metadata.key_value_metadata().unwrap();
    let of = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap();
    assert_eq!(of("portscope.schema"), "1");
    let lines = lines(&fixed());
    let record = |key| serde_json::from_str::<Value>(&of(key)).unwrap();
    assert_eq!(record("portscope.header"), lines[0]);
    assert_eq!(record("portscope.footer"), *lines.last().unwrap());
    let rows = lines.len() - 2;
    assert_eq!(usize::try_from(metadata.num_rows()).unwrap(), rows);
}

#[test]
fn names_beside_the_rows_are_harmless_and_the_same() {
    let header = Header { host: "a\u{9b}2J\u{202e}\u{7f}b".to_owned(), ..header() };
    let (mut output, mut out) = (ParquetOutput::new().unwrap(), Vec::new());
    output.header(&header, &mut out).unwrap();
    output.footer(&footer(), &mut out).unwrap();
    let text = String::from_utf8_lossy(&out);
    assert!(text.contains("a\\u009b2J\\u202e\\u007fb"), "{text}");
    for letter in ['\u{9b}', '\u{202e}', '\u{7f}'] {
        assert!(!text.contains(&format!("a{letter}")) && !text.contains(&format!("{letter}b")), "{text}");
    }
}

#[test]
fn row_groups_are_bounded_and_leave_memory_when_they_are_full() {
    let (cases, rows) = (fixed(), 150_000);
    let mut output = ParquetOutput::new().unwrap();
    let mut out = Vec::new();
    output.header(&header(), &mut out).unwrap();
    let mut passed_on = 0;
    for case in cases.iter().cycle().take(rows) {
        output.event(&case.seen(), &mut out);
        passed_on = passed_on.max(out.len());
    }
    // The first group is out, before the second one has begun to be.
    assert!(passed_on > 10_000, "{passed_on}");
    drop(output);
    let file = Written::of(cases.iter().cycle().take(rows));
    let reader = file.open();
    let groups = reader.metadata().row_groups();
    let counts: Vec<i64> = groups.iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).collect();
    assert_eq!(counts, [131_072, 150_000 - 131_072]);
    for column in groups.iter().flat_map(parquet::file::metadata::RowGroupMetaData::columns) {
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{:?}", column.compression());
    }
    let read: usize = file.batches().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(read, rows);
}
