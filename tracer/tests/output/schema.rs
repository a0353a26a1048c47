//! The committed JSON Schema is the one that the types give, and every line of a trace keeps to it.

use portscope::output::records::schema;

use crate::golden::assert_file;

#[test]
fn the_committed_schema_is_up_to_date() {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap();
    text.push('\n');
    assert_file("schema/portscope-v1.schema.json", &text);
}
