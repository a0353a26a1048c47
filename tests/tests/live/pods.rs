//! Containers and pods by the cgroups that kubelets and container runtimes make.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::cgroups::Cgroups;
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

/// A workload that waits in a cgroup of this path.
fn wait_in(cgroups: &Cgroups, path: &str) -> Result<Workload> {
    let workload = Workload::ready(&CONNECTS)?;
    cgroups.put(path, workload.hello().pid)?;
    Ok(workload)
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
        places().into_iter().map(|place| Ok((wait_in(&cgroups, &place.0)?, place))).collect::<Result<_>>()?;
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
    let wanted = wait_in(&cgroups, &format!("kubepods/burstable/pod{POD}/{ID}"))?;
    let other = wait_in(&cgroups, &format!("kubepods/burstable/pod{}/{ID}", POD.replace('3', "4")))?;
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
        waiting.push(wait_in(&cgroups, &format!("kubepods/burstable/pod{POD}/{id}"))?);
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
