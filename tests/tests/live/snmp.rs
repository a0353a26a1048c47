//! The kernel's own count of connects: `Tcp: ActiveOpens` of the namespace.

use anyhow::{Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::workload::Workload;

per_backend! {
    successful_connects_are_as_many_as_the_kernel_counts,
}

fn successful_connects_are_as_many_as_the_kernel_counts(live: &Live) -> Result<()> {
    let count = live.scaled(20_000).to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count, "--threads", "2"])?;
    let (pid, netns) = (workload.hello().pid, workload.hello().netns);
    let tracer = live.tracer(&["--netns", &netns.to_string(), "--site", "connect"])?;
    let truth = workload.go()?;
    let capture = tracer.stop()?;
    let accounting = capture.accounting()?;
    let summary = truth.summary()?;
    ensure!(summary.active_opens == summary.connects - summary.failures, "the kernel itself: {summary:?}");
    let had = capture.total("totals.by_site.connect")? - capture.total("totals.failures")?;
    ensure!(had == summary.active_opens, "totals tell {had} of {summary:?}");
    let ok = |event: &&portscope_tests::trace::Event| event.text("result") == Some("ok");
    let shown = capture.of(pid).into_iter().filter(ok).count() as u64;
    if accounting.lost == 0 {
        ensure!(shown == summary.active_opens, "{shown} events of {summary:?}");
    } else {
        ensure!(
            shown + accounting.lost >= summary.active_opens,
            "{shown} events: {accounting:?}, {summary:?}"
        );
    }
    Ok(())
}
