//! What others may do to a tracer by the names that they choose, and by how fast they change them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::cgroups::Cgroups;
use portscope_tests::compare::compare;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::{Actor, Manner, Plot, Space, Task, shell, tools};
use portscope_tests::terminal::is_harmful;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use portscope_tests::{alone, deadline, per_backend, program};
use serde_json::Value;

per_backend! {
    one_that_changes_while_it_is_looked_at_is_never_taken_for_another,
    names_do_a_terminal_and_a_page_no_harm,
}

alone! {
    a_printed_command_is_the_same_command_whatever_the_namespace_is_called => printed_commands,
}

/// Names of programs, of 15 bytes at most with a star behind them.
const PROGRAMS: [&str; 2] = ["fly) S 1 2\u{1b}[1m", "moth\n<b>\t\""];

fn one_that_changes_while_it_is_looked_at_is_never_taken_for_another(live: &Live) -> Result<()> {
    let bodies: Vec<String> = PROGRAMS.iter().map(|name| body(live, name)).collect::<Result<_>>()?;
    let count = live.scaled(1_000);
    let workload = Workload::ready(&["churn", "--count", &count.to_string(), &bodies[0], &bodies[1]])?;
    let args = ["--backend", live.backend().word(), "--by", "pid", "--proto", "udp"];
    let reporter = Tracer::start_command(live.scratch(), "report", &args)?;
    let tracer = live.tracer(&["--proto", "udp"])?;
    let truth = workload.go()?;
    let (capture, report) = (tracer.stop()?, reporter.stop_with_document()?);
    capture.accounting()?;
    let lives = truth.only(|one| PROGRAMS.iter().any(|name| one.comm.starts_with(name)));
    ensure!(lives.len() as u64 == 3 * count, "{} ports, not those of {count} processes", lives.len());
    let pids: BTreeSet<u32> = lives.iter().map(|one| one.pid).collect();
    let reused = count.saturating_sub(pids.len() as u64);
    ensure!(reused > 0 || !Path::new("/proc/sys/kernel/ns_last_pid").exists(), "no number came again");
    compare(&lives, &capture)?;
    let mut seen = 0;
    for event in capture.events.iter().filter(|event| pids.iter().any(|pid| event.is_of(*pid))) {
        let told = (event.text("comm"), event.text("exe"));
        ensure!(is_one(told), "{told:?}: {}", event.brief());
        seen += usize::from(told.1.is_some());
    }
    ensure!(seen > 0, "of no event the executable was told");
    let rows = report["processes"].as_array().context("no processes")?;
    for row in rows
        .iter()
        .filter(|row| row["pid"].as_u64().is_some_and(|pid| pids.iter().any(|one| u64::from(*one) == pid)))
    {
        ensure!(is_one((row["comm"].as_str(), row["exe"].as_str())), "{row}");
    }
    Ok(())
}

/// A program of this name, which is the workload.
fn body(live: &Live, name: &str) -> Result<String> {
    let (workload, path) = (program::workload()?, live.scratch().path().join(name));
    if fs::hard_link(&workload, &path).is_err() {
        fs::copy(&workload, &path).with_context(|| path.display().to_string())?;
    }
    Ok(path.to_str().context("a path that is no text")?.to_owned())
}

/// Whether a process that has such a name has such an executable: as a program it has the name of its file, until it takes
/// another one itself.
fn is_one((comm, exe): (Option<&str>, Option<&str>)) -> bool {
    let (Some(comm), Some(exe)) = (comm, exe) else { return true };
    exe.rsplit('/').next() == Some(comm.trim_end_matches('*'))
}

/// What a terminal obeys, and what a page takes for its own.
const COMM: &str = "\u{1b}[31m<script>";
const UNIT: &str = "\u{1b}]0;x\u{7}\u{9b}2J<script>\u{202e}.service";
const NETNS: &str = "\u{1b}[31m<script>\n\u{9b}2J'`$(id)";

fn to() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7001))
}

fn names_do_a_terminal_and_a_page_no_harm(live: &Live) -> Result<()> {
    let space = Space::make(Plot { name: Some(NETNS.as_ref()), ..Plot::range("40000-40031") })?;
    let cgroups = Cgroups::make()?;
    let (mut server, mut client) = (space.actor("server")?, space.actor(COMM)?);
    server.serve(to(), Manner::Keep)?;
    cgroups.put(UNIT, client.pid())?;
    let netns = space.id().to_string();
    let file = live.scratch().file("recording");
    let recorder =
        Tracer::record(live.scratch(), &file, &["--backend", live.backend().word(), "-N", &netns])?;
    let told = served(live, &netns, &mut client)?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{said}");
    is_harmless("record", &said)?;
    for (what, text) in told {
        is_harmless(&what, &text)?;
    }
    let recording = file.to_str().context("a path that is no text")?;
    for words in [
        "trace --color never",
        "trace -o json",
        "report --color never",
        "report -o json",
        "report -o html",
        "top -b --speed max",
        "who 40000 --color never",
        "who 40000 -o json",
    ] {
        let more = ["-vv", "-r", recording];
        said_by(live, words, &more)?;
    }
    for words in ["check --color never", "check -o json", "who 40000 --color never", "who 40000 -o json"] {
        said_by(live, words, &["-vv", "-N", &netns])?;
    }
    Ok(())
}

/// Calls portscope, and looks at all that it says.
fn said_by(live: &Live, words: &str, more: &[&str]) -> Result<()> {
    let args: Vec<&str> = words.split(' ').chain(more.iter().copied()).collect();
    let ended = portscope(live.scratch(), &args)?;
    ensure!(ended.status == Some(0), "{words}: {:?}: {}", ended.status, ended.stderr);
    ended.must_not_panic()?;
    is_harmless(words, &ended.stderr)?;
    is_harmless(words, &ended.stdout)?;
    // Nothing is left out for being ill named.
    ensure!(ended.stdout.contains("script"), "{words}: {}", ended.stdout);
    Ok(())
}

/// Fills the pool under a server's eyes, and asks it for all that it serves.
fn served(live: &Live, netns: &str, client: &mut Actor) -> Result<Vec<(String, String)>> {
    let socket = live.scratch().file("socket");
    let listen = format!("unix:{}", socket.display());
    let args = ["--backend", live.backend().word(), "-N", netns, "--listen", &listen];
    let server = Tracer::serve(live.scratch(), &args)?;
    let done = client.take(Task::connect(to()).until_failed(5, 100))?;
    ensure!((done.given(), done.failed_with("EADDRNOTAVAIL")) == (32, 5), "{:?}", done.failed);
    deadline::until("the refusals", Duration::from_secs(40), || {
        let findings = get(&socket, "/findings")?;
        Ok(findings.contains("EXHAUSTED").then_some(()))
    })?;
    let paths = ["/metrics", "/findings", "/report"];
    let mut all: Vec<(String, String)> =
        paths.into_iter().map(|path| Ok((path.to_owned(), get(&socket, path)?))).collect::<Result<_>>()?;
    let (status, said) = server.stop_plainly()?;
    ensure!(status == Some(0), "{said}");
    all.push(("serve".to_owned(), said));
    Ok(all)
}

fn get(socket: &Path, path: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(40)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
    Ok(body.to_owned())
}

/// No control characters but ends of lines, no marks of direction; a page has the script of its own alone.
fn is_harmless(what: &str, text: &str) -> Result<()> {
    let at = text.find(|letter: char| letter != '\n' && is_harmful(letter));
    if let Some(at) = at {
        let from = text.floor_char_boundary(at.saturating_sub(80));
        let to = text.floor_char_boundary((at + 80).min(text.len()));
        ensure!(false, "{what}: {:?}", &text[from..to]);
    }
    if text.contains("<!DOCTYPE html>") {
        ensure!(text.matches("<script>").count() == 1, "{what}: a name is mark-up");
    }
    Ok(())
}

/// Names that are words of a shell only in quotes, and one that cannot be typed.
const ODD: [&str; 4] = ["it's; touch PWNED #", "$(touch PWNED)", "a  b`touch PWNED`&|<>*?~!", "x\n\u{1b}[1m"];
const RESERVED: &str = "net/ipv4/ip_local_reserved_ports";

fn printed_commands(live: &Live) -> Result<()> {
    // The sysctl of busybox writes no empty value, which takes the reservation back.
    let is_busybox = |path: &str| fs::canonicalize(path).is_ok_and(|path| path.ends_with("busybox"));
    let unmet = ["/bin/sysctl", "/sbin/sysctl"]
        .into_iter()
        .any(is_busybox)
        .then_some("a sysctl that is not busybox's");
    if !live.has(Need::Tools, tools(&["nsenter", "sysctl", "ss"]).or(unmet))? {
        return Ok(());
    }
    for name in ODD {
        let space = Space::make(Plot { name: Some(name.as_ref()), ..Plot::range("50051-50051") })?;
        let _pairs = space.inside(|| {
            let listener = TcpListener::bind(to())?;
            let stream = TcpStream::connect(to())?;
            Ok((stream, listener))
        })?;
        let netns = space.id().to_string();
        let document = portscope(live.scratch(), &["who", "50051", "-N", &netns, "-o", "json"])?;
        let document: Value = serde_json::from_str(&document.stdout).with_context(|| document.stderr)?;
        let reserve = &document["ports"][0]["places"][0]["reserve"];
        let text = portscope(live.scratch(), &["who", "50051", "-N", &netns, "--color", "never"])?.stdout;
        let shown = text.lines().find_map(|one| one.strip_prefix("for good")).context(text.clone())?;
        let undo =
            text.lines().find_map(|one| one.trim_start().strip_prefix("undo:")).context(text.clone())?;
        for (run, undo) in [(shown, undo), (word(&reserve["run"])?, word(&reserve["undo"])?)] {
            within(live, run).with_context(|| format!("{name:?}"))?;
            ensure!(space.sysctl(RESERVED)? == "50051", "{name:?}: {run}: {}", space.sysctl(RESERVED)?);
            within(live, undo).with_context(|| format!("{name:?}"))?;
            ensure!(space.sysctl(RESERVED)?.is_empty(), "{name:?}: {undo}: {}", space.sysctl(RESERVED)?);
        }
        ensure!(!place(live).join("PWNED").exists(), "{name:?} was run");
    }
    Ok(())
}

fn word(value: &Value) -> Result<&str> {
    value.as_str().context("no command")
}

fn place(live: &Live) -> PathBuf {
    live.scratch().path().to_owned()
}

/// Runs a command in the folder of the test.
fn within(live: &Live, command: &str) -> Result<()> {
    shell(&format!("cd '{}' && {command}", place(live).display()))?;
    Ok(())
}
