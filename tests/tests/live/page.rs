//! `report -o html`: a page that a browser opens without a network, and whose tables it sorts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::tools;
use portscope_tests::{alone, per_backend, program};

per_backend! { a_browser_shows_what_was_counted_and_sorts_it }

alone! { a_page_for_each_interval_is_refused => no_page_for_each_interval }

fn no_page_for_each_interval(live: &Live) -> Result<()> {
    let ended = portscope(live.scratch(), &["report", "-o", "html", "-w", "/dev/null", "--interval", "1s"])?;
    ensure!(ended.status == Some(2), "{:?}: {}", ended.status, ended.stderr);
    ensure!(ended.stderr.contains("--interval") && ended.stderr.contains("hint: "), "{}", ended.stderr);
    Ok(())
}

fn a_browser_shows_what_was_counted_and_sorts_it(live: &Live) -> Result<()> {
    if !live.has(Need::Browser, tools(&["chromium"]))? {
        return Ok(());
    }
    let workload = program::workload()?;
    let workload = workload.to_str().context("a path that is no text")?;
    // The browser goes by the ending.
    let page = live.scratch().path().join("report.html");
    let path = page.to_str().context("a path that is no text")?;
    // Two processes, the busier one last.
    let twice = format!("'{workload}' connects --count 30 && '{workload}' connects --count 50");
    let args = ["report", "--backend", live.backend().word(), "--by", "pid", "-o", "html", "-w", path];
    let ended = portscope(live.scratch(), &[&args[..], &["--", "sh", "-c", &twice]].concat())?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    ended.must_not_panic()?;
    for (fragment, order, counts) in [
        ("", "", ["50", "30"]),
        ("#sort=processes.1", "ascending", ["30", "50"]),
        ("#sort=processes.-1", "descending", ["50", "30"]),
    ] {
        let shown = opened(live, &page, fragment)?;
        let table = between(&shown, "<table id=\"processes\"", "</table>")?;
        let body = between(table, "<tbody>", "</tbody>")?;
        let rows: Vec<&str> = body
            .split("<tr>")
            .skip(1)
            .map(|row| between(row, "<td class=\"n\">", "</td>"))
            .collect::<Result<_>>()?;
        ensure!(rows == counts, "{fragment}: {rows:?}");
        ensure!(order.is_empty() || table.contains(&format!("aria-sort=\"{order}\"")), "{fragment}: {table}");
        // The heads are buttons only where the script has run: the policy lets it.
        ensure!(table.contains("<button type=\"button\">Allocated</button>"), "{table}");
    }
    // The seconds of the charts have all that was counted.
    let shown = opened(live, &page, "")?;
    let seconds = between(between(&shown, "<table id=\"numbers\"", "</table>")?, "<tbody>", "</tbody>")?;
    let asked = seconds.split("<tr>").skip(1).map(|row| {
        let count = between(row, "<td class=\"n\">", "</td>")?;
        count.replace(',', "").parse::<u64>().with_context(|| format!("{count:?} is no count"))
    });
    let asked: Vec<u64> = asked.collect::<Result<_>>()?;
    ensure!(asked.iter().sum::<u64>() == 80, "{asked:?}");
    Ok(())
}

/// What a browser makes of the page.
fn opened(live: &Live, page: &Path, fragment: &str) -> Result<String> {
    let profile = live.scratch().file("profile");
    let output = Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg("--disable-background-networking")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}{fragment}", page.display()))
        .output()
        .context("chromium cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "chromium: {} {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Result<&'a str> {
    let inside = text.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    inside.map(|(inside, _)| inside).with_context(|| format!("no {open} … {close} in {text}"))
}
