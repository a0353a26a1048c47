//! Why a recording cannot be read.

use std::io;

/// A file that is no recording, or one that is damaged.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Read(#[source] io::Error),
    /// It begins like nothing that was recorded.
    #[error("this is no recording: {0}")]
    Foreign(String),
    /// It ends before its first message does.
    #[error("the recording ends at byte {at}, before its header does: nothing in it can be read")]
    Headless {
        /// Its length.
        at: u64,
    },
    /// It is of a later format.
    #[error("the recording is of format {found}, this version reads up to {known}")]
    Later {
        /// The format it is of.
        found: u32,
        /// The last one that is known.
        known: u32,
    },
    /// A message is not as it was written.
    #[error("the recording is damaged at byte {at}, in batch {batch}: {what}")]
    Damaged {
        /// Where the message begins.
        at: u64,
        /// How many batches came before it; the header counts as none.
        batch: u64,
        /// What is wrong with it.
        what: String,
    },
    /// It has events of the time of another one, and others than that one has.
    #[error("it was recorded beside the one before it, with other filters: what both have cannot be told")]
    Beside,
}

impl ReadError {
    /// What may help.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read(_) => None,
            Self::Foreign(_) => Some("-r takes a file that `portscope record -w FILE` has written"),
            Self::Headless { .. } => Some("record again: the recorder was ended before it had begun"),
            Self::Later { .. } => Some("read it with the version of portscope that wrote it, or a later one"),
            Self::Beside => Some("read one of them alone"),
            Self::Damaged { .. } => {
                Some("what comes before that place is sound: --to ends before it, trace -r prints up to it")
            }
        }
    }
}
