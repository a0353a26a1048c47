//! One process: its mappings, and names for addresses in them.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use blazesym::symbolize::{
    Input, Sym, Symbolized, Symbolizer,
    source::{Elf, Process, Source},
};

use super::{Frame, Mapping, Mappings, Outcome};
use crate::{
    enrich::is_alive,
    event::{Pid, StartTime},
};

/// Mappings take some hundred bytes each; a process may have 65,530 (`vm.max_map_count`).
const MOST_BYTES: u64 = 16 << 20;

/// Addresses of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The process.
    pub pid: Pid,
    /// When it started.
    pub start: Option<StartTime>,
    /// From the call outwards.
    pub stack: Vec<u64>,
}

impl Addresses {
    /// Bare frames.
    pub(super) fn bare(&self) -> Vec<Frame> {
        self.stack.iter().map(|address| Frame { address: *address, ..Frame::default() }).collect()
    }

    /// Frames with the names that can be had.
    pub(super) fn name(&self, proc_root: &Path, symbolizer: &Symbolizer) -> (Vec<Frame>, Outcome) {
        let home = proc_root.join(self.pid.0.to_string());
        let mut frames = self.bare();
        let maps = match read(&home.join("maps")) {
            Ok(text) => Mappings::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return (frames, Outcome::Denied);
            }
            Err(_) => return (frames, Outcome::Gone),
        };
        // Of another process of the same number nothing is told.
        if !is_alive(proc_root, self.pid, self.start) {
            return (frames, Outcome::Gone);
        }
        for frame in &mut frames {
            if let Some(mapping) = maps.find(frame.address) {
                self.name_one(frame, mapping, &home, symbolizer);
            }
        }
        (frames, Outcome::Looked)
    }

    fn name_one(&self, frame: &mut Frame, mapping: &Mapping, home: &Path, symbolizer: &Symbolizer) {
        if !mapping.path.is_empty() {
            frame.module = Some(String::from_utf8_lossy(&mapping.path).into_owned());
        }
        // Where it returns to may be the next line, or the next function.
        let call = frame.address.saturating_sub(1);
        if !mapping.has_file() {
            if mapping.path.is_empty() && has_perf_map(home, self.pid) {
                let source =
                    Process { debug_syms: false, map_files: false, ..Process::new(self.pid.0.into()) };
                told(frame, symbolizer, &Source::Process(source), Input::AbsAddr(call));
            }
            return;
        }
        frame.module_offset = Some(mapping.place(frame.address));
        if let Some(path) = file(home, mapping) {
            let place = Input::FileOffset(mapping.place(call));
            told(frame, symbolizer, &Source::Elf(Elf::new(path)), place);
        }
    }
}

fn told(frame: &mut Frame, symbolizer: &Symbolizer, source: &Source<'_>, place: Input<u64>) {
    match symbolizer.symbolize_single(source, place) {
        Ok(Symbolized::Sym(symbol)) => put(frame, &symbol),
        Ok(Symbolized::Unknown(_)) => {}
        Err(error) => log::debug!("{source:?}: {error}"),
    }
}

fn put(frame: &mut Frame, symbol: &Sym<'_>) {
    // A function that was put into another one is where the call stands.
    let inner = symbol.inlined.last();
    let name = inner.map_or(&symbol.name, |inner| &inner.name);
    frame.symbol = Some(name.clone().into_owned());
    frame.symbol_offset =
        inner.is_none().then(|| u64::try_from(symbol.offset).unwrap_or(0).saturating_add(1));
    let code = inner.map_or(symbol.code_info.as_deref(), |inner| inner.code_info.as_ref());
    if let Some(code) = code {
        let path = code.dir.as_ref().map_or_else(|| PathBuf::from(&code.file), |dir| dir.join(&code.file));
        frame.file = Some(path.to_string_lossy().into_owned());
        frame.line = code.line;
    }
}

/// A way to the file of a mapping: in the root of the process, or its executable, which is there even if it was deleted.
/// Another file of the same name is not taken for it.
fn file(home: &Path, mapping: &Mapping) -> Option<PathBuf> {
    let name = mapping.path.strip_suffix(b" (deleted)").unwrap_or(&mapping.path);
    let name = Path::new(OsStr::from_bytes(name)).strip_prefix("/").ok()?;
    let is_it = |path: &PathBuf| {
        let is_it = |found: Metadata| found.is_file() && found.ino() == mapping.inode;
        fs::metadata(path).is_ok_and(is_it)
    };
    [home.join("root").join(name), home.join("exe")].into_iter().find(is_it)
}

/// Whether a process tells the names of what it compiles while it runs (tools/perf/Documentation/jit-interface.txt). Only a
/// file that is one is opened: anybody may have put something there.
fn has_perf_map(home: &Path, pid: Pid) -> bool {
    let status = read(&home.join("status")).unwrap_or_default();
    let inner = String::from_utf8_lossy(&status).lines().find_map(|line| {
        let (_, last) = line.strip_prefix("NSpid:")?.rsplit_once('\t')?;
        last.trim().parse().ok()
    });
    let name = format!("root/tmp/perf-{}.map", inner.unwrap_or(pid.0));
    fs::symlink_metadata(home.join(name)).is_ok_and(|found| found.is_file())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses of this process.
    fn own(stack: Vec<u64>) -> Addresses {
        Addresses { pid: Pid(std::process::id()), start: None, stack }
    }

    #[inline(never)]
    fn a_function_of_this_test() -> u64 {
        let pointer: fn() -> u64 = a_function_of_this_test;
        u64::try_from(pointer as usize).unwrap()
    }

    #[test]
    fn a_function_of_this_process_is_named() {
        let address = a_function_of_this_test() + 2;
        let (frames, outcome) = own(vec![address, 1]).name(Path::new("/proc"), &Symbolizer::new());
        assert_eq!(outcome, Outcome::Looked);
        let symbol = frames[0].symbol.as_deref().unwrap_or_default();
        assert!(symbol.contains("a_function_of_this_test"), "{frames:?}");
        assert!(frames[0].module.is_some() && frames[0].module_offset.is_some());
        assert_eq!(frames[1], Frame { address: 1, ..Frame::default() });
    }

    #[test]
    fn of_a_process_that_has_gone_or_another_of_its_number_there_are_addresses_alone() {
        let gone = Addresses { pid: Pid(u32::MAX >> 1), ..own(vec![7]) };
        let other = Addresses { start: Some(StartTime(1)), ..own(vec![a_function_of_this_test() + 2]) };
        for addresses in [gone, other] {
            let expected = (addresses.bare(), Outcome::Gone);
            assert_eq!(addresses.name(Path::new("/proc"), &Symbolizer::new()), expected);
        }
    }
}
