//! Where the command of `top -- CMD` writes: the terminal shows the screen.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

use super::super::{Failure, exit::reason};

/// A file that takes what the command writes.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Nobody named it.
    is_ours: bool,
}

impl Log {
    /// The file that was named, or one of our own among the temporary files, which nobody else may read.
    pub(super) fn open(named: Option<&Path>) -> Result<Self, Failure> {
        let (path, opened) = match named {
            Some(path) => (path.to_owned(), File::create(path)),
            None => own(&env::temp_dir()),
        };
        let file = opened.map_err(|error| {
            Failure::new(format!("cannot write {}: {}", path.display(), reason(&error)))
                .hint("--command-output FILE names another file for what the command prints")
        })?;
        Ok(Self { path, file, is_ours: named.is_none() })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether something was written. An empty file of our own goes.
    pub(super) fn end(self) -> bool {
        let is_empty = self.file.metadata().is_ok_and(|file| file.len() == 0);
        if is_empty && self.is_ours {
            drop(fs::remove_file(&self.path));
        }
        !is_empty
    }
}

fn own(folder: &Path) -> (PathBuf, io::Result<File>) {
    let path = folder.join(format!("portscope-top-{}.log", process::id()));
    // One that is there is somebody else's, or a trap.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    (path, opened)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn an_empty_log_of_our_own_goes_and_a_full_one_stays() {
        let folder = env::temp_dir().join(format!("portscope-log-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (written, stays) in [("", false), ("42 requests\n", true)] {
            let (path, file) = own(&folder);
            let mut file = file.unwrap();
            file.write_all(written.as_bytes()).unwrap();
            let (same, again) = own(&folder);
            assert!(same == path && again.is_err(), "a file that is there is not taken over");
            assert_eq!(Log { path: path.clone(), file, is_ours: true }.end(), stays);
            assert_eq!(path.exists(), stays);
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named_with_the_remedy() {
        let failed = Log::open(Some(Path::new("/nowhere/at/all"))).unwrap_err();
        let told = format!("{failed:?}");
        assert!(told.contains("/nowhere/at/all") && told.contains("--command-output"), "{told}");
    }
}
