//! A file that is whole, or not there.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    process, thread,
};

use tokio::signal::unix::{SignalKind, signal};

use super::exit::complain;

/// A file that is being written under another name.
pub(super) struct Partial {
    pub(super) file: File,
    /// What it will be called, as it was given.
    pub(super) path: PathBuf,
    /// What it takes the place of: where links lead.
    target: PathBuf,
    /// What it is called now; none once it has its name.
    temporary: Option<PathBuf>,
}

impl Partial {
    /// Begins one, beside what it will be. When this process is interrupted it goes away.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let target = fs::canonicalize(path).unwrap_or_else(|_new| path.to_owned());
        let mut temporary = target.clone().into_os_string();
        temporary.push(format!(".{}.tmp", process::id()));
        let temporary = PathBuf::from(temporary);
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let partial = Self { file, path: path.to_owned(), target, temporary: Some(temporary.clone()) };
        if let Ok(older) = fs::metadata(&partial.target) {
            partial.file.set_permissions(older.permissions())?;
        }
        remove_when_interrupted(temporary, path.to_owned())?;
        Ok(partial)
    }

    /// Gives it its name, once all of it is on the disk.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.target)?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // There is nothing to be done about one that stays: its name says what it is.
            drop(fs::remove_file(temporary));
        }
    }
}

/// Waits for SIGINT and SIGTERM beside the work: reading a pipe may take long.
fn remove_when_interrupted(temporary: PathBuf, path: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut end) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = end.recv() => {} }
        });
        // One that has its name already is complete.
        if fs::remove_file(&temporary).is_ok() {
            complain(&format!("interrupted: {} was not written", path.display()));
            process::exit(1);
        }
        process::exit(0);
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(wait).map(drop)
}
