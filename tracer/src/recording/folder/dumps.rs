//! Where dumps lie: so many, the oldest makes room.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{FolderError, make, name};
use crate::enrich::UtcNs;

/// A folder of dumps. Other files in it are left alone.
#[derive(Clone, Debug)]
pub struct Dumps {
    path: PathBuf,
    most: usize,
}

impl Dumps {
    /// In this folder, which is made if there is none.
    ///
    /// # Errors
    ///
    /// It cannot be had.
    pub fn open(path: &Path, most: usize) -> Result<Self, FolderError> {
        make(path)?;
        Ok(Self { path: path.to_owned(), most })
    }

    /// Writes one: what a recording has, then `rest`. Until it is whole it has another name.
    ///
    /// # Errors
    ///
    /// The recording cannot be read, or the disk does not take it.
    pub fn write(&self, at: UtcNs, why: &str, from: &mut impl Read, rest: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name::dump(at, why));
        let partial = path.with_extension("part");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        let done = fill(file, from, rest).and_then(|()| fs::rename(&partial, &path));
        if let Err(error) = done {
            drop(fs::remove_file(&partial));
            return Err(error);
        }
        self.thin_out()?;
        Ok(path)
    }

    /// Removes the oldest ones.
    fn thin_out(&self) -> io::Result<()> {
        let entries = fs::read_dir(&self.path)?.collect::<io::Result<Vec<_>>>()?;
        let is_dump = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(name::is_dump);
        let mut all: Vec<PathBuf> =
            entries.iter().filter(|entry| is_dump(entry)).map(fs::DirEntry::path).collect();
        all.sort();
        for path in all.iter().take(all.len().saturating_sub(self.most)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn fill(mut file: File, from: &mut impl Read, rest: &[u8]) -> io::Result<()> {
    io::copy(from, &mut file)?;
    file.write_all(rest)?;
    file.sync_all()
}
