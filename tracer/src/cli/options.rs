//! Options that several commands share.

use std::{
    io::{IsTerminal, Write as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use super::{Failure, words};
use crate::{
    kernel::{Choice, Settings, settings::DEFAULT_BUFFER_BYTES},
    output::harmless,
};

/// How to watch the kernel.
#[derive(Args, Debug)]
#[command(next_help_heading = "Kernel")]
pub(super) struct KernelOptions {
    /// How to watch: auto, fentry, kprobe, tracepoint
    #[arg(long, value_name = "BACKEND", default_value = "auto", value_parser = backend)]
    pub(super) backend: Choice,
    /// Size of the ring between kernel and reader, a power of two
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = words::buffer)]
    pub(super) buffer: u32,
    /// Type information of the running kernel, where it has none of its own: BTF, vmlinux, or a directory of a BTFHub
    /// archive
    #[arg(long, value_name = "PATH")]
    pub(super) btf: Option<PathBuf>,
    /// Measure what the programs cost in the kernel, too: it reads the clock twice a run of every BPF program of
    /// the host meanwhile (CAP_SYS_ADMIN)
    #[arg(long)]
    pub(super) kernel_cost: bool,
    /// Count collisions by kind, inside of the searches: costly where most ports are taken
    #[arg(long)]
    pub(super) count_collisions: bool,
}

impl KernelOptions {
    /// What these options ask of the kernel half; a complaint where the backend that was asked for cannot do it.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings {
            backend: self.backend,
            btf: self.btf.clone(),
            buffer_bytes: self.buffer,
            kernel_cost: self.kernel_cost,
            collisions: self.counts_collisions()?,
            ..Settings::default()
        })
    }

    /// Whether collisions are to be counted by kind; a complaint where the backend that was asked for cannot.
    fn counts_collisions(&self) -> Result<bool, Failure> {
        match self.backend {
            Choice::Only(backend) if self.count_collisions && !backend.sees_searches() => {
                Err(Failure::usage(format!(
                    "--count-collisions: backend {backend} does not see inside of a search"
                ))
                .hint("fentry and kprobe do: portscope check --hooks tells whether they run here"))
            }
            _ => Ok(self.count_collisions),
        }
    }
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            backend: Choice::Auto,
            buffer: DEFAULT_BUFFER_BYTES,
            btf: None,
            kernel_cost: false,
            count_collisions: false,
        }
    }
}

fn backend(word: &str) -> Result<Choice, String> {
    word.parse().map_err(|error: crate::kernel::backend::UnknownBackend| error.to_string())
}

/// How much to say on stderr.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct Loudness {
    /// Say more on stderr (twice: what the loader does)
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Say nothing on stderr but errors, and print no summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl Loudness {
    /// Starts the log.
    pub(super) fn start_log(self) {
        let level = match self.verbose {
            0 => log::LevelFilter::Error,
            1 => log::LevelFilter::Info,
            _ => log::LevelFilter::Debug,
        };
        let mut log = env_logger::Builder::new();
        log.filter_module("portscope", level).format(|out, record| {
            let (time, told) = (out.timestamp_millis(), record.args().to_string());
            writeln!(out, "[{time} {:<5} {}] {}", record.level(), record.target(), harmless(&told))
        });
        drop(log.try_init());
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether to use it on standard output.
    pub(super) fn on_stdout(self) -> bool {
        self.on(&std::io::stdout())
    }

    /// Whether to use it on a stream.
    pub(super) fn on(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && stream.is_terminal()
            }
        }
    }
}

/// A format of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Columns for people.
    #[default]
    Text,
    /// JSON Lines, or one document.
    Json,
    /// Comma-separated values.
    Csv,
    /// A page for a browser.
    Html,
}

/// Reads a format of `report`, which has pages, too.
pub(super) fn report_format(word: &str) -> Result<Format, String> {
    match word {
        "html" => Ok(Format::Html),
        "text" | "json" | "csv" => format(word),
        _ if std::path::Path::new(word).extension().is_some_and(|end| end.eq_ignore_ascii_case("html")) => {
            Err(format!("-o takes a format; to write a page to the file '{word}' use -o html -w {word}"))
        }
        _ if word.contains(['/', '.']) => format(word),
        _ => Err("there are text, json and html".to_owned()),
    }
}

/// Reads a format; a word that looks like a file name gets a hint.
pub(super) fn format(word: &str) -> Result<Format, String> {
    match word {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        "html" => Err("only report has html".to_owned()),
        _ if word.contains(['/', '.']) => {
            Err(format!("-o takes a format (text, json, csv); to write to the file '{word}' use -w {word}"))
        }
        _ => Err("there are text, json and csv".to_owned()),
    }
}

/// How processes are collapsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// Container, or unit where there is none, and executable
    #[default]
    Program,
    /// Not at all
    Pid,
    /// Executable
    Exe,
    /// systemd unit
    Unit,
    /// Container
    Container,
    /// Kubernetes pod
    Pod,
}

impl From<By> for crate::stats::By {
    fn from(by: By) -> Self {
        match by {
            By::Program => Self::Program,
            By::Pid => Self::Pid,
            By::Exe => Self::Exe,
            By::Unit => Self::Unit,
            By::Container => Self::Container,
            By::Pod => Self::Pod,
        }
    }
}
