//! Text that anyone may have chosen, made safe for a terminal.

use std::borrow::Cow;

use crate::enrich::{is_plain, misleads};

/// Replaces what a terminal would act upon, or what would mislead its reader, by `\x1b`-style escapes;
/// a backslash is doubled, so that no name can pass for an escape.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| is_plain(byte) || byte == b'"') {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len().saturating_add(8));
    for letter in text.chars() {
        match letter {
            '\\' => safe.push_str("\\\\"),
            '\0'..='\u{ff}' if misleads(letter) => {
                safe.push_str("\\x");
                for shift in [4, 0] {
                    let digit = u32::from(letter) >> shift & 15;
                    safe.push(char::from_digit(digit, 16).unwrap_or('?'));
                }
            }
            _ if misleads(letter) => safe.extend(letter.escape_unicode()),
            _ => safe.push(letter),
        }
    }
    Cow::Owned(safe)
}

/// A line of ours that may have such text in it: what misleads is escaped, and all else stays as it is, so that what was
/// escaped before is not escaped twice.
#[must_use]
pub fn harmless(line: &str) -> Cow<'_, str> {
    if !line.contains(misleads) {
        return Cow::Borrowed(line);
    }
    let mut safe = String::with_capacity(line.len().saturating_add(8));
    for letter in line.chars() {
        if misleads(letter) {
            safe.push_str(&escape(letter.encode_utf8(&mut [0; 4])));
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_upon_is_escaped() {
        let table = [
            ("curl", "curl"),
            ("a\"b c", "a\"b c"),
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb\r\t\x7f", "a\\x0ab\\x0d\\x09\\x7f"),
            ("\u{9b}31m", "\\x9b31m"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("\\x1b", "\\\\x1b"),
            ("größe", "größe"),
        ];
        for (raw, safe) in table {
            assert_eq!(escape(raw), safe);
        }
    }

    #[test]
    fn what_was_made_harmless_stays_as_it_is() {
        let once = escape("a\\b\x1b[31m\n\u{202e}");
        assert_eq!(harmless(&once), once);
        assert_eq!(harmless("C:\\x \x1b]0;t\x07"), "C:\\x \\x1b]0;t\\x07");
    }

    proptest! {
        #[test]
        fn nothing_that_misleads_is_left(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(misleads));
        }

        #[test]
        fn different_names_stay_different(one in "[\\\\x1b\u{1b}a]{0,6}", other in "[\\\\x1b\u{1b}a]{0,6}") {
            prop_assert_eq!(one == other, escape(&one) == escape(&other));
        }
    }
}
