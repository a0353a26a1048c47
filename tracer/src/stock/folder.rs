//! Small files of one directory under `/proc`, which is held open meanwhile.
//!
//! Of a path the kernel looks up each part, and those of `/proc/sys/net` are as many as there are network namespaces under one
//! name: it goes through them until it comes to that of the asking thread (`proc_sys_compare`, `fs/proc/proc_sysctl.c`).
//! With the directory open that is done once, and not again for each file.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, open, openat},
    io::{Errno, read, retry_on_intr},
};

use super::StockError;

/// Holds any of them but the longest tables, which are read in pieces as long.
const USUAL_BYTES: usize = 4096;

/// A directory of small files.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    opened: Result<OwnedFd, Errno>,
}

impl Folder {
    /// Opens it, as the running thread sees it. Whether it is there shows when a file is asked for.
    pub(super) fn open(path: PathBuf) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| open(&path, flags, Mode::empty()));
        Self { path, opened }
    }

    /// What a file of it holds; none where there is none.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, StockError> {
        match self.read(Path::new(name)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failure(name, errno)),
        }
    }

    /// The same of a file that must be there.
    pub(super) fn must_have(&self, name: &str) -> Result<String, StockError> {
        self.text(name)?.ok_or_else(|| self.failure(name, Errno::NOENT))
    }

    fn failure(&self, name: &str, errno: Errno) -> StockError {
        StockError::Read { path: self.path.join(name), source: io::Error::from(errno) }
    }

    fn read(&self, name: &Path) -> Result<Vec<u8>, Errno> {
        let folder = self.opened.as_ref().map_err(|errno| *errno)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = retry_on_intr(|| openat(folder, name, flags, Mode::empty()))?;
        let (mut bytes, mut piece) = (Vec::new(), [0; USUAL_BYTES]);
        loop {
            let length = retry_on_intr(|| read(&file, &mut piece))?;
            let Some(more) = piece.get(..length).filter(|more| !more.is_empty()) else { return Ok(bytes) };
            bytes.extend_from_slice(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_read_whole_and_what_is_not_there_is_none() {
        let path = std::env::temp_dir().join(format!("portscope-{}-folder", std::process::id()));
        fs::create_dir_all(path.join("below")).unwrap();
        let long = "1234567890\n".repeat(1000);
        fs::write(path.join("below/long"), &long).unwrap();
        let folder = Folder::open(path.clone());
        assert_eq!(folder.text("below/long").unwrap(), Some(long));
        assert_eq!(folder.text("short").unwrap(), None);
        let missing = folder.must_have("short").unwrap_err().to_string();
        let is_a_directory = folder.text("below").unwrap_err();
        fs::remove_dir_all(&path).unwrap();
        assert!(missing.contains(&path.join("short").display().to_string()), "{missing}");
        assert!(matches!(is_a_directory, StockError::Read { .. }), "{is_a_directory}");
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_files() {
        assert_eq!(Folder::open("/nowhere/at/all".into()).text("x").unwrap(), None);
        let forbidden = Folder::open("/proc/self/stat".into()).text("x").unwrap_err();
        assert!(forbidden.to_string().contains("/proc/self/stat/x"), "{forbidden}");
    }
}
