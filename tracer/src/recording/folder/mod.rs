//! A folder of segments, never larger than it may be: the oldest make room for new ones.
//!
//! Only files with the names of segments are ever counted or removed. What cannot be written whole is cut off again, so
//! that a segment ends where a message does.

mod dumps;
mod name;
mod splice;

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

pub use dumps::Dumps;
use rustix::fs::FlockOperation;
pub use splice::Splice;

use super::frame;
use crate::enrich::UtcNs;

/// Disks give room in blocks.
const BLOCK: u64 = 4096;
/// Room of the folder itself.
const OWN: u64 = 4 * BLOCK;

/// Why a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made or read.
    #[error("cannot keep recordings in {}: {source}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no folder.
    #[error("{} is no directory", path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// Another recorder has it.
    #[error("another flight recorder is writing to {}", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

/// A file with a part of the recording.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// Its length.
    bytes: u64,
    /// When it was written last, by the clock.
    written: SystemTime,
    /// What this run knows of it; none of one that it found.
    own: Option<Own>,
}

/// Of a segment of this run.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// Where its first batch begins.
    head: u64,
    /// Where its last batch ends.
    end: u64,
    /// When it was written last.
    last: Instant,
}

impl Segment {
    fn room(&self) -> u64 {
        room(self.bytes)
    }
}

/// Room that so many bytes take.
fn room(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}

/// What bounds a folder.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes that it may have.
    pub size: u64,
    /// How long segments are kept; as long as there is room, if nothing is said.
    pub keep: Option<Duration>,
    /// What is younger stays, even when the disk is full.
    pub window: Duration,
}

/// The segments, and the one that is being written.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    bounds: Bounds,
    /// The oldest first.
    closed: VecDeque<Segment>,
    current: Option<(File, Segment)>,
    /// Held as long as this is.
    _lock: File,
}

/// Makes a folder for this user alone, unless it is there.
fn make(path: &Path) -> Result<(), FolderError> {
    let unusable = |source| FolderError::Unusable { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(_) => Err(FolderError::NoFolder { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)
        }
        Err(error) => Err(unusable(error)),
    }
}

impl Folder {
    /// Takes a folder, which is made if there is none; segments of earlier runs count.
    ///
    /// # Errors
    ///
    /// It cannot be had.
    pub fn open(path: &Path, bounds: Bounds) -> Result<Self, FolderError> {
        make(path)?;
        let unusable = |source| FolderError::Unusable { path: path.to_owned(), source };
        let lock = File::open(path).map_err(unusable)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                FolderError::Taken { path: path.to_owned() }
            } else {
                unusable(error.into())
            }
        })?;
        let mut closed: Vec<Segment> = Vec::new();
        for entry in fs::read_dir(path).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            let is_ours = entry.file_name().to_str().is_some_and(name::is_segment);
            if let Ok(about) = entry.metadata()
                && is_ours
                && about.is_file()
            {
                let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                closed.push(Segment { path: entry.path(), bytes: about.len(), written, own: None });
            }
        }
        closed.sort_by(|one, other| one.path.cmp(&other.path));
        let mut folder =
            Self { path: path.to_owned(), bounds, closed: closed.into(), current: None, _lock: lock };
        folder.make_room(0).map_err(unusable)?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Room that all segments take.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used_with(0)
    }

    /// The same when so many bytes have come to the one that is being written.
    fn used_with(&self, bytes: u64) -> u64 {
        let current = self.current.as_ref().map_or(0, |(_, segment)| segment.bytes);
        let closed = self.closed.iter().map(Segment::room);
        closed.chain([room(current.saturating_add(bytes))]).fold(OWN, u64::saturating_add)
    }

    /// Bytes of the segment that is being written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.current.as_ref().map_or(0, |(_, segment)| segment.bytes)
    }

    /// Begins a segment with these bytes; the one before it is over.
    ///
    /// # Errors
    ///
    /// There is no room, or the disk does not take it.
    pub fn begin(&mut self, at: UtcNs, boot: &str, first: &[u8]) -> io::Result<()> {
        self.close();
        self.make_room(len(first))?;
        let mut at = at;
        let (file, path) = loop {
            let path = self.path.join(name::segment(at, boot));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => break (file, path),
                // The clock was set back.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    at = UtcNs(at.0.saturating_add(1_000));
                }
                Err(error) => return Err(error),
            }
        };
        let head = frame::head(first);
        let own = Own { head, end: head, last: Instant::now() };
        let segment = Segment { path, bytes: 0, written: SystemTime::now(), own: Some(own) };
        self.current = Some((file, segment));
        let done = self.append(first);
        if done.is_err()
            && let Some((_, segment)) = self.current.take()
        {
            // Nothing of it was written.
            drop(fs::remove_file(&segment.path));
        }
        done
    }

    /// Appends whole messages to the segment that is being written: all of them, or none.
    ///
    /// # Errors
    ///
    /// There is no room, or the disk does not take them.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.make_room(len(bytes))?;
        loop {
            let Some((file, segment)) = &mut self.current else {
                return Err(io::Error::other("no segment was begun"));
            };
            let Err(error) = file.write_all(bytes) else {
                segment.bytes = segment.bytes.saturating_add(len(bytes));
                segment.written = SystemTime::now();
                if let Some(own) = &mut segment.own {
                    (own.end, own.last) = (segment.bytes, Instant::now());
                }
                return Ok(());
            };
            // A part of a message is worth nothing.
            file.set_len(segment.bytes)?;
            io::Seek::seek(file, io::SeekFrom::Start(segment.bytes))?;
            let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            if !is_full || !self.give_up_oldest(true)? {
                return Err(error);
            }
        }
    }

    /// Ends the segment that is being written, with these bytes, the end among them.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub fn end(&mut self, last: &[u8]) -> io::Result<()> {
        let done = self.append(last);
        if done.is_ok()
            && let Some((_, segment)) = &mut self.current
            && let Some(own) = &mut segment.own
        {
            own.end = own.end.saturating_sub(len(&frame::END));
        }
        self.close();
        done
    }

    /// The segment that is being written is over as it is.
    pub fn close(&mut self) {
        if let Some((_, segment)) = self.current.take() {
            self.closed.push_back(segment);
        }
    }

    /// Drops what is too old.
    ///
    /// # Errors
    ///
    /// A file cannot be removed.
    pub fn age(&mut self) -> io::Result<()> {
        let Some(keep) = self.bounds.keep else { return Ok(()) };
        let is_old = |segment: &Segment| segment.written.elapsed().is_ok_and(|age| age > keep);
        while self.closed.front().is_some_and(is_old) {
            self.give_up_oldest(false)?;
        }
        Ok(())
    }

    /// Free bytes of the disk.
    #[must_use]
    pub fn free(&self) -> u64 {
        rustix::fs::statvfs(&self.path).map_or(0, |about| about.f_bavail.saturating_mul(about.f_frsize))
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        while self.used_with(bytes) > self.bounds.size {
            if !self.give_up_oldest(false)? {
                return Err(io::Error::other(
                    "the ring is full: its segments came faster than they could end",
                ));
            }
        }
        Ok(())
    }

    /// Removes the oldest segment; whether there was one. With `spares` the window stays.
    fn give_up_oldest(&mut self, spares: bool) -> io::Result<bool> {
        let window = self.bounds.window;
        let is_spared =
            |segment: &Segment| spares && segment.written.elapsed().map_or(true, |age| age <= window);
        let Some(oldest) = self.closed.front().filter(|segment| !is_spared(segment)) else {
            return Ok(false);
        };
        match fs::remove_file(&oldest.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.closed.pop_front();
        Ok(true)
    }

    /// What this run has written since then, as one recording.
    ///
    /// # Errors
    ///
    /// A segment cannot be read.
    pub fn since(&self, since: Instant) -> io::Result<Splice> {
        let all = self.closed.iter().chain(self.current.iter().map(|(_, segment)| segment));
        let wanted =
            all.filter_map(|segment| Some((segment, segment.own?))).filter(|(_, own)| own.last >= since);
        let parts = wanted.map(|(segment, own)| Ok((File::open(&segment.path)?, own.head, own.end)));
        Splice::of(parts.collect::<io::Result<Vec<_>>>()?)
    }
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
