//! JSON Lines: the first line, the last, and every field of every record between.

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::{Capture, Event};
use portscope_tests::workload::Workload;
use serde_json::Value;

per_backend! {
    every_record_has_every_field,
    every_time_is_rfc_3339_and_within_the_recording,
    a_field_that_is_always_null_is_listed_as_unavailable,
    the_header_says_what_was_traced,
}

const HEADER: [&str; 11] = [
    "type",
    "schema",
    "version",
    "host",
    "kernel",
    "boot_id",
    "started",
    "backend",
    "fields_unavailable",
    "netns",
    "filters",
];
const ALLOCATION: [&str; 35] = [
    "type",
    "ts",
    "mono_us",
    "site",
    "result",
    "error",
    "cause",
    "proto",
    "family",
    "pid",
    "tid",
    "uid",
    "comm",
    "thread_comm",
    "exe",
    "netns",
    "cgroup_id",
    "unit",
    "container",
    "pod",
    "kernel_socket",
    "local_addr",
    "local_port",
    "requested_port",
    "remote_addr",
    "remote_port",
    "search_ns",
    "candidates",
    "candidates_exact",
    "collisions",
    "crossed_half",
    "range",
    "options",
    "time_wait_reused",
    "socket",
];
const FOOTER: [&str; 10] =
    ["type", "seen", "emitted", "filtered", "lost", "missed", "ended", "self", "totals", "lost_by"];
const SELF: [&str; 3] = ["cpu_s", "rss_bytes", "kernel_ns_per_event"];

fn sites(live: &Live) -> Result<(u32, Capture)> {
    // What the tracer learns of a process it asks of /proc, so that one stays until all its events are read.
    let mut workload = Workload::ready(&["sites", "--protocols", "tcp,udp", "--stay"])?;
    let tracer = live.tracer(&["--explicit"])?;
    let truth = workload.go_and_stay()?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    Ok((truth.operations[0].pid, capture))
}

fn must_have(event: &Event, fields: &[&str]) -> Result<()> {
    let missing: Vec<_> = fields.iter().filter(|field| event.value(field).is_none()).collect();
    ensure!(missing.is_empty(), "{missing:?} are missing: {:?}", event.0);
    Ok(())
}

fn every_record_has_every_field(live: &Live) -> Result<()> {
    let (_, capture) = sites(live)?;
    must_have(&capture.header, &HEADER)?;
    must_have(&capture.footer, &FOOTER)?;
    let own = capture.footer.value("self").and_then(Value::as_object).context("self is no object")?;
    must_have(&Event(own.clone()), &SELF)?;
    for event in &capture.events {
        must_have(event, &ALLOCATION)?;
        if event.kind() == "bind" && event.text("result") == Some("failed") {
            must_have(event, &["holders"])?;
        }
        let succeeded = event.text("result") == Some("ok");
        ensure!(
            !succeeded
                || event.value("error") == Some(&Value::Null) && event.value("cause") == Some(&Value::Null),
            "a success with an error: {}",
            event.brief()
        );
    }
    Ok(())
}

fn every_time_is_rfc_3339_and_within_the_recording(live: &Live) -> Result<()> {
    let (_, capture) = sites(live)?;
    let started = time(&capture.header, "started")?;
    let ended = time(&capture.footer, "ended")?;
    ensure!(started <= ended, "started {started}, ended {ended}");
    for event in &capture.events {
        let ts = time(event, "ts")?;
        ensure!((started..=ended).contains(&ts), "{ts} is not between {started} and {ended}");
    }
    Ok(())
}

/// All times are UTC with nine digits, so that their text compares as they do.
fn time<'a>(event: &'a Event, field: &str) -> Result<&'a str> {
    let text = event.text(field).with_context(|| format!("no {field}"))?;
    ensure!(is_rfc3339(text), "{field} is {text:?}");
    Ok(text)
}

fn is_rfc3339(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000000000Z";
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(
            |(found, form)| {
                if *form == b'0' { found.is_ascii_digit() } else { found == *form }
            },
        )
}

fn a_field_that_is_always_null_is_listed_as_unavailable(live: &Live) -> Result<()> {
    // These have a value for at least one event of the workload wherever they can be seen.
    const SEEN: [&str; 16] = [
        "uid",
        "comm",
        "thread_comm",
        "exe",
        "netns",
        "cgroup_id",
        "kernel_socket",
        "local_addr",
        "local_port",
        "remote_addr",
        "remote_port",
        "search_ns",
        "candidates",
        "range",
        "options",
        "socket",
    ];
    let (pid, capture) = sites(live)?;
    let events = capture.of(pid);
    for field in SEEN {
        let seen = events.iter().any(|event| event.value(field).is_some_and(|value| !value.is_null()));
        let listed = capture.unavailable().contains(&field);
        ensure!(seen || listed, "{field} is null in all {} events and not listed", events.len());
        ensure!(!(seen && listed), "{field} is listed as unavailable, but has values");
    }
    if live.backend().sees_searches() {
        let listed = capture.unavailable();
        ensure!(listed.is_empty(), "{} sees everything, but lists {listed:?}", live.backend());
    }
    Ok(())
}

fn the_header_says_what_was_traced(live: &Live) -> Result<()> {
    let (_, capture) = sites(live)?;
    let header = &capture.header;
    ensure!(header.text("backend") == Some(live.backend().word()), "backend {:?}", header.value("backend"));
    ensure!(header.number("schema") == Some(1), "schema {:?}", header.value("schema"));
    for (field, path) in
        [("kernel", "/proc/sys/kernel/osrelease"), ("boot_id", "/proc/sys/kernel/random/boot_id")]
    {
        let own = std::fs::read_to_string(path)?;
        ensure!(header.text(field) == Some(own.trim()), "{field} {:?}, not {own:?}", header.value(field));
    }
    Ok(())
}

#[test]
fn times_without_nine_digits_or_zone_are_refused() {
    assert!(is_rfc3339("2026-11-22T12:00:00.123456789Z"));
    for wrong in ["2026-11-22T12:00:00Z", "2026-11-22 12:00:00.123456789Z", "2026-11-22T12:00:00.123456789+"]
    {
        assert!(!is_rfc3339(wrong), "{wrong}");
    }
}
