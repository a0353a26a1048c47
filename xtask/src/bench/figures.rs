//! The figures: read from the guest, turned into instructions, compared with the goals.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    rows::{ROWS, Row},
    script::MARK,
};

/// The kinds of allocation, as the loop calls them, with their titles.
const KINDS: [(&str, &str); 3] =
    [("tcp_connect", "tcp connect"), ("tcp_bind", "tcp bind(0)"), ("udp_bind", "udp bind(0)")];

/// The guest's clock advances so much with each instruction.
const NS_PER_INSTRUCTION: i64 = 2;

/// What the guest printed.
#[derive(Default)]
pub(super) struct Measured {
    current: usize,
    /// Instructions per operation by row and kind.
    costs: BTreeMap<(usize, String), i64>,
    /// Why rows have no figures.
    troubles: BTreeMap<usize, String>,
}

impl Measured {
    /// Takes a line and returns what is worth showing while one waits.
    pub(super) fn take(&mut self, line: &str) -> Option<String> {
        if let Some(at) = line.strip_prefix(MARK).and_then(|rest| rest.trim().strip_prefix("row ")) {
            self.current = at.trim().parse().unwrap_or(usize::MAX);
            return None;
        }
        if let Some(why) = line.strip_prefix(MARK).and_then(|rest| rest.trim().strip_prefix("failed ")) {
            self.troubles.insert(self.current, why.to_owned());
            return Some(format!("row {}: {why}", self.current));
        }
        let Some((kind, cost)) = cost(line) else { return Some(line.to_owned()) };
        self.costs.insert((self.current, kind), cost);
        None
    }
}

/// Instructions of one operation, from a line of the loop.
fn cost(line: &str) -> Option<(String, i64)> {
    let figures: Value = serde_json::from_str(line).ok()?;
    let operations = figures.get("operations")?.as_i64().filter(|count| *count > 0)?;
    let ns = figures.get("ns")?.as_i64()?;
    Some((figures.get("kind")?.as_str()?.to_owned(), ns / (operations * NS_PER_INSTRUCTION)))
}

/// The table.
pub(super) struct Figures {
    base: Vec<i64>,
    lines: Vec<Line>,
}

struct Line {
    row: Row,
    /// Added instructions by kind; none when the row could not be measured.
    added: Result<Vec<i64>, String>,
}

impl Figures {
    /// Compares all rows with the first one; none when that has no figures.
    pub(super) fn new(rows: &[Row], measured: &Measured) -> Option<Self> {
        let costs = |at: usize| -> Option<Vec<i64>> {
            KINDS.iter().map(|(kind, _)| measured.costs.get(&(at, (*kind).to_owned())).copied()).collect()
        };
        let base = costs(0)?;
        let lines = rows.iter().enumerate().skip(1).map(|(at, row)| {
            let trouble = measured.troubles.get(&at).cloned();
            let figures = costs(at).ok_or_else(|| "no figures".to_owned());
            let added = trouble.map_or(figures, Err);
            let added = added.map(|costs| costs.iter().zip(&base).map(|(cost, base)| cost - base).collect());
            Line { row: *row, added }
        });
        let lines = lines.collect();
        Some(Self { base, lines })
    }

    /// Whether every row with a goal was measured and keeps it.
    pub(super) fn all_met(&self) -> bool {
        self.lines.iter().all(|line| line.is_met() != Some(false))
    }

    /// Prints the table.
    pub(super) fn print(&self) {
        let width = ROWS.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let titles: Vec<String> = KINDS.iter().map(|(_, title)| format!("{title:>12}")).collect();
        println!("\nadded instructions per allocation, mean, the tracer's own reading included");
        println!("{:width$} | {} | goal", "", titles.join(" | "));
        println!("{:width$} | {} | (the loop itself)", ROWS[0].name, cells(&self.base, ""));
        for line in &self.lines {
            println!("{:width$} | {}", line.row.name, line.cells());
        }
    }
}

impl Line {
    fn is_met(&self) -> Option<bool> {
        let goal = self.row.goal?;
        Some(self.added.as_ref().is_ok_and(|added| added.iter().all(|added| *added <= goal)))
    }

    fn cells(&self) -> String {
        let figures = match &self.added {
            Ok(added) => cells(added, "+"),
            Err(why) => format!("not measured: {why}"),
        };
        let goal = self.row.goal.map_or_else(|| "-".to_owned(), |goal| format!("<= {goal}"));
        let verdict = match self.is_met() {
            Some(true) => " met",
            Some(false) => " MISSED",
            None => "",
        };
        format!("{figures} | {goal}{verdict}")
    }
}

fn cells(figures: &[i64], sign: &str) -> String {
    let cell = |figure: &i64| if *figure < 0 { figure.to_string() } else { format!("{sign}{figure}") };
    figures.iter().map(|figure| format!("{:>12}", cell(figure))).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::{super::rows::Subject, *};

    const GOAL: Row = Row { name: "a", subject: Subject::Portscope(&[]), goal: Some(100) };

    fn measured(second: i64) -> Measured {
        let mut measured = Measured::default();
        for (row, cost) in [(0, 1_000), (1, second)] {
            measured.take(&format!("{MARK} row {row}"));
            for (kind, _) in KINDS {
                measured.take(&format!(r#"{{"kind":"{kind}","operations":10,"ns":{}}}"#, cost * 20));
            }
        }
        measured
    }

    #[test]
    fn a_row_is_compared_with_the_first_and_with_its_goal() {
        let figures = Figures::new(&[ROWS[0], GOAL], &measured(1_100)).unwrap();
        assert_eq!(figures.lines[0].added, Ok(vec![100; 3]));
        assert!(figures.all_met());
        assert!(!Figures::new(&[ROWS[0], GOAL], &measured(1_101)).unwrap().all_met());
    }

    #[test]
    fn a_row_that_could_not_be_measured_has_not_met_its_goal() {
        let mut measured = measured(1_000);
        measured.take(&format!("{MARK} row 1"));
        measured.take(&format!("{MARK} failed the tracer ended"));
        let figures = Figures::new(&[ROWS[0], GOAL], &measured).unwrap();
        assert!(!figures.all_met());
        assert!(figures.lines[0].cells().contains("not measured: the tracer ended"));
    }
}
