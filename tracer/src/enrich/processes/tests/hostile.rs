//! A `/proc` of any bytes: what processes call themselves, and what is left of one that ends while it is read.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::enrich::misleads;

/// What stands in a file; more than is ever read of one, too.
fn content() -> impl Strategy<Value = Option<Vec<u8>>> {
    let long = (any::<u8>(), 60_000_usize..200_000).prop_map(|(byte, length)| vec![byte; length]);
    option::weighted(0.9, prop_oneof![8 => vec(any::<u8>(), 0..300), 1 => long])
}

/// Bytes that a name may have, the worst of them often.
fn name(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let worst = prop::sample::select(b")( \n\r\t\x1b\x07\"\\':/\xff\xc2\x9b\xe2\x80\xae".to_vec());
    vec(prop_oneof![worst, 1_u8..], 1..most)
}

/// A link of any bytes but NUL.
fn link(dir: &Path, target: &[u8]) {
    symlink(OsStr::from_bytes(target), dir.join("exe")).unwrap();
}

fn put(root: &Root, files: [(&str, Option<&[u8]>); 3]) -> PathBuf {
    root.end(7);
    let dir = root.0.join("7");
    fs::create_dir_all(&dir).unwrap();
    for (name, bytes) in files {
        if let Some(bytes) = bytes {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
    dir
}

/// What is told of a process is JSON, and no terminal obeys any of it.
fn is_harmless(process: &Process) {
    let json = format!("{{{},{},{}}}", process.json_comm(), process.json_exe(), process.json_place());
    assert!(!json.contains(misleads), "{json:?}");
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((told["comm"].as_str(), told["exe"].as_str()), (process.comm(), process.exe()));
    assert_eq!((told["unit"].as_str(), told["container"].as_str()), (process.unit(), process.container()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_stands_there_is_read_or_left(
        stat in content(),
        comm in content(),
        cgroup in content(),
        exe in option::of(name(300)),
        has_start: bool,
    ) {
        let root = Root::new("any");
        let dir = put(&root, [("stat", stat.as_deref()), ("comm", comm.as_deref()), ("cgroup", cgroup.as_deref())]);
        if let Some(target) = &exe {
            link(&dir, target);
        }
        let mut processes = Processes::new(&root.0);
        for (tid, name) in [(7, "app"), (8, "worker")] {
            let process = processes.of(&event(7, tid, name, has_start.then_some(TICKS), 0));
            is_harmless(process);
            let most = 16 * '\u{fffd}'.len_utf8();
            prop_assert!(process.comm().is_none_or(|comm| comm.len() <= most));
        }
        if let Some(alive) = Process::alive(&root.0, Pid(7)) {
            is_harmless(&alive);
        }
    }

    #[test]
    fn any_name_is_told_of_its_own_process_and_of_no_other(comm in name(15), exe in name(255), group in name(255)) {
        let root = Root::new("names");
        let stat = [b"7 (", comm.as_slice(), b") S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 "].concat();
        let stat = [stat, format!("{TICKS} 9 10\n").into_bytes()].concat();
        let of_comm = [comm.as_slice(), b"\n"].concat();
        // The kernel refuses a cgroup with an end of a line in its name.
        let group: Vec<u8> = group.into_iter().filter(|byte| *byte != b'\n').collect();
        let cgroup = [b"0::/", group.as_slice(), b"\n"].concat();
        let dir = put(&root, [("stat", Some(&stat)), ("comm", Some(&of_comm)), ("cgroup", Some(&cgroup))]);
        link(&dir, &exe);
        let mut processes = Processes::new(&root.0);
        let mut record = Record { pid: 7, tid: 8, present: present::COMM | present::START, ..Record::default() };
        record.start = u32::try_from(((TICKS * 10_000_000) >> 20) & 0xffff_ffff).unwrap();
        let told = processes.of(&decode(record.as_bytes()).unwrap()).clone();
        is_harmless(&told);
        prop_assert_eq!(told.comm(), Some(&*String::from_utf8_lossy(&comm)));
        prop_assert_eq!(told.exe(), Some(&*String::from_utf8_lossy(&exe)));
        let path = told.cgroup().and_then(Cgroup::path);
        prop_assert_eq!(path, Some(&*format!("/{}", String::from_utf8_lossy(&group))));
        record.start = record.start.wrapping_add(1_000);
        let other = processes.of(&decode(record.as_bytes()).unwrap());
        prop_assert_eq!((other.comm(), other.exe(), other.cgroup()), (None, None, None));
    }
}
