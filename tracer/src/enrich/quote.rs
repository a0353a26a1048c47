//! Quoting text as JSON, for the fragments that are prepared once per process.

use std::io::Write as _;

/// Appends the text as a JSON string, quotes included.
///
/// What a terminal would act upon (controls, C1 included, and whatever turns or hides text) is escaped, too:
/// JSON allows it, and names are chosen by whoever runs the process.
pub(crate) fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        for letter in text.chars() {
            push_escaped(out, letter);
        }
    }
    out.push(b'"');
}

/// JSON of a serializer, with what misleads escaped as in [`push_json_string`]: outside of its strings there is no such
/// character but the end of a line, and in them that one is escaped already.
pub(crate) fn harmless_json(json: String) -> String {
    let is_harmful = |letter: char| letter != '\n' && misleads(letter);
    if !json.contains(is_harmful) {
        return json;
    }
    let mut safe = Vec::with_capacity(json.len().saturating_add(64));
    for letter in json.chars() {
        if is_harmful(letter) {
            push_escaped(&mut safe, letter);
        } else {
            safe.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    String::from_utf8(safe).unwrap_or(json)
}

/// Whether a byte is a printable ASCII character that stands for itself in a JSON string.
pub(crate) const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Whether a terminal, or a reader, would be misled by this character: controls, separators of lines, marks
/// of direction, and characters without width.
pub(crate) fn misleads(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn push_escaped(out: &mut Vec<u8>, letter: char) {
    match letter {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        _ if misleads(letter) => {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a vector cannot fail.
                let _infallible = write!(out, "\\u{unit:04x}");
            }
        }
        _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        push_json_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_misleads_is_escaped() {
        assert_eq!(quoted("a\"b\\\x1b[31m"), r#""a\"b\\\u001b[31m""#);
        assert_eq!(quoted("\u{9b}\u{202e}\u{e0041}é"), "\"\\u009b\\u202e\\udb40\\udc41é\"");
    }

    proptest! {
        #[test]
        fn a_document_is_the_same_and_harmless(key in any::<String>(), text in any::<String>()) {
            let document = serde_json::json!({ key: [text.clone(), format!("\u{9b}\u{7f}\u{202e}\n{text}")] });
            for json in [document.to_string(), format!("{document:#}")] {
                let safe = harmless_json(json);
                prop_assert!(!safe.contains(|letter: char| letter != '\n' && misleads(letter)), "{safe:?}");
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&safe).unwrap(), &document);
            }
        }

        #[test]
        fn a_json_parser_reads_the_text_back(text in any::<String>()) {
            let parsed: String = serde_json::from_str(&quoted(&text)).unwrap();
            prop_assert_eq!(parsed, text);
        }
    }
}
