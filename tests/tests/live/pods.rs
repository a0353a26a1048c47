//! Containers and pods by the cgroups that kubelets and container runtimes make.

use std::path::{Path, PathBuf};
use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use serde_json::json;

per_backend! {
    a_process_is_told_with_its_container_and_its_pod,
    a_pod_is_shown_alone,
    containers_of_a_pod_are_one_row_by_pod,
}

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const POD: &str = "3c2fa1f5-4f0f-4c43-9d0c-1f1f6f1e2b3a";
/// It lives for as long as its cgroup has to be read.
const CONNECTS: [&str; 7] = ["--netns", "own", "connects", "--count", "5", "--every-ms", "400"];

/// Cgroups below one of our own, gone with it.
pub(crate) struct Cgroups(PathBuf);

impl Cgroups {
    pub(crate) fn make() -> Result<Self> {
        // A mount point need not be text.
        let mounts = fs::read("/proc/self/mountinfo")?;
        let mounts = String::from_utf8_lossy(&mounts);
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 ")).context("no cgroup version 2")?;
        let mount = Path::new(line.split(' ').nth(4).context("no mount point")?);
        let path = mount.join(format!("portscope-pods.{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    /// A workload that waits in a cgroup of this path.
    fn waiting(&self, path: &str) -> Result<Workload> {
        let workload = Workload::ready(&CONNECTS)?;
        self.put(path, workload.hello().pid)?;
        Ok(workload)
    }

    /// Puts a process into a cgroup of this path.
    pub(crate) fn put(&self, path: impl AsRef<Path>, pid: u32) -> Result<()> {
        let folder = self.0.join(path);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(fs::write(folder.join("cgroup.procs"), pid.to_string())?)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // What has just been left by a process is busy for a moment.
        for _ in 0..50 {
            if remove(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove(&path)?;
        }
    }
    fs::remove_dir(folder)
}

/// Cgroups of the drivers and runtimes, with the container and the pod that they name.
fn places() -> Vec<(String, Option<&'static str>, Option<&'static str>)> {
    let low = POD.replace('-', "_");
    let slices = format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{low}.slice");
    vec![
        (format!("{slices}/cri-containerd-{ID}.scope"), Some(ID), Some(POD)),
        (format!("{slices}/crio-{ID}.scope/container"), Some(ID), Some(POD)),
        (format!("kubepods/burstable/pod{POD}/{ID}"), Some(ID), Some(POD)),
        (format!("kubepods/besteffort/pod{POD}"), None, Some(POD)),
        (format!("system.slice/docker-{ID}.scope/kubepods/pod{POD}/{ID}"), Some(ID), Some(POD)),
        (format!("system.slice/docker-{ID}.scope"), Some(ID), None),
        (format!("machine.slice/libpod-{ID}.scope/container"), Some(ID), None),
        ("kubepods.slice/kubepods-burstable.slice".to_owned(), None, None),
    ]
}

fn a_process_is_told_with_its_container_and_its_pod(live: &Live) -> Result<()> {
    let cgroups = Cgroups::make()?;
    let waiting: Vec<_> =
        places().into_iter().map(|place| Ok((cgroups.waiting(&place.0)?, place))).collect::<Result<_>>()?;
    let tracer = live.tracer(&[])?;
    let done: Vec<_> =
        waiting.iter().map(|(workload, place)| (workload.hello().pid, place.clone())).collect();
    let ended: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> =
            waiting.into_iter().map(|(workload, _)| scope.spawn(|| workload.go())).collect();
        running.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    for one in ended {
        one.ok().context("a thread panicked")??;
    }
    let capture = tracer.stop()?;
    for (pid, (path, container, pod)) in done {
        let events = capture.of(pid);
        ensure!(events.len() >= 5, "{path}: {} events", events.len());
        for event in events {
            let told = (event.text("container"), event.text("pod"));
            ensure!(told == (container, pod), "{path}: {told:?}, not {:?}", (container, pod));
        }
    }
    Ok(())
}

fn a_pod_is_shown_alone(live: &Live) -> Result<()> {
    let cgroups = Cgroups::make()?;
    let wanted = cgroups.waiting(&format!("kubepods/burstable/pod{POD}/{ID}"))?;
    let other = cgroups.waiting(&format!("kubepods/burstable/pod{}/{ID}", POD.replace('3', "4")))?;
    let (pid, stranger) = (wanted.hello().pid, other.hello().pid);
    let tracer = live.tracer(&["--pod", "3c2fa1f5"])?;
    other.go()?;
    wanted.go()?;
    let capture = tracer.stop()?;
    ensure!(capture.of(pid).len() >= 5, "{} events of the pod", capture.of(pid).len());
    ensure!(capture.of(stranger).is_empty(), "--pod lets process {stranger} pass");
    ensure!(capture.accounting()?.filtered >= 5, "{:?}", capture.accounting()?);
    Ok(())
}

fn containers_of_a_pod_are_one_row_by_pod(live: &Live) -> Result<()> {
    let cgroups = Cgroups::make()?;
    let mut waiting = Vec::new();
    for id in [ID.to_owned(), ID.replace('0', "f")] {
        waiting.push(cgroups.waiting(&format!("kubepods/burstable/pod{POD}/{id}"))?);
    }
    let backend = live.backend().to_string();
    let tracer = Tracer::start_command(live.scratch(), "report", &["--backend", &backend, "--by", "pod"])?;
    for workload in waiting {
        workload.go()?;
    }
    let document = tracer.stop_with_document()?;
    let rows = document["processes"].as_array().context("no rows")?;
    let of_pod: Vec<_> = rows.iter().filter(|row| row["pod"] == POD).collect();
    ensure!(of_pod.len() == 1, "{of_pod:#?}");
    let row = of_pod[0];
    ensure!((&row["processes"], &row["container"]) == (&json!(2), &json!(null)), "{row:#}");
    ensure!(row["allocations"].as_u64() >= Some(10), "{row:#}");
    Ok(())
}
