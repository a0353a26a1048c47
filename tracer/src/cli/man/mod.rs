//! `portscope man`: the manual pages, from the definitions of the command line and words of their own.

mod words;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use self::words::{Example, OVERHEAD, SEE_ALSO, examples, requirements};
use super::{Cli, Failure, exit, exit::reason};

const SECTION: &str = "8";
const NAME: &str = "portscope";

/// Options of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The page of this command; the one about portscope if none is given
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// Write all pages into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let all = commands();
    if let Some(folder) = &args.dir {
        return all.iter().try_for_each(|command| keep(folder, command));
    }
    let wanted = args.command.as_deref();
    let found = all.iter().find(|command| match wanted {
        Some(name) => command.get_name() == name && !is_whole(command),
        None => is_whole(command),
    });
    let Some(command) = found else {
        let names: Vec<_> = all.iter().skip(1).map(Command::get_name).collect();
        let wanted = wanted.unwrap_or_default();
        return Err(Failure::usage(format!("'{wanted}' has no page: there are {}", names.join(", "))));
    };
    exit::say(&page(command))
}

fn keep(folder: &Path, command: &Command) -> Result<(), Failure> {
    let path = folder.join(format!("{}.{SECTION}", name(command)));
    let failed =
        |error: io::Error| Failure::new(format!("cannot write {}: {}", path.display(), reason(&error)));
    fs::write(&path, page(command)).map_err(failed)
}

/// portscope itself, then its commands.
fn commands() -> Vec<Command> {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let each: Vec<_> = whole.get_subcommands().filter(|one| !one.is_hide_set()).cloned().collect();
    [whole].into_iter().chain(each).collect()
}

fn is_whole(command: &Command) -> bool {
    command.get_name() == NAME
}

fn name(command: &Command) -> String {
    if is_whole(command) { NAME.to_owned() } else { format!("{NAME}-{}", command.get_name()) }
}

/// A page.
fn page(command: &Command) -> String {
    let title = name(command).to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    // Ours, for it has an empty date: the same version gives the same bytes.
    let mut text = format!(".TH {title} {SECTION} \"\" \"portscope {version}\" \"portscope\"\n").into_bytes();
    let man = Man::new(command.clone()).section(SECTION);
    // Writing to memory does not fail.
    drop(reference(&man, command, &mut text));
    let mut own = Roff::new();
    section(&mut own, "REQUIREMENTS", requirements(command.get_name()));
    section(&mut own, "OVERHEAD", OVERHEAD);
    section(&mut own, "EXIT STATUS", &statuses());
    if !examples(command.get_name()).is_empty() {
        own.control("SH", ["EXAMPLES"]);
        for one in examples(command.get_name()) {
            example(&mut own, one);
        }
    }
    see_also(&mut own, command);
    drop(own.to_writer(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

fn reference(man: &Man, command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    man.render_name_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_description_section(text)?;
    man.render_options_section(text)?;
    if is_whole(command) {
        man.render_subcommands_section(text)?;
    } else if command.get_after_help().is_some() {
        man.render_extra_section(text)?;
    }
    Ok(())
}

fn section(page: &mut Roff, heading: &str, text: &str) {
    page.control("SH", [heading]);
    let mut paragraphs = text.split("\n\n").peekable();
    while let Some(paragraph) = paragraphs.next() {
        page.text([roman(paragraph.replace('\n', " "))]);
        if paragraphs.peek().is_some() {
            page.control("PP", []);
        }
    }
}

/// As `--help` has them, without what is the heading here.
fn statuses() -> String {
    let text = exit::STATUSES.strip_prefix("Exit status: ").unwrap_or(exit::STATUSES);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn example(page: &mut Roff, example: &Example) {
    page.control("TP", []).text([bold(example.line)]).text([roman(example.does)]);
}

fn see_also(page: &mut Roff, command: &Command) {
    page.control("SH", ["SEE ALSO"]);
    let others = commands().into_iter().filter(|other| other.get_name() != command.get_name());
    let pages: Vec<_> = others.map(|other| format!("{}({SECTION})", name(&other))).collect();
    page.text([roman(format!("{}, {SEE_ALSO}", pages.join(", ")))]);
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn every_page_has_its_sections() {
        for command in commands() {
            let text = page(&command);
            for heading in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "REQUIREMENTS",
                "OVERHEAD",
                "EXIT STATUS",
                "EXAMPLES",
                "SEE ALSO",
            ] {
                let line = if heading.contains(' ') {
                    format!(".SH \"{heading}\"")
                } else {
                    format!(".SH {heading}")
                };
                assert!(text.contains(&line), "{} has no {heading}:\n{text}", command.get_name());
            }
        }
    }

    #[test]
    fn every_example_is_understood() {
        let mut count = 0;
        for command in commands() {
            for Example { line, .. } in examples(command.get_name()) {
                let own = line.split(" | ").next().unwrap().trim_start_matches("sudo ");
                let words = own.split_whitespace().map(|word| word.trim_matches('\''));
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                count += 1;
            }
        }
        assert!(count > 20);
    }

    #[test]
    fn statuses_begin_as_a_sentence() {
        assert!(statuses().starts_with("0 all went well"), "{}", statuses());
    }
}
