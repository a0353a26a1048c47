//! What the page is made of: sections with charts and tables.

use crate::output::{escape, screen::cut};

/// Letters of a name that are shown: a path may have thousands.
const MOST_LETTERS: usize = 200;

/// Text that anyone may have chosen, as it is shown.
pub(super) fn shown(text: &str) -> String {
    escape(&cut(text, MOST_LETTERS)).into_owned()
}

/// Our own sentences, which may have such text in them.
pub(super) fn told(text: &str) -> String {
    escape(&cut(text, 4 * MOST_LETTERS)).into_owned()
}

/// A section of the page.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) sentences: Vec<String>,
    pub(super) charts: Vec<Chart>,
    /// Tables that a reader opens.
    pub(super) folded: Vec<Table>,
    pub(super) tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) id: &'static str,
    pub(super) caption: String,
    /// Its rows may be sorted.
    pub(super) sorts: bool,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// What the rows leave out; empty where that is nothing.
    pub(super) foot: Vec<Cell>,
    pub(super) note: Option<String>,
}

/// The head of a column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) number: bool,
}

/// Columns of names, then columns of numbers.
pub(super) fn columns(names: &[&'static str], numbers: &[&'static str]) -> Vec<Column> {
    let names = names.iter().map(|title| Column { title, number: false });
    names.chain(numbers.iter().map(|title| Column { title, number: true })).collect()
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// More, below it.
    pub(super) small: Vec<String>,
    pub(super) number: bool,
    /// What to sort by, where the text does not tell.
    pub(super) sort: Option<String>,
}

impl Cell {
    /// A name.
    pub(super) fn name(text: &str) -> Self {
        Self { text: shown(text), ..Self::default() }
    }

    /// A number as it is written.
    pub(super) fn number(text: String) -> Self {
        Self { text, number: true, ..Self::default() }
    }

    /// A number with its unit.
    pub(super) fn measure(text: String, value: Option<f64>) -> Self {
        let sort = value.map(|value| format!("{value:.4}"));
        Self { sort, ..Self::number(text) }
    }

    pub(super) fn below(self, small: Option<String>) -> Self {
        Self { small: small.into_iter().collect(), ..self }
    }
}

/// A picture.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: String,
    /// What it shows, for who does not see it.
    pub(super) description: String,
    pub(super) legend: Vec<Entry>,
    pub(super) width: u32,
    pub(super) height: u32,
    /// What is inside the `svg` element; numbers and our own words alone.
    pub(super) body: String,
}

/// A line of a legend.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) text: String,
}

/// How something looks in a picture.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Line(u8),
    Bar(u8),
    Hatch,
    Hot,
    Live,
    TimeWait,
    Listener,
    Free,
}

impl Key {
    /// A sample of it.
    pub(super) fn svg(self) -> String {
        let cell = |class: &str| format!("<path class=\"{class}\" d=\"M8 1h10v10H8Z\"/>");
        match self {
            Self::Line(number) => {
                format!("<path d=\"M0 6H28\" stroke=\"#00010{number}\" stroke-width=\"2\"/>")
            }
            Self::Bar(number) => format!("<path d=\"M4 1h20v10H4Z\" fill=\"#00010{number}\"/>"),
            Self::Hatch => cell("reserved"),
            Self::Hot => "<path d=\"M8 1h12l-6 10Z\" fill=\"#000101\"/>".to_owned(),
            Self::Live => cell("live"),
            Self::TimeWait => {
                format!("{}<path class=\"stripe\" d=\"M8 6h10\"/>", cell("wait"))
            }
            Self::Listener => cell("listen"),
            Self::Free => cell("cell"),
        }
    }
}
