//! Parquet: a row an event, a column a field; what is in header and footer stands beside the rows, as metadata.
//!
//! Rows are gathered into arrays, arrays are encoded into row groups, and a row group goes on to the caller's buffer when
//! it is whole: no more than one is in memory.

mod column;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use column::Column;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde::Serialize;

use super::{
    Observation, OutputError, TraceOutput,
    records::{Footer, Header, SCHEMA, TraceRecord},
    to_json,
};

/// Rows of a row group.
const GROUP_ROWS: usize = 128 * 1024;
/// Rows of the arrays that are encoded at a time.
const ARRAY_ROWS: usize = 8192;

/// Names under which the metadata of a file has the version of the records' schema, the header and the footer.
const SCHEMA_KEY: &str = "portscope.schema";
const HEADER_KEY: &str = "portscope.header";
const FOOTER_KEY: &str = "portscope.footer";

/// Writes a trace as a Parquet file.
pub struct ParquetOutput {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    writer: Option<ArrowWriter<Vec<u8>>>,
    /// Why rows could not be encoded; told at the end.
    failed: Option<ParquetError>,
}

impl ParquetOutput {
    /// All columns.
    pub fn new() -> Result<Self, OutputError> {
        let schema = Arc::new(Schema::new(column::fields()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(concat!("portscope ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options);
        let writer = writer.map_err(OutputError::Parquet)?;
        Ok(Self { schema, columns: column::all(), rows: 0, writer: Some(writer), failed: None })
    }

    /// Encodes what was gathered, and passes on what is whole.
    fn encode(&mut self, out: &mut Vec<u8>) -> Result<(), ParquetError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        self.rows = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        writer.write(&batch)?;
        out.append(writer.inner_mut());
        Ok(())
    }
}

impl TraceOutput for ParquetOutput {
    fn header(&mut self, header: &Header, _: &mut Vec<u8>) -> Result<(), OutputError> {
        self.remark(SCHEMA_KEY, &SCHEMA.to_string());
        self.remark(HEADER_KEY, &json("header", &TraceRecord::Header(header.clone()))?);
        Ok(())
    }

    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        if self.failed.is_some() {
            return;
        }
        for column in &mut self.columns {
            column.push(seen);
        }
        self.rows += 1;
        if self.rows == ARRAY_ROWS {
            self.failed = self.encode(out).err();
        }
    }

    fn remark(&mut self, name: &str, text: &str) {
        if let Some(writer) = &mut self.writer {
            writer.append_key_value_metadata(KeyValue::new(name.to_owned(), text.to_owned()));
        }
    }

    fn footer(&mut self, footer: &Footer, out: &mut Vec<u8>) -> Result<(), OutputError> {
        self.remark(FOOTER_KEY, &json("footer", &TraceRecord::Footer(footer.clone()))?);
        if let Some(failed) = self.failed.take() {
            return Err(OutputError::Parquet(failed));
        }
        if self.rows != 0 {
            self.encode(out).map_err(OutputError::Parquet)?;
        }
        let Some(writer) = self.writer.take() else { return Ok(()) };
        out.append(&mut writer.into_inner().map_err(OutputError::Parquet)?);
        Ok(())
    }
}

fn json(record: &'static str, value: &impl Serialize) -> Result<String, OutputError> {
    to_json(value).map_err(|source| OutputError::Json { record, source })
}
