//! The layout that screens have in common: a verdict, then labelled lines, in 110 columns.

use std::net::SocketAddr;

use super::{escape, records::PoolRecord, report::grouped};

/// Columns of a screen.
pub(super) const WIDTH: usize = 110;
/// Columns of a label.
pub const LABEL: usize = 13;

/// The verdict on the left and its place on the right; what does not fit goes on below.
pub(super) fn headline(out: &mut String, word: &str, reason: &str, place: &str, color: bool) {
    let (reason, place) = (escape(reason), escape(place));
    let indent = word.chars().count() + 2;
    let mut parts = wrapped(&reason, WIDTH.saturating_sub(indent)).into_iter();
    let first = parts.next().unwrap_or_default();
    let used = indent + first.chars().count() + place.chars().count();
    let fits = parts.len() == 0 && used + 2 <= WIDTH;
    put(out, &format!("{}  {first}", painted(word, color)));
    if fits && !place.is_empty() {
        put(out, &format!("{:gap$}{place}", "", gap = WIDTH - used));
    }
    put(out, "\n");
    for part in parts {
        put(out, &format!("{:indent$}{part}\n", ""));
    }
    if !fits && !place.is_empty() {
        put(out, &format!("{place:>WIDTH$}\n"));
    }
}

/// The word of a verdict in its colour.
pub(super) fn painted(word: &str, color: bool) -> String {
    let number = match word {
        _ if !color => return word.to_owned(),
        "OK" | "NOT PORT-BOUND" => 32,
        "EXHAUSTED" | "CONFLICT" | "PORT-BOUND" => 31,
        _ => 33,
    };
    format!("\x1b[1;{number}m{word}\x1b[0m")
}

/// A labelled line, hostile names made harmless; what is too long goes on below.
pub(super) fn line(out: &mut String, label: &str, text: &str) {
    line_within(out, label, text, WIDTH);
}

/// The same in so many columns.
pub(super) fn line_within(out: &mut String, label: &str, text: &str, columns: usize) {
    let mut label = label;
    for part in wrapped(&escape(text), columns.saturating_sub(LABEL)) {
        put(out, &format!("{label:<LABEL$}{part}\n"));
        label = "";
    }
}

/// A text in parts of at most so many columns, cut between words. A word that is longer stays whole, and so does
/// what stands in double quotes: it may be part of a command.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    let mut quoted = false;
    let between = |letter: char| {
        quoted ^= letter == '"';
        letter == ' ' && !quoted
    };
    for word in text.split(between) {
        let letters = word.chars().count();
        if used != 0 && used + 1 + letters > width {
            parts.push(String::new());
            used = 0;
        }
        let Some(part) = parts.last_mut() else { continue };
        if used != 0 {
            part.push(' ');
        }
        part.push_str(word);
        used += letters + usize::from(used != 0);
    }
    parts
}

/// At most so many letters, the last one an ellipsis where some are left out.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// Both ends of a pool for connect, or the far one alone where there is no room.
pub(super) fn pool_name(pool: &PoolRecord, most: usize) -> String {
    let remote = pool.remote_addr.zip(pool.remote_port);
    let remote = remote.map(|(addr, port)| SocketAddr::new(addr, port).to_string()).unwrap_or_default();
    let both = format!("{} > {remote}", pool.local_addr);
    if both.chars().count() <= most { both } else { cut(&format!("> {remote}"), most) }
}

/// Processes that may not be looked at.
pub(super) fn processes(count: usize) -> String {
    let what =
        if count == 1 { "1 process".to_owned() } else { format!("{} processes", grouped(count as u64)) };
    format!("{what} may not be looked at: root, or CAP_SYS_PTRACE, shows most")
}

/// Appends.
pub(super) fn put(out: &mut String, text: &str) {
    out.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: &str, place: &str) -> String {
        let mut out = String::new();
        headline(&mut out, "OK", reason, place, false);
        out
    }

    #[test]
    fn the_place_stands_at_the_right_edge_or_below() {
        let short = told("all is well", "host");
        assert!(short.ends_with(" host\n") && short.lines().all(|line| line.chars().count() == WIDTH));
        let long = told(&"many words ".repeat(12), "host");
        assert_eq!(long.lines().count(), 3, "{long}");
        assert!(long.lines().all(|line| line.chars().count() <= WIDTH), "{long}");
    }

    #[test]
    fn long_lines_go_on_below_and_long_values_are_cut() {
        let mut out = String::new();
        assert_eq!(wrapped("set x=\"1 2\" now", 8), ["set", "x=\"1 2\"", "now"]);
        line(&mut out, "why", &"because of it ".repeat(10));
        assert!(out.lines().count() == 2 && out.lines().all(|line| line.chars().count() <= WIDTH), "{out}");
        assert_eq!((cut("abcdef", 4), cut("abc", 4)), ("abc…".to_owned(), "abc".to_owned()));
    }

    #[test]
    fn hostile_text_is_harmless_and_colour_is_ours_alone() {
        let mut out = String::new();
        headline(&mut out, "OK", "\x1b[2J", "<script>\n", true);
        assert!(out.starts_with("\x1b[1;32mOK\x1b[0m  \\x1b[2J") && out.contains("<script>\\x0a"), "{out:?}");
    }
}
