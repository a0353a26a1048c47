//! The cache over a made-up `/proc`.

mod hostile;

use std::{fs, os::unix::fs::symlink};

use tracer_ebpf::abi::{Record, present};
use zerocopy::IntoBytes as _;

use super::*;
use crate::event::decode;

const TICKS: u64 = 8_189_515;

/// A made-up `/proc`, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portscope-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn process(&self, pid: u32, comm: &str, exe: &str, ticks: u64) {
        let dir = self.0.join(pid.to_string());
        self.end(pid);
        fs::create_dir_all(&dir).unwrap();
        let stat = format!("{pid} ({comm}) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {ticks} 9 10\n");
        fs::write(dir.join("stat"), stat).unwrap();
        fs::write(dir.join("comm"), format!("{comm}\n")).unwrap();
        fs::write(dir.join("cgroup"), "0::/system.slice/app.service\n").unwrap();
        symlink(exe, dir.join("exe")).unwrap();
    }

    fn end(&self, pid: u32) {
        match fs::remove_dir_all(self.0.join(pid.to_string())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        assert!(fs::remove_dir_all(&self.0).is_ok() || std::thread::panicking());
    }
}

fn event(pid: u32, tid: u32, comm: &str, ticks: Option<u64>, mono_ms: u64) -> Event {
    let start = u32::try_from(((ticks.unwrap_or(0) * 10_000_000) >> 20) & 0xffff_ffff).unwrap();
    let present = present::COMM | if ticks.is_some() { present::START } else { 0 };
    let comm = Comm::from_name(comm.as_bytes()).0;
    let record = Record { pid, tid, comm, start, present, mono_ns: mono_ms * 1_000_000, ..Record::default() };
    decode(record.as_bytes()).unwrap()
}

fn seen(processes: &mut Processes, event: &Event) -> (Option<String>, Option<String>, Option<String>) {
    let process = processes.of(event);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    (owned(process.comm()), owned(process.exe()), owned(process.unit()))
}

fn some(comm: &str, exe: &str) -> (Option<String>, Option<String>, Option<String>) {
    (Some(comm.into()), Some(exe.into()), Some("app.service".into()))
}

#[test]
fn a_process_is_read_once_and_outlives_its_end() {
    let root = Root::new("once");
    root.process(7, "app", "/usr/bin/app", TICKS);
    let mut processes = Processes::new(&root.0);
    assert_eq!(seen(&mut processes, &event(7, 8, "worker", Some(TICKS), 0)), some("app", "/usr/bin/app"));
    root.end(7);
    assert_eq!(seen(&mut processes, &event(7, 7, "app", Some(TICKS), 900_000)), some("app", "/usr/bin/app"));
    assert_eq!(processes.len(), 1);
}

#[test]
fn a_process_that_is_gone_keeps_what_its_event_tells() {
    let root = Root::new("gone");
    let mut processes = Processes::new(&root.0);
    assert_eq!(seen(&mut processes, &event(7, 7, "curl", Some(TICKS), 0)), (Some("curl".into()), None, None));
    assert_eq!(seen(&mut processes, &event(8, 9, "worker", Some(TICKS), 0)), (None, None, None));
    assert_eq!(seen(&mut processes, &event(8, 8, "app", Some(TICKS), 1)), (Some("app".into()), None, None));
}

#[test]
fn a_reused_number_is_another_process() {
    let root = Root::new("reused");
    root.process(7, "new", "/new", TICKS + 100);
    let mut processes = Processes::new(&root.0);
    assert_eq!(seen(&mut processes, &event(7, 7, "old", Some(TICKS), 0)), (Some("old".into()), None, None));
    assert_eq!(seen(&mut processes, &event(7, 7, "new", Some(TICKS + 100), 0)), some("new", "/new"));
    assert_eq!(processes.len(), 2);
}

#[test]
fn without_a_start_a_number_is_believed_for_a_while() {
    let root = Root::new("ttl");
    root.process(7, "app", "/one", TICKS);
    let mut processes = Processes::new(&root.0);
    assert_eq!(seen(&mut processes, &event(7, 8, "x", None, 0)), some("app", "/one"));
    root.process(7, "app", "/two", TICKS + 500);
    assert_eq!(seen(&mut processes, &event(7, 8, "x", None, 4_999)), some("app", "/one"));
    assert_eq!(seen(&mut processes, &event(7, 8, "x", None, 5_000)), some("app", "/two"));
    assert_eq!(processes.len(), 1);
}

#[test]
fn an_exec_is_noticed_by_the_leaders_new_name() {
    let root = Root::new("exec");
    root.process(7, "sh", "/bin/sh", TICKS);
    let mut processes = Processes::new(&root.0);
    assert_eq!(seen(&mut processes, &event(7, 7, "sh", Some(TICKS), 0)), some("sh", "/bin/sh"));
    root.process(7, "curl", "/usr/bin/curl", TICKS);
    assert_eq!(seen(&mut processes, &event(7, 8, "worker", Some(TICKS), 200)), some("sh", "/bin/sh"));
    assert_eq!(seen(&mut processes, &event(7, 7, "curl", Some(TICKS), 201)), some("curl", "/usr/bin/curl"));
    root.end(7);
    let renamed = (Some("late".into()), None, Some("app.service".into()));
    assert_eq!(seen(&mut processes, &event(7, 7, "late", Some(TICKS), 401)), renamed);
}

#[test]
fn an_exec_right_after_an_event_is_noticed() {
    let root = Root::new("at-once");
    root.process(7, "sh", "/bin/sh", TICKS);
    let mut processes = Processes::new(&root.0);
    assert_eq!(seen(&mut processes, &event(7, 7, "sh", Some(TICKS), 0)), some("sh", "/bin/sh"));
    root.process(7, "curl", "/usr/bin/curl", TICKS);
    assert_eq!(seen(&mut processes, &event(7, 7, "curl", Some(TICKS), 0)), some("curl", "/usr/bin/curl"));
}

#[test]
fn the_executable_after_an_exec_is_not_told_of_the_name_before_it() {
    let root = Root::new("raced");
    let mut processes = Processes::new(&root.0);
    root.process(7, "curl", "/usr/bin/curl", TICKS);
    let before = (Some("sh".into()), None, Some("app.service".into()));
    assert_eq!(seen(&mut processes, &event(7, 7, "sh", Some(TICKS), 0)), before);
    assert_eq!(seen(&mut processes, &event(7, 7, "curl", Some(TICKS), 0)), some("curl", "/usr/bin/curl"));
}

#[test]
fn one_that_renames_itself_without_end_is_read_so_often_and_no_more() {
    let root = Root::new("restless");
    let mut processes = Processes::new(&root.0);
    let mut name = |name: &str, ms| {
        root.process(7, name, name, TICKS);
        seen(&mut processes, &event(7, 7, name, Some(TICKS), ms))
    };
    for each in ["0", "1", "2", "3", "4", "5", "6", "7", "8"] {
        assert_eq!(name(each, 0), some(each, each));
    }
    assert_eq!(name("9", 99), some("8", "8"));
    assert_eq!(name("9", 100), some("9", "9"));
    assert_eq!(name("10", 100), some("10", "10"));
}

#[test]
fn the_rest_of_a_longer_name_is_no_new_name() {
    let root = Root::new("rest");
    let mut processes = Processes::new(&root.0);
    processes.of(&event(7, 7, "ls", Some(TICKS), 0));
    root.process(7, "ls", "/bin/ls", TICKS);
    processes.of(&event(7, 7, "ls\0h", Some(TICKS), 500));
    assert_eq!(processes.of(&event(7, 7, "ls\0h", Some(TICKS), 900)).exe(), None);
}

#[test]
fn the_oldest_is_forgotten() {
    let root = Root::new("oldest");
    let mut processes = Processes::with_capacity(&root.0, 3);
    for pid in 1..=5 {
        processes.of(&event(pid, pid, "a", Some(TICKS), 0));
    }
    assert_eq!((processes.len(), processes.places.len()), (3, 3));
    root.process(5, "a", "/five", TICKS);
    root.process(1, "a", "/one", TICKS);
    assert_eq!(processes.of(&event(5, 5, "a", Some(TICKS), 1)).exe(), None);
    assert_eq!(processes.of(&event(1, 1, "a", Some(TICKS), 1)).exe(), Some("/one"));
}

#[test]
fn one_cgroup_is_shared_by_all_its_processes() {
    let root = Root::new("shared");
    let mut processes = Processes::new(&root.0);
    for pid in 1..=4 {
        root.process(pid, "a", "/a", TICKS);
        processes.of(&event(pid, pid, "a", Some(TICKS), 0));
    }
    assert_eq!(processes.cgroups.len(), 1);
    assert_eq!(processes.cgroups.values().map(Arc::strong_count).collect::<Vec<_>>(), [5]);
}
