//! A message of a stream against what may be in one, before anything of it is unpacked.

use arrow_ipc::{BodyCompressionMethod, CompressionType, Field, RecordBatch, Schema};
use arrow_schema::DataType;

use super::format::{MOST_BATCH_ROWS, MOST_BODY};

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

/// Whether a batch is laid out as a recording's of this schema: every length lies inside of what there is, and no more
/// is promised than may be unpacked. Arrow's reader takes that for granted.
pub(super) fn is_sound(batch: &RecordBatch<'_>, schema: &arrow_schema::Schema, body: &[u8]) -> bool {
    let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else { return false };
    let Some(rows) = usize::try_from(batch.length()).ok().filter(|rows| *rows <= MOST_BATCH_ROWS) else {
        return false;
    };
    let is_packed = batch.compression();
    let knows_codec = is_packed.is_none_or(|packed| {
        packed.codec() == CompressionType::ZSTD && packed.method() == BodyCompressionMethod::BUFFER
    });
    let has_views = batch.variadicBufferCounts().is_some_and(|counts| !counts.is_empty());
    if !knows_codec || has_views || nodes.len() != schema.fields().len() {
        return false;
    }
    let mut all = 0_usize;
    let mut buffers = buffers.iter();
    // The length of the next buffer when it is unpacked.
    let mut next = || {
        let buffer = buffers.next()?;
        let bytes = bytes_of(buffer.offset(), buffer.length(), body)?;
        let length = if is_packed.is_some() { unpacked_length(bytes)? } else { bytes.len() };
        all = all.checked_add(length).filter(|all| *all <= MOST_BODY)?;
        Some(length)
    };
    let are_sound = nodes.iter().zip(schema.fields()).all(|(node, field)| {
        let nulls = usize::try_from(node.null_count()).ok().filter(|nulls| *nulls <= rows);
        node.length() == batch.length()
            && nulls.is_some_and(|nulls| is_column(field.data_type(), rows, nulls, &mut next).is_some())
    });
    are_sound && buffers.next().is_none()
}

/// Whether the next buffers are those of a column.
fn is_column(
    of: &DataType,
    rows: usize,
    nulls: usize,
    next: &mut impl FnMut() -> Option<usize>,
) -> Option<()> {
    let bits = next()?;
    let values = next()?;
    let is_full = match of {
        DataType::Utf8 => {
            // The text itself: Arrow's reader looks after it.
            next()?;
            values == rows.checked_add(1)?.checked_mul(4)? || (rows == 0 && values == 0)
        }
        other => values == rows.checked_mul(width(other)?)?,
    };
    (is_full && (nulls == 0 || bits >= rows.div_ceil(8))).then_some(())
}

const fn width(of: &DataType) -> Option<usize> {
    match of {
        DataType::UInt8 => Some(1),
        DataType::UInt16 => Some(2),
        DataType::UInt32 | DataType::Int32 => Some(4),
        DataType::UInt64 => Some(8),
        DataType::FixedSizeBinary(16) => Some(16),
        _ => None,
    }
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
