//! The page of a report: its text against a committed file, hostile names, and how large it may become.

pub(super) mod fixed;

use portscope::{
    event::PortRange,
    output::{
        html::{Course, Exhibits, page},
        records::{Accounting, DistributionRecord, FilterValue, PoolRecord, Report},
    },
};

use self::fixed::{destination, exhibits, finding, map, pool, process, report, space, timeline};
use crate::golden::assert_file;

/// Names that somebody may have chosen to do harm.
const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "\x1b[2Jgone",
    "\u{202e}gpj.exe",
    "</title></svg></style>",
    "bad\u{fffd}&amp;<!--",
];

fn made(report: &Report, exhibits: &Exhibits) -> String {
    page(report, exhibits).unwrap()
}

/// The text between two marks, each time.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close)).map(|(inside, _)| inside)
}

/// The page without its style and its script, which are files of their own.
fn bare(page: &str) -> String {
    let mut bare = page.to_owned();
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let inside = between(page, open, close).next().unwrap().to_owned();
        bare = bare.replacen(&inside, "", 1);
    }
    let policy = between(&bare, "style-src '", "'").next().unwrap().to_owned();
    bare = bare.replacen(&policy, "STYLE", 1);
    let policy = between(&bare, "script-src '", "'").next().unwrap().to_owned();
    bare.replacen(&policy, "SCRIPT", 1)
}

#[test]
fn the_page_of_a_full_pool() {
    assert_file("tests/output/golden/report.html", &bare(&made(&report(), &exhibits())));
}

#[test]
fn what_a_person_needs_first_comes_first() {
    let page = made(&report(), &exhibits());
    let places = [
        ">EXHAUSTED<",
        "held by",
        "refused to",
        "ports asked for",
        "What to do",
        "keep connections open",
        "15000 60999",
        "to undo",
        "to make it last",
        "Won't help",
        "Ports asked for, per second",
        "Ports refused, per second",
        "Share of a pool",
        "Searches by time",
        "Who holds the range",
        "Source ports given",
        "Processes, the busiest first",
        "seen 2,112 = emitted 2,100 + filtered 12 + lost 0",
        "Network namespaces",
        "bounds or estimates",
    ]
    .map(|word| page.find(word).unwrap_or_else(|| panic!("no {word}")));
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(page.matches("40000 40999").count(), 1, "the undo is told once");
}

#[test]
fn the_rest_of_a_table_is_told_as_other() {
    let page = made(&report(), &exhibits());
    let foot = between(&page, "<tfoot>", "</tfoot>").next().unwrap();
    assert!(foot.contains(">other<") && foot.contains(">100<") && foot.contains(">0<"), "{foot}");
}

#[test]
fn a_pool_that_is_gone_is_marked_and_stands_where_it_belongs() {
    let mut report = report();
    let gone = PoolRecord { held_after_s: Some(12.34), ..pool(5433, 990) };
    report.pools.extend((1..80).map(|port| pool(port, 3)).chain([gone]));
    let page = made(&report, &exhibits());
    let table = between(&page, "<table id=\"pools\"", "</table>").next().unwrap();
    assert!(table.contains("or at their fullest where they are gone"), "{table}");
    let marked: Vec<bool> = between(table, "<tr><th scope=\"row\">", "</tr>")
        .map(|row| row.contains("gone by the end: told as it was 12.3 s after the start"))
        .collect();
    assert_eq!((marked[0], marked[1], marked.len()), (false, true, 50));
    assert_eq!(marked.iter().filter(|marked| **marked).count(), 1);
}

#[test]
fn filters_are_told_where_the_verdict_is() {
    let mut report = report();
    report.header.filters.clear();
    for (name, value) in [
        ("netns", FilterValue::Any(vec!["shop".to_owned(), "4026531840".to_owned()])),
        ("remote_port", FilterValue::Any(vec!["443".to_owned()])),
        ("ipv4", FilterValue::Set(true)),
    ] {
        report.header.filters.insert(name.to_owned(), value);
    }
    let given = "-4 --netns shop,4026531840 --remote-port 443";
    let page = made(&report, &exhibits());
    let head = between(&page, "<header", "</header>").next().unwrap();
    assert!(head.contains(&format!("whole host, events filtered to {given}")), "{head}");
    let text = portscope::output::report::text(&report, portscope::output::report::Look::default());
    assert!(text.contains(&format!("\nfiltered to  {given}\n")), "{text}");
}

#[test]
fn a_quiet_run_is_told_in_sentences() {
    let mut report = report();
    report.findings.clear();
    report.verdict.word = "OK".to_owned();
    report.verdict.finding = None;
    report.distribution = DistributionRecord::default();
    let page = made(&report, &Exhibits::default());
    for told in [
        "found nothing that a person should know of",
        "No port was asked for.",
        "No search that found a port was timed.",
        "No port was given in a namespace whose range is known.",
        "The range of no network namespace could be read.",
    ] {
        assert!(page.contains(told), "no {told}");
    }
}

#[test]
fn windows_of_no_length_of_a_scrap_and_of_no_time_have_a_page() {
    for seconds in [0.0, 0.04, 86_400.0 * 400.0] {
        let mut report = report();
        report.window.seconds = seconds;
        report.window.started = "no time".to_owned();
        let page = bare(&made(&report, &exhibits()));
        assert!(!page.contains("NaN") && !page.contains("inf "), "{seconds}: {page}");
        assert!(page.contains("+0 s"), "without a time of day, seconds since the start: {seconds}");
    }
}

#[test]
fn lost_events_are_told_beside_the_charts() {
    let accounting = Accounting { lost: 1_234, ..report().accounting };
    let page = made(&Report { accounting, ..report() }, &exhibits());
    assert!(page.contains("1,234 events were lost: they are in no point of these charts."));
    assert!(page.contains("The accounts do not close"));
}

/// The fixed run with a name wherever there is one.
fn named(name: &str) -> (Report, Exhibits) {
    let mut report = report();
    name.clone_into(&mut report.header.host);
    name.clone_into(&mut report.header.kernel);
    report.header.netns[0].name = Some(name.to_owned());
    report.verdict.reason = format!("{name} is refused");
    report.processes.push(process(name, 1, 0));
    report.processes[0].exe = Some(name.to_owned());
    report.processes[0].unit = Some(name.to_owned());
    let mut one = finding(&report.verdict.reason);
    one.advice.push(name.to_owned());
    name.clone_into(&mut one.lines[0].text);
    one.wont_help.push(name.to_owned());
    one.commands[0].run = format!("nsenter --net=/run/netns/{name} true");
    one.commands[0].undo = Some(name.to_owned());
    report.findings = vec![one];
    report.call_sites = Some(crate::report::call_sites(name, name));
    for frame in report.call_sites.iter_mut().flat_map(|found| &mut found.sites[0].frames) {
        frame.module = Some(name.to_owned());
        frame.file = Some(name.to_owned());
    }
    let mut exhibits = exhibits();
    name.clone_into(&mut exhibits.timeline.pools[0].name);
    exhibits.spaces = vec![space(fixed::HOST, name)];
    exhibits.map = exhibits.map.map(|(_, map)| (name.to_owned(), map));
    (report, exhibits)
}

/// The elements of the page with their attributes; one that offers a copy is like one that does not.
fn elements(page: &str) -> Vec<String> {
    let all = between(page, "<", ">").map(str::to_owned);
    all.map(|one| if one.starts_with("pre") { "pre".to_owned() } else { one }).collect()
}

/// Holds the page with this name to the elements of one with a harmless name.
fn is_only_text(name: &str) -> String {
    let (report, exhibits) = named(name);
    let (plain, shown) = named("plain");
    let page = made(&report, &exhibits);
    assert_eq!(elements(&bare(&page)), elements(&bare(&made(&plain, &shown))), "{name:?}");
    let is_harmless = |letter: char| letter == '\n' || !(letter.is_control() || letter == '\u{202e}');
    assert!(page.chars().all(is_harmless), "{name:?}");
    page
}

#[test]
fn hostile_names_are_text_in_html_in_pictures_and_in_attributes() {
    for name in HOSTILE {
        let page = is_only_text(name);
        let read = portscope::output::escape(name);
        for (open, close) in [
            ("<title>", "</title>"),
            ("<desc id=\"map-d\">", "</desc>"),
            ("<dd>", "</dd>"),
            ("<code>", "</code>"),
        ] {
            let text = unescaped(between(&page, open, close).next().unwrap());
            assert!(text.contains(&*read) || text.contains(name), "{open}{text}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn no_name_is_more_than_text(name in "[<>&\"'/!=\\-a-z\\\\\u{1b}\u{202e}\u{200b}é ]{1,40}") {
        is_only_text(&name);
    }
}

/// What a browser makes of the text of an element.
fn unescaped(text: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

#[test]
fn a_command_that_would_mislead_is_shown_and_not_offered_to_be_copied() {
    let offered = |name: &str| {
        let (report, exhibits) = named(name);
        made(&report, &exhibits).contains("<pre tabindex=\"0\" class=\"copies\">")
    };
    assert!(offered("plain") && offered("a\\b") && !offered("a\u{202e}b") && !offered("a\x1bb"));
    let (report, exhibits) = named("a\\b");
    assert!(made(&report, &exhibits).contains("/run/netns/a\\b true"), "what is copied is what would be run");
}

#[test]
fn a_command_is_shown_whole_or_not_at_all() {
    let ports = |count: usize| vec!["40000"; count].join(",");
    let mut report = report();
    report.findings[0].commands[0].run = ports(600);
    report.findings[0].commands[0].undo = Some(ports(60_000));
    let page = made(&report, &exhibits());
    assert!(page.contains(&format!("<code>{}</code>", ports(600))));
    assert!(page.contains("<code>too long for a page: -o json has this command</code>"));
}

#[test]
fn nothing_outside_of_the_page_is_named() {
    let page = made(&report(), &exhibits());
    let attributes = [" src=", " href=", "url(http", "@import", " style=", " onclick="];
    for attribute in attributes {
        assert!(!page.contains(attribute), "{attribute}");
    }
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"").next().unwrap();
    assert!(
        policy.starts_with("default-src &#39;none&#39;;") || policy.starts_with("default-src 'none';"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[test]
fn every_picture_has_its_words_and_every_table_its_caption_and_scopes() {
    let page = made(&report(), &exhibits());
    let pictures = page.matches("role=\"img\"").count();
    assert!(pictures >= 6, "{pictures}");
    assert_eq!(page.matches("<desc id=").count(), pictures);
    assert_eq!(page.matches("<title id=").count(), pictures);
    let tables = page.matches("<table ").count();
    assert_eq!(page.matches("<caption>").count(), tables);
    assert!(between(&page, "<th", ">").filter(|th| !th.starts_with("ead")).all(|th| th.contains("scope=")));
    let mut level = 0;
    for heading in between(&bare(&page), "<h", ">").filter_map(|tag| tag.chars().next()?.to_digit(10)) {
        assert!(heading <= level + 1, "h{heading} after h{level}");
        level = heading;
    }
}

#[test]
fn the_page_of_an_hour_at_its_worst_is_below_a_mebibyte() {
    let long = "<&\"'>".repeat(60);
    let mut report = report();
    report.window.seconds = 3_600.0;
    report.processes = (0..100).map(|at| process(&long, 1_000_000_000 - at, at)).collect();
    report.destinations = (0..100).map(destination).collect();
    report.pools = (1..2_000).map(|port| pool(port, 999)).collect();
    let mut sites = crate::report::call_sites(&long, &long);
    sites.sites[0].exe = Some(long.clone());
    sites.sites[0].frames = vec![sites.sites[0].frames[1].clone(); 64];
    sites.sites = vec![sites.sites[0].clone(); 100];
    report.call_sites = Some(sites);
    report.findings = (0..300).map(|_| finding(&long)).collect();
    for one in &mut report.findings {
        one.lines.iter_mut().for_each(|line| line.text = long.clone());
        one.commands[0].run = long.clone();
    }
    report.distribution.bucket_edges = (0..=64).map(|at| 1_024 + at * 1_000).collect();
    report.distribution.counts = (0..64).map(|at| 1_000_000 + at).collect();
    report.header.netns[0].reserved =
        Some((1..30_000).map(|at| (at * 2).to_string()).collect::<Vec<_>>().join(","));
    let mut timeline = timeline(600, 6);
    timeline.pools = (0..5)
        .map(|_| Course {
            name: long.clone(),
            shares: (0_u16..600).map(|at| Some(f32::from(at) / 700.0)).collect(),
        })
        .collect();
    let exhibits = Exhibits {
        timeline,
        search_times: (0..3_000).map(|at| (at * 1_000, 1_000_000)).collect(),
        map: Some((long.clone(), map(PortRange::new(0, 65_535).unwrap()))),
        spaces: (0..5_000).map(|id| space(id, &long)).collect(),
    };
    let page = made(&report, &exhibits);
    assert!(page.len() < 1024 * 1024, "{} bytes", page.len());
    assert!(page.len() > 300 * 1024, "{} bytes are no worst case", page.len());
}
