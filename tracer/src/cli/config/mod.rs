//! The configuration file: options of commands that run on, as TOML.
//!
//! A key of a section is a long option of that command, with its value; it becomes words of the command line, ahead of
//! those that were given, so that both are read, checked and refused by the same code.

use std::{ffi::OsString, fs, ops::Range, path::Path};

use clap::{Arg, ArgAction, Command, CommandFactory as _, error::ErrorKind, parser::ValueSource};
use toml_edit::{Document, Item, Table, Value};

use super::{Cli, Failure, exit::reason};
use crate::output::escape;

/// Commands that have a section.
const SECTIONS: [&str; 2] = ["record", "serve"];
/// Larger files are none.
const MOST_BYTES: u64 = 1 << 20;
/// Options that a file cannot give.
const OWN: [&str; 4] = ["config", "help", "ready-file", "version"];

/// The words of a command line with those of its section of this file, which it was told to read.
pub(super) fn with_file(words: &[OsString], section: &str, path: &Path) -> Result<Vec<OsString>, Failure> {
    let name = path.display().to_string();
    let name = escape(&name).into_owned();
    let failed = |error: std::io::Error| Failure::new(format!("cannot read {name}: {}", reason(&error)));
    if fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
        return Err(Failure::usage(format!("{name} is larger than 1 MiB: it is no configuration file")));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    with_text(words, section, &File { name, text: &text })
}

/// The same of a file that was read.
fn with_text(words: &[OsString], section: &str, file: &File<'_>) -> Result<Vec<OsString>, Failure> {
    let all = Cli::command();
    let Some(command) = all.find_subcommand(section) else { return Ok(words.to_vec()) };
    let given = all.clone().try_get_matches_from(words).map_err(|error| file.plain(&error.to_string()))?;
    let is_given = |arg: &Arg| {
        let matches = given.subcommand_matches(section);
        matches.and_then(|matches| matches.value_source(arg.get_id().as_str()))
            == Some(ValueSource::CommandLine)
    };
    let document = Document::parse(file.text)
        .map_err(|error| file.at(error.span(), error.message(), "keys are long options: top = 20"))?;
    for (key, item) in document.iter() {
        let span = document.key(key).and_then(toml_edit::Key::span);
        if !SECTIONS.contains(&key) {
            return Err(file.unknown(span, key, &SECTIONS, "section"));
        }
        if !item.is_table() {
            return Err(file.at(span, &format!("{key} is no section"), &format!("write [{key}]")));
        }
    }
    let mut more = Vec::new();
    for (key, item) in document.get(section).and_then(Item::as_table).iter().flat_map(|table| table.iter()) {
        let table = document.get(section).and_then(Item::as_table);
        let key_span = table.and_then(|table: &Table| table.key(key)).and_then(toml_edit::Key::span);
        let arg = file.option(command, key, key_span)?;
        let own = file.words(arg, key, item)?;
        check(command, &own).map_err(|told| file.at(item.span(), &format!("{key}: {told}"), "see --help"))?;
        if !is_given(arg) {
            more.extend(own);
        }
    }
    let place = words.iter().position(|word| word == section).map_or(words.len(), |place| place + 1);
    let (before, after) = words.split_at(place);
    Ok(before
        .iter()
        .cloned()
        .chain(more.into_iter().map(OsString::from))
        .chain(after.iter().cloned())
        .collect())
}

/// A file that is read.
struct File<'a> {
    name: String,
    text: &'a str,
}

impl File<'_> {
    fn plain(&self, told: &str) -> Failure {
        Failure::usage(format!("{}: {told}", self.name))
    }

    /// What is wrong at a place of it.
    fn at(&self, span: Option<Range<usize>>, told: &str, hint: &str) -> Failure {
        let before = span.and_then(|span| self.text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let told = escape(told.trim_end());
        Failure::usage(format!("{}, line {line}: {told}", self.name)).hint(hint)
    }

    fn unknown(&self, span: Option<Range<usize>>, word: &str, known: &[&str], what: &str) -> Failure {
        let near = known.iter().map(|name| (strsim::osa_distance(word, name), *name));
        let nearest = near.min_by_key(|(edits, _)| *edits).filter(|(edits, _)| *edits <= 2);
        let hint = match nearest {
            Some((_, name)) => format!("did you mean {name}?"),
            None => format!("there are {}", known.join(", ")),
        };
        self.at(span, &format!("there is no {what} {word}"), &hint)
    }

    /// The option of this key.
    fn option<'a>(
        &self,
        command: &'a Command,
        key: &str,
        span: Option<Range<usize>>,
    ) -> Result<&'a Arg, Failure> {
        let long = key.replace('_', "-");
        let options = || {
            let named = command.get_arguments().filter_map(|arg| Some((arg, arg.get_long()?)));
            named.filter(|(_, long)| !OWN.contains(long))
        };
        let found = options().find(|(_, name)| *name == long);
        found.map(|(arg, _)| arg).ok_or_else(|| {
            let known: Vec<&str> = options().map(|(_, name)| name).collect();
            self.unknown(span, key, &known, "option")
        })
    }

    /// The words of an option with this value.
    fn words(&self, arg: &Arg, key: &str, item: &Item) -> Result<Vec<String>, Failure> {
        let wrong = |hint: &str| self.at(item.span(), &format!("{key} cannot be that"), hint);
        let long = arg.get_long().unwrap_or_default();
        let Some(value) = item.as_value() else { return Err(wrong("give a value: key = value")) };
        match (arg.get_action(), value) {
            (ArgAction::SetTrue, Value::Boolean(is)) => {
                Ok(is.value().then(|| format!("--{long}")).into_iter().collect())
            }
            (ArgAction::SetTrue, _) => Err(wrong("give true or false")),
            (ArgAction::Count, Value::Integer(times)) => {
                let times = usize::try_from(*times.value()).ok().filter(|times| *times <= 2);
                times.map(|times| vec![format!("--{long}"); times]).ok_or_else(|| wrong("give 0, 1 or 2"))
            }
            (ArgAction::Count, _) => Err(wrong("give 0, 1 or 2")),
            (ArgAction::Append, Value::Array(list)) => {
                let each = list.iter().map(|one| Some(format!("--{long}={}", scalar(one)?)));
                each.collect::<Option<_>>().ok_or_else(|| wrong("give a list of texts"))
            }
            (_, value) => match scalar(value) {
                Some(text) => Ok(vec![format!("--{long}={text}")]),
                None => Err(wrong("give a text or a number")),
            },
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        _ => None,
    }
}

/// Whether a command takes these words, whatever else it may need.
fn check(command: &Command, words: &[String]) -> Result<(), String> {
    let alone = command.clone().no_binary_name(true).try_get_matches_from(words);
    match alone {
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => {
            let told = error.to_string();
            let told = told.lines().next().unwrap_or_default();
            Err(told.strip_prefix("error: ").unwrap_or(told).to_owned())
        }
        _ => Ok(()),
    }
}

/// Any text as such a file: nothing is run.
#[cfg(any(test, fuzzing))]
pub(super) fn read_any(text: &str) {
    for section in SECTIONS {
        let words = ["portscope", section].map(OsString::from);
        let read = with_text(&words, section, &File { name: "portscope.toml".to_owned(), text });
        // What a file may say, the command line may.
        if let Ok(words) = read {
            let read = <Cli as clap::Parser>::try_parse_from(words);
            assert!(read.is_ok(), "{read:?}");
        }
    }
}

#[cfg(test)]
mod tests;
