//! How files of a flight recorder are called: their names sort by time.
//!
//! ```text
//! portscope-20261122T031200.123456Z-1a2b3c4d.arrows   a segment: when it began, and in which boot
//! portscope-dump-20261122T031205Z-PS001.arrows        a dump: when it was made, and why
//! ```

use crate::enrich::{Rfc3339, UtcNs};

const PREFIX: &str = "portscope-";
const DUMP: &str = "portscope-dump-";
const SUFFIX: &str = ".arrows";

/// The name of a segment that begins then.
pub(super) fn segment(at: UtcNs, boot: &str) -> String {
    let boot: String = boot.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    format!("{PREFIX}{}Z-{boot}{SUFFIX}", digits(at, 26))
}

/// The name of a dump that is made then, for this reason.
pub(super) fn dump(at: UtcNs, why: &str) -> String {
    format!("{DUMP}{}Z-{why}{SUFFIX}", digits(at, 19))
}

/// The first characters of a time, without what separates them.
fn digits(at: UtcNs, most: usize) -> String {
    Rfc3339::text(at).chars().take(most).filter(|c| !matches!(c, '-' | ':')).collect()
}

/// Whether a file is a segment of a flight recorder.
pub(super) fn is_segment(name: &str) -> bool {
    let inner = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    inner.and_then(|inner| inner.split_once('-')).is_some_and(|(time, boot)| {
        is_time(time, 22) && boot.len() <= 8 && boot.chars().all(|c| c.is_ascii_hexdigit())
    })
}

/// Whether a file is a dump of one.
pub(super) fn is_dump(name: &str) -> bool {
    let inner = name.strip_prefix(DUMP).and_then(|rest| rest.strip_suffix(SUFFIX));
    inner.and_then(|inner| inner.split_once('-')).is_some_and(|(time, _)| is_time(time, 15))
}

/// Whether it is a time of so many characters and a Z.
fn is_time(text: &str, most: usize) -> bool {
    text.strip_suffix('Z').is_some_and(|time| {
        time.len() == most
            && time.chars().enumerate().all(|(at, c)| match at {
                8 => c == 'T',
                15 => c == '.',
                _ => c.is_ascii_digit(),
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again_and_sort_by_time() {
        let at = |ns: i64| UtcNs(1_795_000_000_000_000_000 + ns);
        let names: Vec<String> =
            [0, 1_000, 999_999_000, 1_000_000_000].map(|ns| segment(at(ns), "0a1B2c3d-4e5f")).into();
        assert!(names.is_sorted() && names.iter().all(|name| is_segment(name)), "{names:?}");
        assert!(names[0].ends_with("Z-0a1B2c3d.arrows"), "{names:?}");
        let dump = dump(at(0), "PS001");
        assert!(is_dump(&dump) && !is_segment(&dump), "{dump}");
        assert!(names.iter().all(|name| !is_dump(name)));
    }

    #[test]
    fn files_of_others_are_not_taken_for_ours() {
        for name in [
            "portscope.arrows",
            "portscope-.arrows",
            "portscope-notes.arrows",
            "portscope-20261122T031200.123456Z-1a2b3c4d.arrows.bak",
            "portscope-20261122T031200.123456-1a2b3c4d.arrows",
            "portscope-20261122T031200.123456Z-mine.arrows",
            "my-portscope-20261122T031200.123456Z-1a2b3c4d.arrows",
            "portscope-dump-yesterday-PS001.arrows",
        ] {
            assert!(!is_segment(name) && !is_dump(name), "{name}");
        }
    }
}
