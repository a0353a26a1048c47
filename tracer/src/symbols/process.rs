//! One process: its mappings, and names for addresses in them.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolized, Symbolizer,
    source::{Elf, Process, Source},
};

use super::{Frame, Mapping, Mappings, Named, Outcome};
use crate::{
    enrich::is_alive,
    event::{Pid, StartTime},
};

/// Names are cut at so many characters: whoever makes an executable chooses them.
const MOST_LETTERS: usize = 1024;
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
    pub(super) fn name(&self, proc_root: &Path, symbolizer: &Symbolizer) -> Named {
        let home = proc_root.join(self.pid.0.to_string());
        let frames = self.bare();
        let unnamed = |frames, outcome| Named { exe: None, frames, outcome };
        let maps = match read(&home.join("maps")) {
            Ok(text) => Mappings::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return unnamed(frames, Outcome::Denied);
            }
            Err(_) => return unnamed(frames, Outcome::Gone),
        };
        let exe = fs::read_link(home.join("exe")).ok();
        // Of another process of the same number nothing is told: what was read until now is of this one.
        if !is_alive(proc_root, self.pid, self.start) {
            return unnamed(frames, Outcome::Gone);
        }
        let name = |frame: Frame| match maps.find(frame.address) {
            Some(mapping) => self.name_one(frame, mapping, &home, symbolizer),
            None => vec![frame],
        };
        let frames = frames.into_iter().flat_map(name).collect();
        let exe = exe.map(|path| path.to_string_lossy().into_owned());
        Named { exe, frames, outcome: Outcome::Looked }
    }

    fn name_one(
        &self,
        mut frame: Frame,
        mapping: &Mapping,
        home: &Path,
        symbolizer: &Symbolizer,
    ) -> Vec<Frame> {
        if !mapping.path.is_empty() {
            frame.module = Some(short(&String::from_utf8_lossy(&mapping.path)));
        }
        // Where it returns to may be the next line, or the next function.
        let call = frame.address.saturating_sub(1);
        if mapping.has_file() {
            frame.module_offset = Some(mapping.place(frame.address));
            let Some(path) = file(home, mapping) else { return vec![frame] };
            let place = Input::FileOffset(mapping.place(call));
            let sources = [true, false].map(|debug_syms| Elf { debug_syms, ..Elf::new(&path) }.into());
            return told(frame, symbolizer, &sources, place);
        }
        if mapping.path.is_empty() && has_perf_map(home, self.pid) {
            let source = Process { debug_syms: false, map_files: false, ..Process::new(self.pid.0.into()) };
            return told(frame, symbolizer, &[Source::Process(source)], Input::AbsAddr(call));
        }
        vec![frame]
    }
}

/// A frame with its names, behind those of functions that were put into it, the innermost first.
/// Debug information that cannot be read, or has no word of this address, is done without.
fn told(frame: Frame, symbolizer: &Symbolizer, sources: &[Source<'_>], place: Input<u64>) -> Vec<Frame> {
    for source in sources {
        match symbolizer.symbolize_single(source, place) {
            Ok(Symbolized::Sym(symbol)) => return named(&frame, &symbol),
            Ok(Symbolized::Unknown(reason)) => log::debug!("{source:?}: {reason}"),
            Err(error) => log::debug!("{source:?}: {error}"),
        }
    }
    vec![frame]
}

fn named(frame: &Frame, symbol: &Sym<'_>) -> Vec<Frame> {
    let within = symbol.inlined.iter().rev().map(|inner| {
        let inlined = Frame { symbol: Some(short(&inner.name)), inlined: true, ..frame.clone() };
        placed(inlined, inner.code_info.as_ref())
    });
    let offset = u64::try_from(symbol.offset).ok().map(|offset| offset.saturating_add(1));
    let whole = Frame { symbol: Some(short(&symbol.name)), symbol_offset: offset, ..frame.clone() };
    within.chain([placed(whole, symbol.code_info.as_deref())]).collect()
}

fn placed(frame: Frame, code: Option<&CodeInfo<'_>>) -> Frame {
    let Some(code) = code else { return frame };
    let path = code.dir.as_ref().map_or_else(|| PathBuf::from(&code.file), |dir| dir.join(&code.file));
    Frame { file: Some(short(&path.to_string_lossy())), line: code.line, ..frame }
}

/// A name, cut where it is too long.
fn short(name: &str) -> String {
    match name.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => name.get(..end).unwrap_or_default().to_owned() + "…",
        None => name.to_owned(),
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
        let Named { frames, outcome, exe } =
            own(vec![address, 1]).name(Path::new("/proc"), &Symbolizer::new());
        assert!(outcome == Outcome::Looked && exe.is_some());
        let symbol = frames[0].symbol.as_deref().unwrap_or_default();
        assert!(symbol.contains("a_function_of_this_test") && !frames[0].inlined, "{frames:?}");
        assert!(frames[0].module.is_some() && frames[0].module_offset.is_some());
        assert_eq!(frames[1], Frame { address: 1, ..Frame::default() });
    }

    #[test]
    fn names_are_not_longer_than_they_need_be() {
        assert_eq!((short("main"), short("")), ("main".to_owned(), String::new()));
        let long = "é".repeat(MOST_LETTERS);
        assert_eq!((short(&long), short(&format!("{long}é"))), (long.clone(), format!("{long}…")));
    }

    #[test]
    fn of_a_process_that_has_gone_or_another_of_its_number_there_are_addresses_alone() {
        let gone = Addresses { pid: Pid(u32::MAX >> 1), ..own(vec![7]) };
        let other = Addresses { start: Some(StartTime(1)), ..own(vec![a_function_of_this_test() + 2]) };
        for addresses in [gone, other] {
            let expected = Named { exe: None, frames: addresses.bare(), outcome: Outcome::Gone };
            assert_eq!(addresses.name(Path::new("/proc"), &Symbolizer::new()), expected);
        }
    }
}
