//! Findings about settings, told by `check`: each provoked, and gone once its printed command was run. And what
//! `--fail-on` makes of findings.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::deadline;
use portscope_tests::invocation::{self, portscope};
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::{Manner, OFF_LOOPBACK, Space, Task, Told, Way, shell, tools};
use portscope_tests::{alone, per_backend, program};
use serde_json::Value;

use super::{Report, at, check, succeeds};

alone! {
    a_listener_inside_the_range_is_told_until_it_is_reserved => exposed_listener,
    reuse_without_timestamps_is_told_until_they_are_on => idle_reuse,
    a_narrow_range_is_told_and_the_default_one_is_not => narrow_range,
    node_ports_in_the_range_are_told_where_a_kubelet_runs => node_ports,
    findings_make_a_check_fail_by_severity_and_by_number => check_status,
}

per_backend! {
    findings_make_a_report_fail_by_severity_and_by_number,
    a_healthy_host_is_ok,
}

const USUAL: &str = "32768-60999";

/// Runs the first command of a finding; false where the tools for it are missing.
fn follow(live: &Live, finding: &Value) -> Result<bool> {
    let command = finding["commands"][0]["run"].as_str().context("no command")?;
    if !live.has(Need::Tools, tools(&["nsenter", "sysctl"]))? {
        return Ok(false);
    }
    shell(command)?;
    Ok(true)
}

fn exposed_listener(live: &Live) -> Result<()> {
    let space = Space::with_range(USUAL)?;
    let (mut grpc, mut low) = (space.actor("grpc-server")?, space.actor("low")?);
    grpc.must_take(Task::new(Way::Listen).from(at("0.0.0.0:50051")))?;
    low.must_take(Task::new(Way::Listen).from(at("0.0.0.0:8080")))?;
    let told = check(live, space.id())?;
    let finding = told.finding("PS006", space.id())?;
    ensure!(finding["evidence"]["ports"] == serde_json::json!([50_051]), "{finding}");
    ensure!(finding["severity"] == "info" && finding["lint"] == true, "{finding}");
    Told::says(finding, &["grpc-server listens on 50051, inside the range, not reserved"])?;
    if follow(live, finding)? {
        check(live, space.id())?.silent("PS006", space.id())?;
    }
    Ok(())
}

fn idle_reuse(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    space.set("net/ipv4/tcp_tw_reuse", "1")?;
    space.set("net/ipv4/tcp_timestamps", "0")?;
    let away = format!("{OFF_LOOPBACK}:7001");
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(at(&away), Manner::CloseLast)?;
    client.must_take(Task::connect(at(&away)).times(10).closing())?;
    check(live, space.id())?.silent("PS012", space.id())?;
    client.must_take(Task::connect(at(&away)).times(10).closing())?;
    // The server closes behind the client, in its own time.
    deadline::until("20 TIME_WAITs", Duration::from_secs(5), || {
        Ok((space.time_waits(None)? == 20).then_some(()))
    })?;
    let told = check(live, space.id())?;
    let finding = told.finding("PS012", space.id())?;
    ensure!(finding["evidence"]["time_wait_share"] == 20.0 / 64.0, "{finding}");
    Told::says(finding, &["tcp_tw_reuse=1 does nothing while tcp_timestamps=0; 31.2 %"])?;
    if follow(live, finding)? {
        check(live, space.id())?.silent("PS012", space.id())?;
    }
    Ok(())
}

fn narrow_range(live: &Live) -> Result<()> {
    let narrow = Space::with_range("40000-49998")?;
    let told = check(live, narrow.id())?;
    let finding = told.finding("PS013", narrow.id())?;
    ensure!(finding["severity"] == "warning" && finding["evidence"]["same_parity"] == true, "{finding}");
    Told::says(
        finding,
        &["the range 40000-49998 has 9,999 ports", "166/s per destination", "one port more"],
    )?;
    if follow(live, finding)? {
        check(live, narrow.id())?.silent("PS013", narrow.id())?;
    }
    let usual = Space::with_range(USUAL)?;
    check(live, usual.id())?.silent("PS013", usual.id())
}

/// A container of one's own, so that the namespace is that of the first process: the host, as far as it is seen
/// from inside.
fn node_ports(live: &Live) -> Result<()> {
    if !live.has(Need::Tools, tools(&["unshare", "sysctl"]))? {
        return Ok(());
    }
    let [with, moved, without] = ["with", "moved", "without"].map(|name| live.scratch().file(name));
    let portscope = program::portscope()?;
    let script = format!(
        "set -e\n\
         sysctl -qw net.ipv4.ip_local_port_range='30000 60999'\n\
         check() {{ {portscope} check -o json >\"$1\"; }}\n\
         check {without}\n\
         sleep 60 | {workload} --comm kubelet obey >/dev/null & kubelet=$!\n\
         tries=0\n\
         until grep -qx kubelet /proc/[0-9]*/comm; do\n\
           tries=$((tries + 1)); [ $tries -lt 500 ]; sleep 0.02\n\
         done\n\
         check {with}\n\
         sysctl -qw net.ipv4.ip_local_port_range='32768 60999'\n\
         check {moved}\n",
        portscope = portscope.display(),
        workload = program::workload()?.display(),
        without = without.display(),
        with = with.display(),
        moved = moved.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--fork", "--pid", "--net", "--mount-proc", "sh", "-c", &script]);
    succeeds(&invocation::run(live.scratch(), command)?)?;
    let read = |file: &std::path::Path| -> Result<Told> {
        Ok(Told(serde_json::from_str(&fs::read_to_string(file)?)?))
    };
    let told = read(&with)?;
    let finding = told.any("PS008")?;
    ensure!(finding["evidence"]["overlap"] == 2_768 && finding["severity"] == "warning", "{finding}");
    let run = finding["commands"][0]["run"].as_str().context("no command")?;
    ensure!(run == "sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"", "{run}");
    Told::says(finding, &["2,768 NodePorts (30000-32767) are inside the range", "kubelet runs"])?;
    for file in [moved, without] {
        ensure!(read(&file)?.any("PS008").is_err(), "PS008 is told in {}", file.display());
    }
    Ok(())
}

/// A space whose one pool is full.
fn full() -> Result<(Space, Vec<portscope_tests::scenario::Actor>)> {
    let space = Space::with_range("40000-40063")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(at("127.0.0.1:7001"), Manner::Keep)?;
    client.must_take(Task::connect(at("127.0.0.1:7001")).times(64))?;
    Ok((space, vec![server, client]))
}

fn check_status(live: &Live) -> Result<()> {
    let (space, _actors) = full()?;
    let calm = Space::with_range(USUAL)?;
    for (netns, on, status) in [
        (space.id(), "critical", 3),
        (space.id(), "info", 3),
        (space.id(), "PS001", 3),
        (space.id(), "PS005", 0),
        (calm.id(), "info", 0),
        (calm.id(), "PS001,critical", 0),
    ] {
        let ended = portscope(live.scratch(), &["check", "-N", &netns.to_string(), "--fail-on", on])?;
        ensure!(ended.status == Some(status), "--fail-on {on}: {:?} {}", ended.status, ended.stdout);
    }
    Ok(())
}

fn findings_make_a_report_fail_by_severity_and_by_number(live: &Live) -> Result<()> {
    let (_space, _actors) = full()?;
    for (on, own, status) in [("critical", "3", 3), ("PS001", "9", 9), ("PS021", "3", 0)] {
        let backend = live.backend().word();
        let args = ["report", "-d", "1s", "--backend", backend, "--fail-on", on, "--fail-status", own];
        let ended = portscope(live.scratch(), &args)?;
        ensure!(ended.status == Some(status), "--fail-on {on}: {:?} {}", ended.status, ended.stdout);
        ensure!(ended.stdout.starts_with("EXHAUSTED"), "{}", ended.stdout);
        ensure!((status == 0) != ended.stderr.contains("--fail-on is met"), "{}", ended.stderr);
    }
    Ok(())
}

fn a_healthy_host_is_ok(live: &Live) -> Result<()> {
    let space = Space::with_range(USUAL)?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(at("127.0.0.1:7001"), Manner::CloseFirst)?;
    let report = Report::begin(live, &[])?;
    client.must_take(Task::connect(at("127.0.0.1:7001")).times(20).every_ms(20))?;
    client.must_take(Task::new(Way::Udp).to(at("127.0.0.1:53")).times(5))?;
    client.must_take(Task::new(Way::Listen).times(2))?;
    let told = report.end()?;
    // Of whatever else the machine does, nothing is said here: the verdict is that of the whole host.
    let said: Vec<&Value> = told.of(space.id()).filter(|one| one["lint"] != true).collect();
    ensure!(said.is_empty(), "{said:?}");
    if told.findings().all(|one| one["lint"] == true) {
        ensure!(told.0["verdict"]["word"] == "OK", "{}", told.0["verdict"]);
        let reason = told.0["verdict"]["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("ports given out") && reason.contains("none refused"), "{reason}");
    }
    let text = portscope(live.scratch(), &["check", "-N", &space.id().to_string()])?;
    succeeds(&text)?;
    ensure!(text.stdout.starts_with("OK  no pool above 1 %, nothing near a limit"), "{}", text.stdout);
    let wide = text.stdout.lines().find(|line| line.chars().count() > 110);
    ensure!(wide.is_none(), "wider than 110 columns: {wide:?}");
    let told = check(live, space.id())?;
    ensure!(told.findings().all(|one| one["lint"] == true), "{}", told.0["findings"]);
    Ok(())
}
