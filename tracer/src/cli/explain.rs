//! `portscope explain`: what a finding means, without a host to look at.

use std::fmt::Write as _;

use super::{Failure, exit::say};
use crate::findings::{Explanation, Id, catalogue, explain};

/// Columns of the text.
const WIDTH: usize = 100;

/// Options of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Findings, such as PS004; all of them, a line each, if none is given
    #[arg(value_name = "ID")]
    ids: Vec<Id>,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut out = String::new();
    if args.ids.is_empty() {
        for one in catalogue() {
            line(&mut out, &format!("{}  {}", one.id, one.title));
        }
    }
    for (at, one) in args.ids.iter().filter_map(|id| explain(*id)).enumerate() {
        if at != 0 {
            out.push('\n');
        }
        full(&mut out, one);
    }
    say(&out)
}

fn full(out: &mut String, one: &Explanation) {
    line(out, &format!("{}  {}", one.id, one.title));
    for (label, text) in [("said when", one.when), ("means", one.means), ("confirm", one.confirm)] {
        part(out, label, text);
    }
    for text in one.helps {
        part(out, "helps", text);
    }
    for text in one.wont_help {
        part(out, "won't help", text);
    }
}

/// A labelled text, cut between words.
fn part(out: &mut String, label: &str, text: &str) {
    let mut told = format!("{label:<12}");
    for word in text.split_whitespace() {
        if told.chars().count() + 1 + word.chars().count() > WIDTH && told.trim_end().len() > 12 {
            line(out, told.trim_end());
            told = " ".repeat(12);
        }
        if !told.ends_with(' ') {
            told.push(' ');
        }
        told.push_str(word);
    }
    line(out, &told);
}

fn line(out: &mut String, text: &str) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "a string takes everything");
}
