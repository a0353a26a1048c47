//! The guest's file system: a newc cpio with busybox, the init script, modules and the files of the task.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use cpio::newc;

use super::modules::Module;
use crate::{process, tree};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// A file for the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Where the guest sees it, without the leading slash.
    pub(crate) place: String,
    /// What it holds.
    pub(crate) source: Source,
}

/// Where the contents of a file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file of the host.
    Host(PathBuf),
    /// Bytes made here.
    Made(Vec<u8>),
}

impl Packed {
    /// A host file at a place in the guest.
    pub(crate) fn host(source: impl Into<PathBuf>, place: &str) -> Self {
        Self { place: place.trim_start_matches('/').to_owned(), source: Source::Host(source.into()) }
    }

    /// Bytes made here, at a place in the guest.
    pub(crate) fn made(text: &str, place: &str) -> Self {
        Self { place: place.trim_start_matches('/').to_owned(), source: Source::Made(text.into()) }
    }

    /// `PATH` or `PATH:GUESTPATH`, and the libraries of a dynamic executable.
    pub(crate) fn from_argument(argument: &str) -> Result<Vec<Self>> {
        let (path, place) = if let Some((path, place)) = argument.split_once(':') {
            (PathBuf::from(path), place.to_owned())
        } else {
            let path = PathBuf::from(argument);
            let name = path.file_name().with_context(|| format!("{argument} names no file"))?;
            let place = format!("bin/{}", name.to_string_lossy());
            (path, place)
        };
        ensure!(path.is_file(), "{} is not a file: --file takes PATH or PATH:GUESTPATH", path.display());
        let mut files = libraries(&path)?;
        files.push(Self::host(path, &place));
        Ok(files)
    }

    /// A dynamic executable of the host with its libraries, below /bin of the guest.
    pub(crate) fn program(path: &Path) -> Result<Vec<Self>> {
        Self::from_argument(&path.display().to_string())
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        match &self.source {
            Source::Host(path) => tree::read(path),
            Source::Made(bytes) => Ok(bytes.clone()),
        }
    }
}

/// The shared libraries that the dynamic linker would load, at the same places in the guest.
fn libraries(path: &Path) -> Result<Vec<Packed>> {
    if !tree::read(path)?.starts_with(b"\x7fELF") {
        return Ok(Vec::new());
    }
    let listed = process::output(Command::new("ldd").arg(path).env_remove("LD_LIBRARY_PATH"))?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(library_paths(&text).into_iter().map(|path| Packed::host(path, path)).collect())
}

fn library_paths(ldd: &str) -> Vec<&str> {
    ldd.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/'))).collect()
}

/// Writes the archive: uncompressed, because the guest unpacks slower than it reads.
pub(super) fn build(busybox: &Path, init: &str, modules: &[Module], files: &[Packed]) -> Result<Vec<u8>> {
    let libraries = libraries(busybox)?;
    ensure!(libraries.is_empty(), "{} is not static: install the package busybox-static", busybox.display());
    let mut all = vec![
        Packed::host(busybox, "bin/busybox"),
        Packed::made(init, "init"),
        Packed::made(&module_order(modules), "modules/order"),
    ];
    for module in modules {
        let place = format!("modules/{}.ko", module.name);
        all.push(Packed { place, source: Source::Made(module.bytes.clone()) });
    }
    all.extend_from_slice(files);

    let mut archive = Archive { bytes: Vec::new(), inode: 1 };
    let folders = ["dev", "proc", "sys", "tmp", "run", "etc", "out", "root", "sbin", "var"];
    for folder in folders.into_iter().map(str::to_owned).chain(folders_above(&all)) {
        archive.add(&folder, FOLDER, (0, 0), &[])?;
    }
    // The kernel opens it for init before devtmpfs can be mounted.
    archive.add("dev/console", CHARACTER_DEVICE, (5, 1), &[])?;
    let mut seen = BTreeSet::new();
    for file in all {
        if seen.insert(file.place.clone()) {
            archive.add(&file.place, FILE, (0, 0), &file.bytes()?)?;
        }
    }
    newc::trailer(archive.bytes).context("the initramfs cannot be finished")
}

fn module_order(modules: &[Module]) -> String {
    modules.iter().flat_map(|module| [module.name.as_str(), "\n"]).collect()
}

fn folders_above(files: &[Packed]) -> BTreeSet<String> {
    files
        .iter()
        .flat_map(|file| Path::new(&file.place).ancestors().skip(1))
        .filter_map(|folder| folder.to_str())
        .filter(|folder| !folder.is_empty())
        .map(str::to_owned)
        .collect()
}

struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) -> Result<()> {
        self.inode += 1;
        let size = u32::try_from(contents.len())
            .ok()
            .with_context(|| format!("{name} is too big for an initramfs (4 GiB)"))?;
        let mut writer = newc::Builder::new(name)
            .ino(self.inode)
            .mode(mode)
            .rdev_major(device.0)
            .rdev_minor(device.1)
            .write(&mut self.bytes, size);
        writer
            .write_all(contents)
            .and_then(|()| writer.finish().map(|_| ()))
            .with_context(|| format!("cannot pack {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_paths_are_the_absolute_words_of_ldd() {
        let text = "\tlinux-vdso.so.1 (0x7ffe)\n\tlibz.so.1 => /lib/libz.so.1 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(library_paths(text), ["/lib/libz.so.1", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(library_paths("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let files = [Packed::made("", "/lib/x86/libz.so")];
        assert_eq!(folders_above(&files).into_iter().collect::<Vec<_>>(), ["lib", "lib/x86"]);
    }
}
