//! How the command ends: what is said, and the status.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    kernel::KernelError,
    output::{harmless, to_json, to_json_pretty},
    stock::StockError,
};

/// The statuses, for `--help`.
pub(super) const STATUSES: &str = "\
Exit status: 0 all went well (after Ctrl-C, and for a closed pipe, too); 1 failed at run time; \
2 wrong usage; 3 --fail-on was met, or --rate-check does not fit; 4 not permitted; 5 this kernel cannot be traced. \
With a command: its own; 125 portscope's own failure, 126 not executable, 127 not found.";

/// Why a command ends before its time.
#[derive(Debug)]
pub enum Failure {
    /// The reader of our output is gone: nothing to complain about.
    BrokenPipe,
    /// The command line makes no sense.
    Usage {
        /// What is wrong.
        told: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Something failed.
    Failed {
        /// What is wrong.
        told: String,
        /// What to do.
        hint: Option<String>,
        /// The status.
        status: u8,
    },
}

impl Failure {
    /// A failure at run time.
    pub(super) fn new(told: impl Into<String>) -> Self {
        Self::Failed { told: told.into(), hint: None, status: 1 }
    }

    /// A wrong word of the command line.
    pub(super) fn usage(told: impl Into<String>) -> Self {
        Self::Usage { told: told.into(), hint: None }
    }

    /// Adds a remedy.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::BrokenPipe => Self::BrokenPipe,
            Self::Usage { told, .. } => Self::Usage { told, hint: Some(hint.into()) },
            Self::Failed { told, status, .. } => Self::Failed { told, hint: Some(hint.into()), status },
        }
    }

    /// Output that cannot be written to `place`.
    pub(super) fn write(place: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::new(format!("cannot write {place}: {}", reason(error)))
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        Self::Failed {
            told: error.to_string(),
            hint: error.hint().map(str::to_owned),
            status: error.exit_status(),
        }
    }
}

impl From<StockError> for Failure {
    fn from(error: StockError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let cause = cause.map(|text| text.split(" (os error").next().unwrap_or_default().to_owned());
        let failure = Self::new(harmless(&format!("{error}{}", cause.unwrap_or_default())));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What the system says of an error, without the number that Rust adds.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Says what went wrong on stderr, and turns it into a status.
pub(super) fn status(done: Result<(), Failure>) -> ExitCode {
    let (told, hint, status) = match done {
        Ok(()) | Err(Failure::BrokenPipe) => return ExitCode::SUCCESS,
        Err(Failure::Usage { told, hint }) => (told, hint, 2),
        Err(Failure::Failed { told, hint, status }) => (told, hint, status),
    };
    complain(&told);
    if let Some(hint) = hint {
        complain(&format!("hint: {hint}"));
    }
    ExitCode::from(status)
}

/// clap's own complaints and help texts.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

/// A document as JSON for people and machines, with a newline behind it.
pub(super) fn json(document: &impl serde::Serialize) -> Result<String, Failure> {
    let text = to_json_pretty(document).map_err(|error| Failure::new(error.to_string()))?;
    Ok(format!("{text}\n"))
}

/// A document on one line.
pub(super) fn json_line(document: &impl serde::Serialize) -> Result<String, Failure> {
    let text = to_json(document).map_err(|error| Failure::new(error.to_string()))?;
    Ok(format!("{text}\n"))
}

/// A line on stderr, or some; names in it do a terminal no harm. A stderr that is gone takes nothing more; there is nowhere to say so.
pub(super) fn complain(line: &str) {
    let mut stderr = io::stderr().lock();
    let lines: Vec<_> = line.split('\n').map(harmless).collect();
    drop(writeln!(stderr, "portscope: {}", lines.join("\n")));
}

/// Text on stderr.
pub(super) fn tell(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// Text on stdout.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::write("standard output", &error))
}
