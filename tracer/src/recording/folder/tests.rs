use std::io::Read as _;

use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn of(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portscope-{}-folder-{test}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn bounds(blocks: u64) -> Bounds {
    Bounds { size: OWN + blocks * BLOCK, keep: None, window: Duration::from_mins(5) }
}

/// A message without a body: its header is what follows the first 8 bytes.
fn head() -> Vec<u8> {
    let mut head = vec![0xff, 0xff, 0xff, 0xff, 8, 0, 0, 0];
    head.extend_from_slice(b"opening.");
    head
}

fn at(second: i64) -> UtcNs {
    UtcNs(1_795_000_000_000_000_000 + second * 1_000_000_000)
}

fn fill(folder: &mut Folder, second: i64, bytes: usize) {
    folder.begin(at(second), "0a1b2c3d", &head()).unwrap();
    folder.append(&vec![b'a'; bytes]).unwrap();
    folder.end(&frame::END).unwrap();
}

#[test]
fn the_oldest_segments_make_room_and_files_of_others_stay() {
    let scratch = Scratch::of("room");
    let mut folder = Folder::open(&scratch.0, bounds(6)).unwrap();
    for name in ["notes.txt", "portscope-old.arrows"] {
        fs::write(scratch.0.join(name), vec![0; 100_000]).unwrap();
    }
    for second in 0..9 {
        fill(&mut folder, second, 5_000);
        assert!(folder.used() <= OWN + 6 * BLOCK);
    }
    let names = scratch.names();
    assert_eq!(names.len(), 2 + 3, "{names:?}");
    assert!(names[1].contains('T') && names.contains(&"notes.txt".to_owned()), "{names:?}");
    // What one run left counts in the next.
    drop(folder);
    let folder = Folder::open(&scratch.0, bounds(3)).unwrap();
    assert_eq!((folder.used(), scratch.names().len()), (OWN + 2 * BLOCK, 3));
}

#[test]
fn a_segment_that_alone_is_too_long_takes_no_more() {
    let scratch = Scratch::of("long");
    let mut folder = Folder::open(&scratch.0, bounds(2)).unwrap();
    folder.begin(at(0), "0a1b2c3d", &head()).unwrap();
    assert!(folder.append(&[0; 9_000]).unwrap_err().to_string().contains("the ring is full"));
    folder.append(&[0; 3_000]).unwrap();
}

#[test]
fn what_is_too_old_goes() {
    let scratch = Scratch::of("old");
    let mut folder =
        Folder::open(&scratch.0, Bounds { keep: Some(Duration::from_hours(1)), ..bounds(100) }).unwrap();
    (0..3).for_each(|second| fill(&mut folder, second, 10));
    folder.age().unwrap();
    assert_eq!(folder.closed.len(), 3);
    let long_ago = SystemTime::now().checked_sub(Duration::from_hours(2)).unwrap();
    folder.closed[0].written = long_ago;
    folder.age().unwrap();
    assert_eq!((folder.closed.len(), scratch.names().len()), (2, 2));
}

#[test]
fn two_recorders_do_not_share_a_folder() {
    let scratch = Scratch::of("lock");
    let folder = Folder::open(&scratch.0, bounds(2)).unwrap();
    let second = Folder::open(&scratch.0, bounds(2)).unwrap_err();
    assert!(matches!(second, FolderError::Taken { .. }), "{second}");
    drop(folder);
    assert!(Folder::open(&scratch.0, bounds(2)).is_ok());
    let file = scratch.0.join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Folder::open(&file, bounds(2)).unwrap_err(), FolderError::NoFolder { .. }));
}

#[test]
fn a_splice_has_the_first_header_and_the_batches_of_the_window() {
    let scratch = Scratch::of("splice");
    let mut folder = Folder::open(&scratch.0, bounds(100)).unwrap();
    for (second, text) in [(0, "one."), (1, "two."), (2, "three.")] {
        folder.begin(at(second), "0a1b2c3d", &head()).unwrap();
        folder.append(text.as_bytes()).unwrap();
        folder.end(&frame::END).unwrap();
    }
    folder.begin(at(3), "0a1b2c3d", &head()).unwrap();
    folder.append(b"four.").unwrap();
    let text = |folder: &Folder, since| {
        let mut text = Vec::new();
        folder.since(since).unwrap().read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text[16..]).into_owned()
    };
    let now = Instant::now();
    let before = now.checked_sub(Duration::from_mins(1)).unwrap();
    assert_eq!(text(&folder, before), "one.two.three.four.");
    folder.closed[0].own.as_mut().unwrap().last = before;
    assert_eq!(text(&folder, before + Duration::from_secs(1)), "two.three.four.");
    assert!(folder.since(now + Duration::from_secs(9)).unwrap().is_empty());
}

#[test]
fn dumps_are_bounded_and_those_of_others_stay() {
    let scratch = Scratch::of("dumps");
    let dumps = Dumps::open(&scratch.0, 2).unwrap();
    fs::write(scratch.0.join("portscope-dump-mine.arrows"), "").unwrap();
    for second in 0..4 {
        let path = dumps.write(at(second), "PS001", &mut &b"all"[..], b" of it").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "all of it");
    }
    let names = scratch.names();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[1].ends_with("-PS001.arrows"), "{names:?}");
}
