//! A Rust file as the rules see it: code without comments and texts, comments apart, test code marked.

/// One line of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The code, with comments and the contents of texts left out.
    pub(super) code: String,
    /// The comments.
    pub(super) comment: String,
    /// Whether it belongs to an item under `#[cfg(test)]`.
    pub(super) in_test: bool,
}

/// A file.
pub(super) struct Source {
    /// Its path below the workspace folder, with slashes.
    pub(super) path: String,
    /// Its lines.
    pub(super) lines: Vec<Line>,
}

impl Source {
    /// Reads the text of a file.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut lines = split(text);
        // What a `#[cfg(test)] mod tests;` elsewhere takes in.
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        for line in &mut lines {
            line.in_test = is_test;
        }
        mark_tests(&mut lines);
        Self { path: path.to_owned(), lines }
    }

    /// Lines outside of tests, counted from 1.
    pub(super) fn productive(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.in_test)
    }
}

/// The identifiers of a piece of code, in order.
pub(super) fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    LineComment,
    /// How deep, since block comments nest.
    BlockComment(usize),
    Text,
    /// How many `#` close it.
    RawText(usize),
}

fn split(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut state = State::Code;
    for raw in text.lines() {
        let mut line = Line::default();
        let mut rest = raw;
        while let Some(first) = rest.chars().next() {
            let (next, taken) = step(state, rest, &line.code);
            let (piece, after) = rest.split_at(taken.max(first.len_utf8()));
            match (state, next) {
                (State::Code, State::Code) => line.code.push_str(piece),
                (State::Code, State::Text | State::RawText(_))
                | (State::Text | State::RawText(_), State::Code) => {
                    line.code.push('"');
                }
                (State::LineComment | State::BlockComment(_), _) => line.comment.push_str(piece),
                _ => {}
            }
            state = next;
            rest = after;
        }
        if state == State::LineComment {
            state = State::Code;
        }
        lines.push(line);
    }
    lines
}

/// The state after the next piece of `rest`, and how long that piece is.
fn step(state: State, rest: &str, before: &str) -> (State, usize) {
    match state {
        State::Code => step_in_code(rest, before),
        State::LineComment => (State::LineComment, rest.len()),
        State::BlockComment(depth) if rest.starts_with("/*") => (State::BlockComment(depth + 1), 2),
        State::BlockComment(1) if rest.starts_with("*/") => (State::Code, 2),
        State::BlockComment(depth) if rest.starts_with("*/") => (State::BlockComment(depth - 1), 2),
        State::Text if rest.starts_with('\\') => {
            (State::Text, 1 + rest.chars().nth(1).map_or(0, char::len_utf8))
        }
        State::Text if rest.starts_with('"') => (State::Code, 1),
        State::RawText(marks) if rest.starts_with(&format!("\"{}", "#".repeat(marks))) => {
            (State::Code, 1 + marks)
        }
        other => (other, 1),
    }
}

fn step_in_code(rest: &str, before: &str) -> (State, usize) {
    if rest.starts_with("//") {
        return (State::LineComment, 2);
    }
    if rest.starts_with("/*") {
        return (State::BlockComment(1), 2);
    }
    if rest.starts_with('"') {
        return (State::Text, 1);
    }
    let in_word = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = ["r", "br", "cr"].iter().find_map(|start| rest.strip_prefix(start));
    if let Some(raw) = raw.filter(|_| !in_word) {
        let marks = raw.len() - raw.trim_start_matches('#').len();
        if raw[marks..].starts_with('"') {
            return (State::RawText(marks), rest.len() - raw.len() + marks + 1);
        }
    }
    // A character such as '"' would open a text; a lifetime has no second quote.
    if let Some(character) = rest.strip_prefix('\'') {
        let mut inside = character.char_indices();
        let escaped = inside.next().is_some_and(|(_, c)| c == '\\');
        let end = if escaped {
            inside.skip(1).find(|(_, c)| *c == '\'')
        } else {
            inside.next().filter(|(_, c)| *c == '\'')
        };
        if let Some((at, _)) = end {
            return (State::Code, at + 2);
        }
    }
    (State::Code, 1)
}

/// Marks the items that follow `#[cfg(test)]`, up to their closing brace or semicolon.
fn mark_tests(lines: &mut [Line]) {
    let mut depth = None;
    for line in lines {
        if depth.is_none() && line.code.trim_start().starts_with("#[cfg(test)]") {
            depth = Some(0usize);
        }
        let Some(open) = &mut depth else { continue };
        line.in_test = true;
        let mut ended = *open == 0 && line.code.trim_end().ends_with(';');
        for c in line.code.chars() {
            match c {
                '{' => *open += 1,
                '}' => {
                    *open = open.saturating_sub(1);
                    ended |= *open == 0;
                }
                _ => {}
            }
        }
        if ended && *open == 0 {
            depth = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        split(text).into_iter().map(|line| line.code.trim().to_owned()).collect()
    }

    #[test]
    fn comments_and_texts_are_no_code() {
        assert_eq!(code("let a = \"unsafe // x\"; // unsafe"), ["let a = \"\";"]);
        assert_eq!(code("a /* b /* c */ d\n*/ e"), ["a", "e"]);
        assert_eq!(code("let r = r#\"a \" unsafe\"#;"), ["let r = \"\";"]);
        assert_eq!(code("let s = \"one \\\n  two\";\nnext"), ["let s = \"", "\";", "next"]);
    }

    #[test]
    fn a_quoted_quote_opens_no_text_and_a_lifetime_no_character() {
        assert_eq!(code("if c == '\"' { unsafe_thing() }"), ["if c == '\"' { unsafe_thing() }"]);
        assert_eq!(code("fn f<'a>(x: &'a str) {} // y"), ["fn f<'a>(x: &'a str) {}"]);
        assert_eq!(code("let q = '\\''; let t = \"x\";"), ["let q = '\\''; let t = \"\";"]);
    }

    #[test]
    fn items_under_cfg_test_are_marked_to_their_end() {
        let source = Source::new("a.rs", "fn a() {}\n#[cfg(test)]\nmod t {\n  fn b() { }\n}\nfn c() {}\n");
        let productive: Vec<_> = source.productive().map(|(at, _)| at).collect();
        assert_eq!(productive, [1, 6]);
    }

    #[test]
    fn a_file_of_tests_is_all_tests() {
        assert_eq!(Source::new("tracer/src/event/tests.rs", "fn a() {}\n").productive().count(), 0);
    }
}
