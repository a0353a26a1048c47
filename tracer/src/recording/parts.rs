//! A message of a stream against what may be in one, before anything of it is unpacked.

use arrow_ipc::{BodyCompressionMethod, CompressionType, Field, RecordBatch, Schema};
use arrow_schema::DataType;

use super::format::{MOST_BATCH_ROWS, MOST_BODY};
use crate::event::Columns;

/// Buffers of the columns: two each, three of the text.
const BUFFERS: usize = 2 * (Columns::FIELDS.len() + 3) + 1;
const NODES: usize = Columns::FIELDS.len() + 3;

/// Whether a schema has these columns.
pub(super) fn is_of(schema: &Schema<'_>, expected: &arrow_schema::Schema) -> bool {
    let Some(fields) = schema.fields() else { return false };
    fields.len() == expected.fields().len()
        && fields.iter().zip(expected.fields()).all(|(field, expected)| {
            field.name() == Some(expected.name().as_str())
                && field.nullable() == expected.is_nullable()
                && is_type(&field, expected.data_type())
        })
}

fn is_type(field: &Field<'_>, expected: &DataType) -> bool {
    let int = field.type_as_int().map(|int| (int.bitWidth(), int.is_signed()));
    match expected {
        DataType::UInt8 => int == Some((8, false)),
        DataType::UInt16 => int == Some((16, false)),
        DataType::UInt32 => int == Some((32, false)),
        DataType::UInt64 => int == Some((64, false)),
        DataType::Int32 => int == Some((32, true)),
        DataType::FixedSizeBinary(width) => {
            field.type_as_fixed_size_binary().is_some_and(|found| found.byteWidth() == *width)
        }
        DataType::Utf8 => field.type_as_utf_8().is_some(),
        _ => false,
    }
}

/// Whether a batch is laid out as a recording's: every length lies inside of what there is, and no more is promised
/// than may be unpacked. Arrow's reader takes that for granted.
pub(super) fn is_sound(batch: &RecordBatch<'_>, body: &[u8]) -> bool {
    let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else { return false };
    let Some(rows) = usize::try_from(batch.length()).ok().filter(|rows| *rows <= MOST_BATCH_ROWS) else {
        return false;
    };
    let is_node = |length: i64, nulls: i64| {
        length == batch.length() && usize::try_from(nulls).is_ok_and(|nulls| nulls <= rows)
    };
    let is_packed = batch.compression().is_none_or(|packed| {
        packed.codec() == CompressionType::ZSTD && packed.method() == BodyCompressionMethod::BUFFER
    });
    let unpacked: Option<usize> = buffers.iter().try_fold(0_usize, |sum, buffer| {
        let bytes = bytes_of(buffer.offset(), buffer.length(), body)?;
        let length = if batch.compression().is_some() { unpacked_length(bytes)? } else { bytes.len() };
        sum.checked_add(length)
    });
    batch.variadicBufferCounts().is_none_or(|counts| counts.is_empty())
        && nodes.len() == NODES
        && buffers.len() == BUFFERS
        && nodes.iter().all(|node| is_node(node.length(), node.null_count()))
        && is_packed
        && unpacked.is_some_and(|bytes| bytes <= MOST_BODY)
}

fn bytes_of(offset: i64, length: i64, body: &[u8]) -> Option<&[u8]> {
    let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
    body.get(offset..offset.checked_add(length)?)
}

/// How long a buffer says it is when it is unpacked: its first 8 bytes, -1 for one that is not packed.
fn unpacked_length(bytes: &[u8]) -> Option<usize> {
    if bytes.is_empty() {
        return Some(0);
    }
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    match i64::from_le_bytes(*length) {
        -1 => Some(rest.len()),
        length => usize::try_from(length).ok(),
    }
}
