//! `check`, `who` and `explain`: what they say of a host as it stands, in a namespace of the test's own.

use std::fs;
use std::net::{TcpListener, TcpStream};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::invocation::{Ended, portscope};
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::{Plot, Space, shell, tools};
use serde_json::Value;

alone! {
    a_lost_port_is_found_freed_and_kept_by_the_printed_commands => lost_port,
    a_full_pool_is_told_with_its_holder => full_pool,
    rates_and_ranges_are_those_of_the_namespace => rates_and_ranges,
    statuses_and_words_are_those_of_the_manual => statuses,
    a_bundle_holds_settings_and_counts_and_no_arguments => evidence,
}

const LOST: u16 = 50_051;
const SERVICE: &str = "127.0.0.1:7000";
const RESERVED: &str = "net/ipv4/ip_local_reserved_ports";

/// Connections of ours inside, whose ports the kernel chose, with their listener.
fn connections(space: &Space, count: usize) -> Result<(TcpListener, Vec<(TcpStream, TcpStream)>)> {
    space.inside(move || {
        let listener = TcpListener::bind(SERVICE)?;
        let pair = || Ok((TcpStream::connect(SERVICE)?, listener.accept()?.0));
        let pairs = (0..count).map(|_| pair()).collect::<Result<_>>()?;
        Ok((listener, pairs))
    })
}

fn can_listen(space: &Space) -> Result<bool> {
    space.inside(|| Ok(TcpListener::bind(("0.0.0.0", LOST)).is_ok()))
}

fn name(space: &Space) -> String {
    space.id().to_string()
}

fn succeeds(ended: &Ended) -> Result<()> {
    ended.must_not_panic()?;
    ensure!(ended.status == Some(0), "exit status {:?}: {}", ended.status, ended.stderr);
    Ok(())
}

fn json(live: &Live, args: &[&str]) -> Result<Value> {
    let ended = portscope(live.scratch(), args)?;
    succeeds(&ended)?;
    serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())
}

fn lost_port(live: &Live) -> Result<()> {
    let space = Space::make(Plot { reserved: "9100,40000-40003", ..Plot::range("50051-50051") })?;
    let (_listener, _pairs) = connections(&space, 1)?;
    ensure!(!can_listen(&space)?, "the port is free in spite of the connection");
    let (netns, own) = (name(&space), std::process::id());
    let who = json(live, &["who", "50051", "-N", &netns, "-o", "json"])?;
    let place = &who["ports"][0]["places"][0];
    ensure!(place["verdict"]["word"] == "CONFLICT", "{place}");
    let socket = &place["sockets"][0];
    ensure!(socket["holders"][0]["pid"] == own && socket["remote_port"] == 7000, "{socket}");
    let text = portscope(live.scratch(), &["who", "50051", "-N", &netns])?;
    succeeds(&text)?;
    for told in [format!("pid {own}"), "127.0.0.1:50051 > 127.0.0.1:7000 ESTAB, since ?".to_owned()] {
        ensure!(text.stdout.contains(&told), "{told:?} is not in {}", text.stdout);
    }
    let missing = tools(&["nsenter", "sysctl", "ss"]);
    if !live.has(Need::Tools, missing)? {
        return Ok(());
    }
    let run = |command: &Value| shell(command.as_str().unwrap_or_default());
    run(&place["free"][0]["run"])?;
    ensure!(can_listen(&space)?, "{} did not free the port", place["free"][0]["run"]);
    run(&place["reserve"]["run"])?;
    ensure!(space.sysctl(RESERVED)? == "9100,40000-40003,50051", "{}", space.sysctl(RESERVED)?);
    run(&place["reserve"]["undo"])?;
    ensure!(space.sysctl(RESERVED)? == "9100,40000-40003", "{}", space.sysctl(RESERVED)?);
    let free = portscope(live.scratch(), &["who", "50051", "-N", &netns])?;
    ensure!(free.stdout.starts_with("OK  50051 is free"), "{}", free.stdout);
    Ok(())
}

fn full_pool(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let (_listener, _pairs) = connections(&space, 64)?;
    let check = json(live, &["check", "-N", &name(&space), "-o", "json"])?;
    let pools = check["pools"].as_array().context("no pools")?;
    let pool = pools.iter().find(|pool| pool["remote_port"] == 7000).context("the pool is not there")?;
    ensure!(pool["barred"] == 64 && pool["effective"] == 64, "{pool}");
    let holder = &pool["holders"][0];
    ensure!(holder["pid"] == std::process::id() && holder["ports"] == 64, "{pool}");
    ensure!(check["netns"][0]["range"] == serde_json::json!([40_000, 40_063]), "{}", check["netns"]);
    let text = portscope(live.scratch(), &["check", "-N", &name(&space)])?;
    ensure!(text.stdout.contains("64 (100.0 %)"), "{}", text.stdout);
    let wide = text.stdout.lines().find(|line| line.chars().count() > 110);
    ensure!(wide.is_none(), "wider than 110 columns: {wide:?}");
    Ok(())
}

fn rates_and_ranges(live: &Live) -> Result<()> {
    let space = Space::make(Plot { reserved: "40010", ..Plot::range("40000-40999") })?;
    let netns = name(&space);
    let rate = |rate: &str| {
        let to =
            ["check", "--to", "10.0.0.1:443", "--hold", "60s", "-N", &netns, "-o", "json", "--rate-check"];
        let args: Vec<&str> = to.into_iter().chain([rate]).collect();
        portscope(live.scratch(), &args)
    };
    for (asked, status, word) in [("5/s", 0, "OK"), ("10/s", 0, "AT RISK"), ("17/s", 3, "EXHAUSTED")] {
        let ended = rate(asked)?;
        ensure!(ended.status == Some(status), "{asked}: {:?} {}", ended.status, ended.stderr);
        let answer: Value = serde_json::from_str(&ended.stdout)?;
        ensure!(answer["word"] == word && answer["wall"] == 999, "{asked}: {answer}");
    }
    let ranges = json(live, &["check", "--ranges", "-N", &netns, "-o", "json"])?;
    ensure!(ranges["host"]["effective"] == 999, "{ranges}");
    let linux = ranges["ranges"].as_array().and_then(|all| all.iter().find(|one| one["shared"] == 1000));
    ensure!(linux.is_some(), "no known range holds ours: {ranges}");
    Ok(())
}

fn statuses(live: &Live) -> Result<()> {
    let narrow = Space::with_range("40000-40999")?;
    let netns = name(&narrow);
    let wrong: [(&[&str], &str); 10] = [
        (&["who"], "PORT"),
        (&["who", "70000"], "70000"),
        (&["who", "22", "-o", "csv"], "csv"),
        (&["who", "22", "-N", "nowhere"], "nowhere"),
        (&["explain", "PS999"], "PS001"),
        (&["check", "--fail-on", "awful"], "awful"),
        (&["check", "--rate-check", "fast", "--to", "1.1.1.1:1", "--hold", "60s"], "fast"),
        (&["check", "--rate-check", "5/s"], "--to"),
        (&["check", "--rate-check", "5/s", "--to", "1.1.1.1:0", "--hold", "60s"], "1.1.1.1:0"),
        (&["check", "--rate-check", "5/s", "--to", "1.1.1.1:1", "--hold", "0"], "--hold"),
    ];
    for (args, naming) in wrong {
        portscope(live.scratch(), args)?.must_fail(2, &[naming]).with_context(|| format!("{args:?}"))?;
    }
    // A narrow range is a matter of settings: it fails a check by its number alone.
    let check = |more: &[&str]| {
        let args: Vec<&str> = ["check", "-N", &netns].into_iter().chain(more.iter().copied()).collect();
        portscope(live.scratch(), &args)
    };
    succeeds(&check(&["--fail-on", "info"])?)?;
    check(&["--fail-on", "PS013"])?.must_fail(3, &["--fail-on"])?;
    check(&["--fail-on", "PS013", "--fail-status", "9"])?.must_fail(9, &["--fail-on"])?;
    check(&["--bundle", "/nowhere/at/all"])?.must_fail(1, &["/nowhere/at/all"])?;
    for args in [&[][..], &["explain"], &["explain", "PS004", "1"], &["check", "--ranges"]] {
        let ended = portscope(live.scratch(), args)?;
        succeeds(&ended).with_context(|| format!("{args:?}"))?;
        ensure!(ended.stdout.lines().count() >= 9, "{args:?} said {}", ended.stdout);
    }
    Ok(())
}

fn evidence(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let (_listener, _pairs) = connections(&space, 3)?;
    let file = live.scratch().file("bundle");
    let path = file.display().to_string();
    succeeds(&portscope(live.scratch(), &["check", "-N", &name(&space), "--bundle", &path])?)?;
    let text = fs::read_to_string(&file)?;
    let bundle: Value = serde_json::from_str(&text)?;
    ensure!(bundle["type"] == "bundle" && bundle["check"]["type"] == "check", "{bundle}");
    let counts = bundle["netns"][0]["sockets"].as_array().context("no counts")?;
    let connected = counts.iter().find(|one| one["state"] == "ESTABLISHED").context("no connections")?;
    ensure!(connected["count"] == 6 && connected["proto"] == "tcp", "{connected}");
    // A process waits in the namespace with an argument that nobody else has.
    ensure!(!text.contains("--port-range") && !text.contains("PATH="), "the bundle tells arguments");
    Ok(())
}
