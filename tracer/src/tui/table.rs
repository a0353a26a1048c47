//! Cells of tables: cut, padded, and counted in columns of the terminal, in which a letter may take two.

use ratatui::text::{Line, Span};

use super::look::bold;
use crate::output::{escape, wrapped};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: usize,
    /// Its text stands at the right.
    pub(super) right: bool,
}

pub(super) const fn left(title: &'static str, width: usize) -> Column {
    Column { title, width, right: false }
}

pub(super) const fn right(title: &'static str, width: usize) -> Column {
    Column { title, width, right: true }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// At most so many columns, an ellipsis at the end where some are left out.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if width(&kept) >= most {
            kept.pop();
            break;
        }
    }
    if most > 0 {
        kept.push('…');
    }
    kept
}

/// Exactly the width of a column.
pub(super) fn fit(text: &str, column: Column) -> String {
    let text = cut(text, column.width);
    let gap = " ".repeat(column.width.saturating_sub(width(&text)));
    if column.right { gap + &text } else { text + &gap }
}

/// The titles of columns.
pub(super) fn titles(columns: &[Column]) -> Line<'static> {
    let cells: Vec<String> = columns.iter().map(|column| fit(column.title, *column)).collect();
    Line::styled(cells.join(" "), bold())
}

/// Lines of a text behind a label of so many columns, hostile names made harmless, long ones going on below.
pub(super) fn labelled(label: &str, label_width: usize, text: &str, columns: usize) -> Vec<Line<'static>> {
    let parts = wrapped(&escape(text), columns.saturating_sub(label_width).max(1));
    parts
        .into_iter()
        .enumerate()
        .map(|(at, part)| {
            let label = if at == 0 { label } else { "" };
            Line::from(vec![Span::styled(fit(label, left("", label_width)), bold()), Span::raw(part)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_the_width_of_their_column_whatever_the_letters() {
        for text in ["a", "nginx-worker", "漢字漢字漢字", ""] {
            for most in 0..8 {
                assert_eq!(width(&fit(text, left("", most))), most, "{text} in {most}");
            }
        }
        assert_eq!((fit("7", right("", 3)), cut("abcdef", 4)), ("  7".to_owned(), "abc…".to_owned()));
    }

    #[test]
    fn labels_stand_before_the_first_line_alone() {
        let lines = labelled("why", 5, "one two three", 10);
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["why  one", "     two", "     three"]);
    }
}
