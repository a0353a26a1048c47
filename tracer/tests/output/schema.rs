//! The committed JSON Schema is the one that the record types give; `referee` holds every line to those types.

use portscope::output::records::schema;

use crate::golden::assert_file;

#[test]
fn the_committed_schema_is_up_to_date() {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap();
    text.push('\n');
    assert_file("schema/portscope-v1.schema.json", &text);
}
