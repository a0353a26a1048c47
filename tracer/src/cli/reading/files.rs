//! The files of `-r`: opened, told apart by host and boot, put in the order of their times.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufReader, Read, Seek as _},
    path::{Path, PathBuf},
};

use super::{
    super::{
        Failure,
        exit::{complain, reason},
    },
    Recording, Source, unreadable,
};
use crate::{
    event::MonoNs,
    recording::{Chain, Entry, Note, Part, ReadError, Reader},
};

/// Room for what is read at once.
const PORTION: usize = 1 << 16;

/// A recording whose beginning is known.
struct Found {
    began: MonoNs,
    part: Part<Source>,
}

/// Opens all of them: those of one host and boot together, in the order of their times.
pub(super) fn open(paths: &[PathBuf]) -> Result<Vec<Recording>, Failure> {
    if let [path] = paths
        && !path.is_dir()
    {
        return Ok(vec![Recording { chain: Chain::new(single(path)?, VecDeque::new()) }]);
    }
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            directory(path, &mut all)?;
        } else if path == Path::new("-") {
            return Err(Failure::usage(
                "-r - stands alone: of several recordings the times are looked at first",
            )
            .hint("write it to a file, and give that"));
        } else {
            all.extend(file(path)?.map_err(|error| unreadable(&path.display().to_string(), &error))?);
        }
    }
    all.sort_by_key(|found| found.began);
    let mut groups: Vec<VecDeque<Part<Source>>> = Vec::new();
    for Found { part, .. } in all {
        let group =
            groups.iter_mut().find(|group| group.front().is_some_and(|first| is_together(first, &part)));
        match group {
            Some(group) => group.push_back(part),
            None => groups.push(VecDeque::from([part])),
        }
    }
    let chained = groups.into_iter().filter_map(|mut group| Some(Chain::new(group.pop_front()?, group)));
    Ok(chained.map(|chain| Recording { chain }).collect())
}

/// One that is read by itself may be anything that can be read.
fn single(path: &Path) -> Result<Part<Source>, Failure> {
    let (name, file): (_, Box<dyn Read>) = if path == Path::new("-") {
        ("standard input".to_owned(), Box::new(io::stdin()))
    } else {
        (path.display().to_string(), Box::new(opened(path)?))
    };
    match Reader::open(BufReader::with_capacity(PORTION, file)) {
        Ok(reader) => Ok(Part { name, reader }),
        Err(error) => Err(unreadable(&name, &error)),
    }
}

fn opened(path: &Path) -> Result<File, Failure> {
    File::open(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {}", path.display(), reason(&error))))
}

/// The recordings of a directory, whatever else is in it.
fn directory(path: &Path, all: &mut Vec<Found>) -> Result<(), Failure> {
    let failed =
        |error: &io::Error| Failure::new(format!("cannot read {}: {}", path.display(), reason(error)));
    let before = all.len();
    for entry in fs::read_dir(path).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        if !path.is_file() {
            continue;
        }
        match file(&path) {
            Ok(Ok(found)) => all.extend(found),
            Ok(Err(ReadError::Foreign(_))) => {}
            Ok(Err(ReadError::Headless { .. })) => {
                complain(&format!("{} has nothing in it yet: left out", path.display()));
            }
            Ok(Err(error)) => return Err(unreadable(&path.display().to_string(), &error)),
            // A recorder that goes on drops the oldest ones.
            Err(_) if !path.exists() => {}
            Err(failure) => return Err(failure),
        }
    }
    if all.len() == before {
        return Err(Failure::new(format!("there is no recording in the directory {}", path.display()))
            .hint("-r takes files that `portscope record -w FILE` has written, or a directory of them"));
    }
    Ok(())
}

/// A recording with the time of its first look at the host; none where it was cut before that.
fn file(path: &Path) -> Result<Result<Option<Found>, ReadError>, Failure> {
    let name = path.display().to_string();
    let mut file = opened(path)?;
    let began = match began(&file) {
        Ok(Some(began)) => began,
        Ok(None) => {
            complain(&format!("{name} was cut before anything was in it: left out"));
            return Ok(Ok(None));
        }
        Err(error) => return Ok(Err(error)),
    };
    file.rewind().map_err(|error| {
        Failure::usage(format!("{name} cannot be read twice: {}", reason(&error)))
            .hint("of several recordings the times are looked at first: write it to a file, and give that")
    })?;
    let reader = Reader::open(BufReader::with_capacity(PORTION, Box::new(file) as Box<dyn Read>));
    Ok(reader.map(|reader| Some(Found { began, part: Part { name, reader } })))
}

fn began(file: &File) -> Result<Option<MonoNs>, ReadError> {
    for entry in Reader::open(BufReader::with_capacity(PORTION, file))? {
        match entry? {
            Entry::Note(note) => {
                if let Note::Scene(scene) = *note {
                    return Ok(Some(scene.stock.began));
                }
            }
            Entry::Event(row) => return Ok(Some(row.mono())),
        }
    }
    Ok(None)
}

/// Whether both are of one host and boot, so that they have their pools in common.
fn is_together(one: &Part<Source>, other: &Part<Source>) -> bool {
    let of = |part: &Part<Source>| {
        let header = &part.reader.opening().header;
        (header.host.clone(), header.boot_id.clone())
    };
    of(one) == of(other)
}
