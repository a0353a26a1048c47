//! The committed JSON Schema is the one that the record types give; `referee` holds every line to those types.

use portscope::output::records::{document_schema, schema};

use crate::golden::assert_file;

fn text(schema: &impl serde::Serialize) -> String {
    format!("{}\n", serde_json::to_string_pretty(schema).unwrap())
}

#[test]
fn the_committed_schema_is_up_to_date() {
    assert_file("schema/portscope-v1.schema.json", &text(&schema()));
}

#[test]
fn the_committed_schema_of_the_documents_is_up_to_date() {
    assert_file("schema/portscope-documents-v1.schema.json", &text(&document_schema()));
}
