//! Where type information lies: a file of it, a section of vmlinux, an archive as BTFHub keeps them, or a directory with
//! the files of many kernels.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use lzma_rust2::XzReader;
use object::{Object as _, ObjectSection as _, ReadCache};

/// More is no type information of a kernel: those have 4 to 10 MB.
const MOST: u64 = 256 << 20;
/// What unpacking may need, in KiB; the strongest preset of xz has a dictionary of 64 MiB.
const UNPACKING_KIB: u32 = 96 << 10;
/// How deep and how much of a directory is looked through: an archive of all distributions has some 10,000 files, four deep.
const DEEPEST: usize = 8;
const MOST_FILES: usize = 200_000;

const ELF: &[u8] = b"\x7fELF";
const XZ: &[u8] = b"\xfd7zXZ\0";
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// A kernel as boot loaders want it, and where it says so (Documentation/arch/x86/boot.rst).
const BOOT: (usize, &[u8]) = (0x202, b"HdrS");

/// Why nothing is read. Its sentences follow on the path that was named.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it has more than {} MiB", MOST >> 20)]
    Large,
    #[error("it is an ELF file that cannot be read: {0}")]
    Elf(#[from] object::Error),
    #[error("it is an ELF file without a section .BTF")]
    NoSection,
    #[error("it is a kernel packed for booting, which does not show its types: name its vmlinux")]
    Boot,
    #[error("it is compressed: unpack it first")]
    Compressed,
    #[error("it is an archive that cannot be read: {0}")]
    Archive(io::Error),
    #[error("it is an archive without type information")]
    NoMember,
    #[error("none of the files below it is named after this kernel, {release}")]
    NoneHere { release: String },
    #[error("it has {count} files of {release}, which are not of one distribution: name one, such as {}", .one.display())]
    Several { count: usize, release: String, one: PathBuf },
}

/// A kernel as its files are named.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// `uname -r`.
    pub(super) release: String,
    /// `uname -m`.
    pub(super) machine: String,
}

impl Kernel {
    /// The one that runs.
    pub(super) fn running() -> Self {
        let uname = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        Self { release: text(uname.release()), machine: text(uname.machine()) }
    }

    /// Whether a file is named as one with its types.
    fn is_named_by(&self, path: &Path) -> bool {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(own) = name(path) else { return false };
        let release = &self.release;
        let of_release = ["btf", "btf.tar.xz"].iter().any(|kind| own == format!("{release}.{kind}"))
            || own == format!("vmlinux-{release}");
        of_release || (own == "vmlinux" && path.parent().and_then(name).as_ref() == Some(release))
    }

    /// Whether a part of a path is a word for this machine.
    fn is_of(&self, part: &str) -> bool {
        part == self.machine
            || [["x86_64", "amd64"], ["aarch64", "arm64"]]
                .iter()
                .any(|words| words.contains(&self.machine.as_str()) && words.contains(&part))
    }
}

/// The file that was meant by a path: itself, or of a directory the one of this kernel.
pub(super) fn locate(path: &Path, kernel: &Kernel) -> Result<PathBuf, Unreadable> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(path.to_owned());
    }
    // As in /sys/kernel/btf, or a tree in which a kernel was built.
    let whole = path.join("vmlinux");
    if whole.is_file() {
        return Ok(whole);
    }
    let mut found = Vec::new();
    let mut left = MOST_FILES;
    look_through(path, DEEPEST, &mut left, &mut |file| {
        if kernel.is_named_by(&file) {
            found.push(file);
        }
    });
    found.sort();
    one_of(found, path, kernel, &distribution())
}

/// Reads no link, so that it does not go round in circles; what cannot be listed is passed over.
fn look_through(folder: &Path, deeper: usize, left: &mut usize, file: &mut impl FnMut(PathBuf)) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let Some(fewer) = left.checked_sub(1) else { return };
        *left = fewer;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && deeper > 0 => {
                look_through(&entry.path(), deeper.saturating_sub(1), left, file);
            }
            Ok(kind) if kind.is_file() => file(entry.path()),
            _ => {}
        }
    }
}

/// Of several with this kernel's name, those of this machine, and of this distribution and its version.
fn one_of(
    mut found: Vec<PathBuf>,
    below: &Path,
    kernel: &Kernel,
    distribution: &[String],
) -> Result<PathBuf, Unreadable> {
    let has = |file: &Path, wanted: &dyn Fn(&str) -> bool| {
        let inside = file.strip_prefix(below).unwrap_or(file);
        inside.iter().any(|part| part.to_str().is_some_and(wanted))
    };
    let mut narrow = |wanted: &dyn Fn(&str) -> bool| {
        if found.len() > 1 && found.iter().any(|file| has(file, wanted)) {
            found.retain(|file| has(file, wanted));
        }
    };
    narrow(&|part| kernel.is_of(part));
    for word in distribution {
        narrow(&|part| part == word);
    }
    let count = found.len();
    let release = kernel.release.clone();
    let mut found = found.into_iter();
    match found.next() {
        None => Err(Unreadable::NoneHere { release }),
        Some(one) if count == 1 => Ok(one),
        Some(one) => Err(Unreadable::Several { count, release, one }),
    }
}

/// The words of os-release(5) by which archives are ordered: `ID`, then `VERSION_ID`.
fn distribution() -> Vec<String> {
    let told = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    let told = told.unwrap_or_default();
    let of = |key: &str| {
        let value = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    };
    ["ID", "VERSION_ID"].into_iter().filter_map(of).collect()
}

/// The type information in a file.
pub(super) fn load(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let mut start = Vec::new();
    File::open(path)?.take(0x400).read_to_end(&mut start)?;
    let file = File::open(path)?;
    let (at, boot) = BOOT;
    if start.starts_with(ELF) {
        section(file)
    } else if start.starts_with(XZ) {
        unpacked(file)
    } else if start.get(at..).is_some_and(|rest| rest.starts_with(boot)) {
        Err(Unreadable::Boot)
    } else if [GZIP, ZSTD].iter().any(|magic| start.starts_with(magic)) {
        Err(Unreadable::Compressed)
    } else {
        whole(file)
    }
}

fn whole(from: impl Read) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    from.take(MOST.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST { Err(Unreadable::Large) } else { Ok(bytes) }
}

/// Of vmlinux, which may have hundreds of megabytes, no more is read than its tables and the section.
fn section(file: impl Read + io::Seek) -> Result<Vec<u8>, Unreadable> {
    let cache = ReadCache::new(file);
    let elf = object::File::parse(&cache)?;
    let section = elf.section_by_name(".BTF").ok_or(Unreadable::NoSection)?;
    if section.size() > MOST {
        return Err(Unreadable::Large);
    }
    Ok(section.data()?.to_vec())
}

/// What xz packed: an archive with a file `….btf`, or type information itself.
fn unpacked(file: impl Read) -> Result<Vec<u8>, Unreadable> {
    let broken = |error| match error {
        Unreadable::Io(error) => Unreadable::Archive(error),
        other => other,
    };
    let bytes = whole(XzReader::new_mem_limit(file, true, UNPACKING_KIB)).map_err(broken)?;
    if super::blob::has_magic(&bytes) {
        return Ok(bytes);
    }
    let mut archive = tar::Archive::new(bytes.as_slice());
    for entry in archive.entries().map_err(Unreadable::Archive)? {
        let entry = entry.map_err(Unreadable::Archive)?;
        if entry.path_bytes().ends_with(b".btf") && entry.header().entry_type().is_file() {
            return whole(entry).map_err(broken);
        }
    }
    Err(Unreadable::NoMember)
}

/// Any bytes as a file of types in one of the forms that are unpacked; whether they are.
#[cfg(any(test, fuzzing))]
pub(super) fn load_any(bytes: &[u8]) -> bool {
    section(io::Cursor::new(bytes)).is_ok() | unpacked(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use lzma_rust2::{XzOptions, XzWriter};
    use object::{Architecture, BinaryFormat, Endianness, SectionKind, write};

    use super::*;

    fn kernel() -> Kernel {
        Kernel { release: "5.8.0-63-generic".to_owned(), machine: "x86_64".to_owned() }
    }

    fn one(files: &[&str], distribution: &[&str]) -> Result<PathBuf, Unreadable> {
        let below = Path::new("hub");
        let found: Vec<_> = files.iter().map(|file| below.join(file)).collect();
        assert!(found.iter().all(|file| kernel().is_named_by(file)), "{found:?}");
        let distribution: Vec<_> = distribution.iter().map(|word| (*word).to_owned()).collect();
        one_of(found, below, &kernel(), &distribution)
    }

    #[test]
    fn files_are_known_by_the_name_of_the_kernel() {
        for (path, is_named) in [
            ("/hub/ubuntu/20.04/x86_64/5.8.0-63-generic.btf", true),
            ("/hub/ubuntu/20.04/x86_64/5.8.0-63-generic.btf.tar.xz", true),
            ("/usr/lib/debug/boot/vmlinux-5.8.0-63-generic", true),
            ("/usr/lib/debug/lib/modules/5.8.0-63-generic/vmlinux", true),
            ("/hub/5.8.0-63-generic-more.btf", false),
            ("/boot/vmlinuz-5.8.0-63-generic", false),
            ("/lib/modules/5.8.0-64-generic/vmlinux", false),
            ("/", false),
        ] {
            assert_eq!(kernel().is_named_by(Path::new(path)), is_named, "{path}");
        }
    }

    #[test]
    fn of_several_that_of_this_machine_and_distribution_is_taken() {
        const NAME: &str = "5.8.0-63-generic.btf";
        let at = |folder: &str| format!("{folder}/{NAME}");
        let (intel, arm, other) = (at("ubuntu/20.04/x86_64"), at("ubuntu/20.04/arm64"), at("mint/20/amd64"));
        assert_eq!(one(&[&arm, &intel], &[]).unwrap(), Path::new("hub").join(&intel));
        let all = [intel.as_str(), &arm, &other];
        assert_eq!(one(&all, &["mint", "20"]).unwrap(), Path::new("hub").join(&other));
        let error = one(&all, &["arch"]).unwrap_err().to_string();
        assert!(
            error.starts_with("it has 2 files of 5.8.0-63-generic") && error.ends_with(&intel),
            "{error}"
        );
        let error = one(&[], &[]).unwrap_err().to_string();
        assert_eq!(error, "none of the files below it is named after this kernel, 5.8.0-63-generic");
    }

    fn packed(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes).unwrap();
        xz(&archive.into_inner().unwrap())
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(6)).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn archives_are_unpacked_and_what_is_in_them_need_not_be_types() {
        let types = super::super::tests::any_kernel();
        let hub = packed("./5.8.0-63-generic.btf", &types);
        assert_eq!(unpacked(hub.as_slice()).unwrap(), types);
        assert_eq!(unpacked(xz(&types).as_slice()).unwrap(), types);
        assert!(matches!(unpacked(packed("readme", &types).as_slice()), Err(Unreadable::NoMember)));
        for end in (0..hub.len()).step_by(7) {
            assert!(unpacked(hub.get(..end).unwrap()).is_err(), "{end}");
        }
    }

    #[test]
    fn of_an_elf_file_its_section_is_read() {
        let types = super::super::tests::any_kernel();
        let mut elf = write::Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        for (name, data) in [(".text", &b"code"[..]), (".BTF", &types)] {
            let section = elf.add_section(Vec::new(), name.into(), SectionKind::Other);
            elf.append_section_data(section, data, 8);
        }
        let elf = elf.write().unwrap();
        assert_eq!(section(io::Cursor::new(&elf)).unwrap(), types);
        for end in (0..elf.len()).step_by(5) {
            assert!(section(io::Cursor::new(elf.get(..end).unwrap())).is_err(), "{end}");
        }
    }

    #[test]
    fn what_has_the_types_in_another_form_is_told() {
        let folder = std::env::temp_dir().join(format!("portscope-btf-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("file");
        let mut boot = vec![0; 0x300];
        boot[0x202..0x206].copy_from_slice(b"HdrS");
        for (bytes, words) in [
            (boot.as_slice(), "packed for booting"),
            (GZIP, "compressed"),
            (ZSTD, "compressed"),
            (b"\x7fELF\x02\x01\x01 and so on", "cannot be read"),
            (&xz(b"nothing"), "an archive that cannot be read"),
        ] {
            fs::write(&path, bytes).unwrap();
            let told = load(&path).unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
        // This executable has no types of a kernel.
        let told = load(&std::env::current_exe().unwrap()).unwrap_err().to_string();
        assert!(told.contains("without a section .BTF"), "{told}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
