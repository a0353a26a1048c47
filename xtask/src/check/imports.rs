//! Which rooms of its own crate a file names.

use super::source::Source;

/// The first names after `crate::`, with their lines; groups in braces are opened.
pub(super) fn crate_roots(source: &Source) -> Vec<(usize, String)> {
    let mut code = String::new();
    // Where each line starts, to find a line again from a place in the joined text.
    let mut starts = Vec::new();
    for line in &source.lines {
        starts.push(code.len());
        if !line.in_test {
            code.push_str(&line.code);
        }
        code.push('\n');
    }
    let line_of = |at: usize| starts.partition_point(|start| *start <= at);
    let mut roots = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let from = at + path.len();
        if code[from..].starts_with('{') {
            roots.extend(group(&code, from).into_iter().map(|(at, name)| (line_of(at), name)));
        } else {
            roots.push((line_of(at), word(&code[from..])));
        }
    }
    roots
}

/// The first names of the members of a group that opens at `from`.
fn group(code: &str, from: usize) -> Vec<(usize, String)> {
    let mut depth = 0usize;
    let mut expects = false;
    let mut names = Vec::new();
    for (at, c) in code[from..].char_indices() {
        match c {
            '{' => {
                depth += 1;
                expects = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expects = depth == 1,
            c if expects && !c.is_whitespace() => {
                names.push((from + at, word(&code[from + at..])));
                expects = false;
            }
            _ => {}
        }
    }
    names
}

fn word(code: &str) -> String {
    code.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(text: &str) -> Vec<(usize, String)> {
        crate_roots(&Source::new("a.rs", text))
    }

    #[test]
    fn groups_are_opened_one_level() {
        let text = "use crate::{\n    event::{self, cli},\n    stats,\n};\nuse crate::output;\n";
        let expected = [(2, "event"), (3, "stats"), (5, "output")].map(|(at, name)| (at, name.to_owned()));
        assert_eq!(roots(text), expected);
    }

    #[test]
    fn tests_may_name_anything() {
        assert_eq!(roots("#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n"), []);
    }
}
