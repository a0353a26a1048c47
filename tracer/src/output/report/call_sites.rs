//! From where in their code processes ask for ports, for reading.

use super::{
    super::{
        escape,
        records::{CallSiteRecord, CallSitesRecord, FrameRecord, Report},
        screen::{LABEL, cut, line, put},
    },
    numbers::{grouped, share},
};

/// Sites of refusals that are told, and of the process with most ports.
const MOST_SITES: usize = 3;
/// Frames of each.
const MOST_FRAMES: usize = 8;
/// Columns of a function's name: those of templates have thousands.
const MOST_LETTERS: usize = 80;

/// Those that are refused, and those of the process that was given most ports.
pub(super) fn call_sites(out: &mut String, report: &Report) {
    let Some(found) = &report.call_sites else { return };
    for site in told(found) {
        line(out, "call site", &title(site));
        for frame in site.frames.iter().take(MOST_FRAMES) {
            put(out, &format!("{:LABEL$}  {}\n", "", escape(&frame_text(frame))));
        }
        let more = site.frames.len().saturating_sub(MOST_FRAMES);
        if more != 0 {
            put(out, &format!("{:LABEL$}  and {more} more frames (-o json)\n", ""));
        }
        if let Some(why) = site.unnamed.as_deref().map(reason) {
            put(out, &format!("{:LABEL$}  {why}\n", ""));
        }
    }
}

/// The sites that a person sees.
fn told(found: &CallSitesRecord) -> Vec<&CallSiteRecord> {
    let refused = found.sites.iter().filter(|site| site.error.is_some()).take(MOST_SITES);
    let given = || found.sites.iter().filter(|site| site.error.is_none());
    let of = |pid| given().filter(|site| site.pid == pid).map(|site| site.count).sum::<u64>();
    let holder = given().map(|site| site.pid).max_by_key(|pid| (of(*pid), std::cmp::Reverse(*pid)));
    let its = given().filter(|site| Some(site.pid) == holder).take(MOST_SITES);
    refused.chain(its).collect()
}

/// Who did what how often.
fn title(site: &CallSiteRecord) -> String {
    let times = if site.count == 1 { "time" } else { "times" };
    let named = if site.port_named { " to a port that it named" } else { "" };
    let result = match &site.error {
        Some(error) => format!("refused with {error}, {} of all that were refused", share(Some(site.share))),
        None => format!("{} of all that were given a port", share(Some(site.share))),
    };
    format!("{}({}) {}{named} {} {times}: {result}", site.comm, site.pid, site.site, grouped(site.count))
}

/// Why a stack has no names.
pub(in super::super) fn reason(why: &str) -> &'static str {
    match why {
        "gone" => "no names: the process had ended before they could be looked up",
        "denied" => "no names: its mappings are not to be read (CAP_SYS_PTRACE)",
        _ => "no names: they were not found in time",
    }
}

/// A frame on one line: function, or where else it is.
pub(in super::super) fn frame_text(frame: &FrameRecord) -> String {
    let module = frame.module.as_deref().map(base);
    let symbol = frame.symbol.as_deref().map(|name| {
        let offset = frame.symbol_offset.map(|offset| format!("+{offset:#x}")).unwrap_or_default();
        format!("{}{offset}", cut(name, MOST_LETTERS))
    });
    let inlined = frame.inlined.then_some("inlined");
    let place = frame.file.as_deref().map(|file| {
        let at = frame.line.map(|at| format!(":{at}")).unwrap_or_default();
        format!("{}{at}", base(file))
    });
    match (symbol, module) {
        (Some(symbol), module) => {
            let beside = [inlined, place.as_deref(), module];
            let beside = beside.into_iter().flatten().collect::<Vec<_>>().join(", ");
            if beside.is_empty() { symbol } else { format!("{symbol} ({beside})") }
        }
        (None, Some(module)) => {
            let offset = frame.module_offset.map(|offset| format!("+{offset:#x}")).unwrap_or_default();
            format!("{} ({module}{offset})", frame.address)
        }
        (None, None) => frame.address.clone(),
    }
}

/// The last part of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(pid: u32, error: Option<&str>, count: u64) -> CallSiteRecord {
        CallSiteRecord {
            pid,
            comm: "cli\u{1b}ent".to_owned(),
            site: "connect".to_owned(),
            error: error.map(str::to_owned),
            count,
            share: 0.5,
            ..CallSiteRecord::default()
        }
    }

    #[test]
    fn refusals_are_told_and_the_process_with_most_ports_whatever_its_busiest_site() {
        let sites = vec![
            site(1, Some("EADDRNOTAVAIL"), 9),
            site(2, None, 50),
            site(3, None, 40),
            site(3, None, 30),
            site(4, None, 1),
        ];
        let found = CallSitesRecord { sites, ..CallSitesRecord::default() };
        let told: Vec<_> = told(&found).iter().map(|site| (site.pid, site.count)).collect();
        assert_eq!(told, [(1, 9), (3, 40), (3, 30)]);
    }

    #[test]
    fn a_frame_is_told_by_what_is_known_of_it() {
        let bare = FrameRecord { address: "0x7f01".to_owned(), ..FrameRecord::default() };
        let mapped =
            FrameRecord { module: Some("/lib/libc.so.6".into()), module_offset: Some(0x10), ..bare.clone() };
        let named =
            FrameRecord { symbol: Some("connect".into()), symbol_offset: Some(0x1b), ..mapped.clone() };
        let placed = FrameRecord { file: Some("/src/a/net.c".into()), line: Some(31), ..named.clone() };
        let texts = [bare, mapped, named, placed].map(|frame| frame_text(&frame));
        let expected = [
            "0x7f01",
            "0x7f01 (libc.so.6+0x10)",
            "connect+0x1b (libc.so.6)",
            "connect+0x1b (net.c:31, libc.so.6)",
        ];
        assert_eq!(texts.each_ref().map(String::as_str), expected);
    }

    #[test]
    fn the_title_says_who_what_and_how_often() {
        let refused =
            CallSiteRecord { site: "bind".into(), port_named: true, ..site(7, Some("EADDRINUSE"), 1) };
        assert_eq!(
            title(&refused),
            "cli\u{1b}ent(7) bind to a port that it named 1 time: refused with EADDRINUSE, 50.0 % of all that were refused"
        );
        assert_eq!(
            title(&site(7, None, 1_234)),
            "cli\u{1b}ent(7) connect 1,234 times: 50.0 % of all that were given a port"
        );
    }
}
