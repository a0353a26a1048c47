//! The house rules that no lint knows, as functions from a file to what it breaks.

use std::fmt;

use super::{
    imports::crate_roots,
    source::{Source, identifiers},
};

/// The longest file that a reader is asked to keep in mind.
const MOST_LINES: usize = 400;

/// Where unsafe code may be.
const UNSAFE_ROOMS: [&str; 2] = ["tracer-ebpf/src/kernel/", "tracer-ebpf/src/programs/"];

/// Code that must not panic.
const SHIPPED: [&str; 2] = ["tracer/src/", "tracer-ebpf/src/"];

/// Which names are the business of which rooms of the tracer.
const SECRETS: [(&str, &[&str]); 4] = [
    ("aya", &["tracer/src/kernel/"]),
    ("aya_obj", &["tracer/src/kernel/"]),
    ("tracer_ebpf", &["tracer/src/kernel/", "tracer/src/event/"]),
    ("ratatui", &["tracer/src/tui/", "tracer/src/cli/top/"]),
];

/// What a room of the tracer may name of its own crate, beside itself.
const NEIGHBOURS: [(&str, &[&str]); 5] = [
    ("stats", &["event", "enrich"]),
    ("findings", &["event", "enrich", "stats", "stock"]),
    ("diff", &["output", "stats"]),
    ("recording", &["event", "enrich", "stock", "output"]),
    ("whatif", &["event"]),
];

/// A broken rule at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

/// All that a file breaks.
pub(super) fn breaches(source: &Source) -> Vec<Breach> {
    [length, unsafe_rooms, unsafe_reasons, panics, secrets, command_line, neighbours]
        .iter()
        .flat_map(|rule| rule(source))
        .collect()
}

fn breach(source: &Source, line: usize, rule: impl Into<String>) -> Breach {
    Breach { path: source.path.clone(), line, rule: rule.into() }
}

fn in_rooms(source: &Source, rooms: &[&str]) -> bool {
    rooms.iter().any(|room| source.path.starts_with(room))
}

fn length(source: &Source) -> Vec<Breach> {
    let lines = source.lines.len();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    vec![breach(
        source,
        lines,
        format!("{lines} lines, more than {MOST_LINES}: split the file by what it owns"),
    )]
}

/// Lines with the keyword in code; `#[unsafe(...)]` names a linker's promise, not code.
fn unsafe_lines(source: &Source) -> impl Iterator<Item = usize> {
    let has = |code: &str| identifiers(code).any(|word| word == "unsafe") && !code.contains("#[unsafe(");
    source.lines.iter().enumerate().filter(move |(_, line)| has(&line.code)).map(|(at, _)| at)
}

fn unsafe_rooms(source: &Source) -> Vec<Breach> {
    if in_rooms(source, &UNSAFE_ROOMS) {
        return Vec::new();
    }
    unsafe_lines(source)
        .map(|at| breach(source, at + 1, "unsafe code outside of the rooms of the kernel half"))
        .collect()
}

fn unsafe_reasons(source: &Source) -> Vec<Breach> {
    unsafe_lines(source)
        .filter(|at| !has_reason(source, *at))
        .map(|at| breach(source, at + 1, "unsafe without a `// SAFETY:` line above it"))
        .collect()
}

/// Whether the statement that line `at` is part of has its reason in the comment above.
fn has_reason(source: &Source, at: usize) -> bool {
    for line in source.lines[..at].iter().rev() {
        if line.comment.contains("SAFETY:") || line.comment.contains("# Safety") {
            return true;
        }
        let code = line.code.trim();
        let is_over = code.ends_with([';', '{', '}']) || (code.is_empty() && line.comment.is_empty());
        if is_over {
            return false;
        }
    }
    false
}

fn panics(source: &Source) -> Vec<Breach> {
    if !in_rooms(source, &SHIPPED) {
        return Vec::new();
    }
    source
        .productive()
        .filter(|(_, line)| line.code.contains(".unwrap()") || line.code.contains(".expect("))
        .map(|(at, _)| {
            breach(source, at, "`unwrap` or `expect` in shipped code: return an error that names the thing")
        })
        .collect()
}

fn secrets(source: &Source) -> Vec<Breach> {
    if !source.path.starts_with("tracer/src/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, rooms) in SECRETS.iter().filter(|(_, rooms)| !in_rooms(source, rooms)) {
        let lines = source.productive().filter(|(_, line)| identifiers(&line.code).any(|word| word == *name));
        found.extend(
            lines.map(|(at, _)| {
                breach(source, at, format!("`{name}` is known only to {}", rooms.join(" and ")))
            }),
        );
    }
    found
}

fn command_line(source: &Source) -> Vec<Breach> {
    let knows = source.path.starts_with("tracer/src/cli/") || source.path == "tracer/src/main.rs";
    if knows || !source.path.starts_with("tracer/src/") {
        return Vec::new();
    }
    crate_roots(source)
        .into_iter()
        .filter(|(_, room)| room == "cli")
        .map(|(at, _)| breach(source, at, "nothing below the command line knows `crate::cli`"))
        .collect()
}

fn neighbours(source: &Source) -> Vec<Breach> {
    let is_in = |room: &str| source.path.starts_with(&format!("tracer/src/{room}/"));
    let Some((room, known)) = NEIGHBOURS.into_iter().find(|(room, _)| is_in(room)) else {
        return Vec::new();
    };
    crate_roots(source)
        .into_iter()
        .filter(|(_, name)| name != room && !known.contains(&name.as_str()))
        .map(|(at, name)| {
            breach(source, at, format!("`{room}` knows {} alone, not `{name}`", known.join(" and ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<String> {
        breaches(&Source::new(path, text)).into_iter().map(|breach| format!("{breach}")).collect()
    }

    fn is_clean(path: &str, text: &str) {
        assert_eq!(rules(path, text), Vec::<String>::new());
    }

    fn breaks_once(path: &str, text: &str, rule: &str) {
        let found = rules(path, text);
        assert!(found.len() == 1 && found[0].contains(rule), "{found:?}");
    }

    #[test]
    fn a_file_of_400_lines_is_fine_and_one_more_is_not() {
        is_clean("tracer/src/a.rs", &"\n".repeat(400));
        breaks_once("tracer/src/a.rs", &"\n".repeat(401), "401 lines");
    }

    #[test]
    fn unsafe_needs_its_room_and_its_reason() {
        let good = "// SAFETY: checked above.\nlet x =\n    unsafe { f() };\n";
        is_clean("tracer-ebpf/src/kernel/maps.rs", good);
        breaks_once("tracer/src/kernel/mod.rs", good, "outside");
        breaks_once("tracer-ebpf/src/kernel/maps.rs", "let y = 1;\nlet x = unsafe { f() };\n", "SAFETY");
    }

    #[test]
    fn a_reason_belongs_to_one_statement_only() {
        let text = "// SAFETY: one.\nunsafe { f() };\nunsafe { g() };\n";
        breaks_once("tracer-ebpf/src/programs/a.rs", text, "SAFETY");
    }

    #[test]
    fn lints_and_attributes_named_unsafe_are_no_unsafe_code() {
        is_clean(
            "tracer-ebpf/src/main.rs",
            "#![forbid(unsafe_code)]\n#[unsafe(no_mangle)]\nstatic A: u8 = 0;\n",
        );
    }

    #[test]
    fn unwrap_is_for_tests() {
        is_clean("tracer/src/a.rs", "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap(); }\n}\n");
        breaks_once("tracer/src/a.rs", "fn f() { x.unwrap(); }\n", "unwrap");
        is_clean("tracer/src/a.rs", "fn f() { x.unwrap_or(1); } // .unwrap()\n");
    }

    #[test]
    fn only_the_kernel_room_names_aya() {
        is_clean("tracer/src/kernel/attach.rs", "use aya::Ebpf;\n");
        breaks_once("tracer/src/stats/mod.rs", "use aya::Ebpf;\n", "aya");
        breaks_once("tracer/src/stats/mod.rs", "fn f(_: &tracer_ebpf::abi::Record) {}\n", "tracer_ebpf");
        is_clean("tracer/src/event/mod.rs", "use tracer_ebpf::abi;\n");
        breaks_once("tracer/src/output/map.rs", "use ratatui::Frame;\n", "ratatui");
        is_clean("tracer/src/cli/top/screen.rs", "use ratatui::Terminal;\n");
    }

    #[test]
    fn nothing_below_names_the_command_line() {
        breaks_once("tracer/src/stock/mod.rs", "use crate::{event, cli::Options};\n", "cli");
        breaks_once("tracer/src/stock/mod.rs", "fn f(_: crate::cli::A) {}\n", "cli");
        is_clean("tracer/src/main.rs", "use crate::cli;\n");
        is_clean("tracer/src/stock/mod.rs", "use crate::{client, event::cli};\n");
    }

    #[test]
    fn statistics_know_events_and_processes_alone() {
        breaks_once("tracer/src/stats/rows/row.rs", "use crate::{event::Event, kernel::Counts};\n", "kernel");
        breaks_once("tracer/src/stats/mod.rs", "fn f(_: crate::output::A) {}\n", "output");
        is_clean("tracer/src/stats/mod.rs", "use crate::{enrich::Process, event::Event, stats::Row};\n");
    }

    #[test]
    fn comparing_knows_documents_alone() {
        breaks_once("tracer/src/diff/read.rs", "use crate::pipeline::Survey;\n", "pipeline");
        is_clean("tracer/src/diff/read.rs", "use crate::{output::records::Report, stats::beta_quantile};\n");
    }

    #[test]
    fn findings_know_what_they_judge_and_not_how_it_is_shown() {
        breaks_once("tracer/src/findings/judge.rs", "use crate::{stock::Stock, output::escape};\n", "output");
        is_clean("tracer/src/findings/judge.rs", "use crate::{event::Port, stats::Stats, stock::Stock};\n");
    }
}
