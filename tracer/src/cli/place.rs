//! Where output goes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{Failure, exit::reason, partial::Partial};
use crate::pipeline::{Outlet, PipelineError};

/// Standard output, or a file.
pub(super) enum Place {
    Stdout,
    File {
        file: File,
        path: PathBuf,
    },
    /// A file that takes the place of another one when it is complete.
    Whole(Partial),
}

impl Place {
    /// Opens it; an existing file is emptied.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(Self::Stdout) };
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        match file {
            Ok(file) => Ok(Self::File { file, path: path.to_owned() }),
            Err(error) => Err(Failure::new(format!("cannot write {}: {}", path.display(), reason(&error)))),
        }
    }

    /// The same, but a file is there when it is complete, or not at all: until then an older one stays.
    pub(super) fn replace(path: &Path) -> Result<Self, Failure> {
        // A pipe or a device has no place to take.
        if path == Path::new("-") || path.metadata().is_ok_and(|about| !about.is_file()) {
            return Self::open(Some(path));
        }
        let partial = Partial::begin(path);
        let failed = |error| Failure::new(format!("cannot write {}: {}", path.display(), reason(&error)));
        partial.map(Self::Whole).map_err(failed)
    }

    /// What to say when it cannot be written.
    pub(super) fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Self::Stdout => Failure::write("standard output", error),
            Self::File { path, .. } | Self::Whole(Partial { path, .. }) => {
                let failed = Failure::write(&path.display().to_string(), error);
                if error.kind() == io::ErrorKind::StorageFull {
                    failed.hint("the disk is full: give -w a place with room, or filter what is traced")
                } else {
                    failed
                }
            }
        }
    }

    /// Sees to it that everything is written.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        match self {
            Self::Stdout => io::stdout().flush().map_err(|error| self.failure(&error)),
            Self::File { .. } => Ok(()),
            Self::Whole(partial) => partial.end().map_err(|error| self.failure(&error)),
        }
    }
}

impl Outlet for Place {
    fn flush(&mut self, gathered: &mut Vec<u8>) -> io::Result<()> {
        let written = match self {
            _ if gathered.is_empty() => Ok(()),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(gathered).and_then(|()| stdout.flush())
            }
            Self::File { file, .. } | Self::Whole(Partial { file, .. }) => file.write_all(gathered),
        };
        gathered.clear();
        written
    }
}

/// What to say when the loop ends badly.
pub(super) fn failure(place: &Place, error: PipelineError) -> Failure {
    match error {
        PipelineError::Write(error) => place.failure(&error),
        PipelineError::Kernel(error) => error.into(),
        PipelineError::Wait(error) => Failure::new(format!("cannot wait for events: {}", reason(&error))),
    }
}
