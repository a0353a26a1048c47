//! `portscope report --last 10m`: the report of a `serve` that runs.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use super::{
    super::{
        Failure,
        exit::{complain, reason},
        options::Format,
        place::Place,
    },
    Args, place, teller,
};
use crate::{
    output::{escape, records::Report},
    pipeline::Outlet as _,
    serve::Address,
};

/// Where `serve` listens for this, unless something else is said.
pub(super) const SERVER: &str = "unix:/run/portscope/portscope.sock";
/// A report takes no longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Larger answers are not read: a page is below 1 MiB.
const MOST_BYTES: u64 = 16 << 20;
/// Lines of the head of an answer.
const MOST_HEADERS: usize = 32;

/// Asks, and tells what comes.
pub(super) fn tell(args: &Args, last: Duration) -> Result<u8, Failure> {
    args.loudness.start_log();
    super::check(args)?;
    check(args)?;
    let what = if args.output == Format::Html { "report" } else { "report.json" };
    let address = &args.server;
    let answer = ask(address, &format!("/{what}?last={}s", last.as_secs().max(1)))?;
    let mut place = place(args)?;
    if args.output == Format::Html {
        return write(&mut place, answer).map(|()| 0);
    }
    let report: Report = serde_json::from_slice(&answer).map_err(|error| {
        Failure::new(format!("{address} answered with something that is no report: {error}"))
            .hint("ask with the portscope that serves there")
    })?;
    if !args.loudness.quiet && report.window.seconds + 1.0 < last.as_secs_f64() {
        complain(&format!("it knows the last {:.0} s only", report.window.seconds));
    }
    let told = match args.output {
        Format::Json => super::super::exit::json(&report)?,
        Format::Text | Format::Csv | Format::Html => crate::output::report::text(&report, teller(args).look),
    };
    write(&mut place, told.into_bytes())?;
    Ok(args.fail.status_of(&report.findings).unwrap_or(0))
}

fn write(place: &mut Place, mut told: Vec<u8>) -> Result<(), Failure> {
    place.flush(&mut told).map_err(|error| place.failure(&error))?;
    place.close()
}

/// What cannot be asked.
fn check(args: &Args) -> Result<(), Failure> {
    let refused = |option: &str, instead: &str| {
        Err(Failure::usage(format!("{option} and --last exclude each other")).hint(instead.to_owned()))
    };
    if args.duration.is_some() || args.interval.is_some() {
        return refused("--duration and --interval", "--last asks for what was gathered already");
    }
    if args.map.is_wanted() {
        return refused("--map", "the page has one: -o html -w FILE");
    }
    if !args.command.is_empty() || args.all {
        return refused("a command", "serve watches what it was told to watch");
    }
    if args.stack.is_some() {
        return refused("--stack", "serve takes no stacks: gather anew with -d 60s");
    }
    if !args.filters.told(false).is_empty() || args.releases {
        return refused("filters and --releases", "give them to serve: it has counted already");
    }
    Ok(())
}

/// The body of what a server answers.
fn ask(address: &Address, path: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("cannot ask {address}: {}", reason(&error))).hint(
            "is `portscope serve` running? --server tells where it listens; -r FILE asks what `record` writes; \
             `report -d 60s` gathers anew",
        )
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: portscope\r\nconnection: close\r\n\r\n");
    let answer = match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).map_err(failed)?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
            talk(stream, &request)
        }
        Address::Tcp(addr) => {
            let stream = TcpStream::connect(addr).map_err(failed)?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
            talk(stream, &request)
        }
    };
    let answer = answer.map_err(failed)?;
    let (status, body) = parted(&answer)
        .ok_or_else(|| Failure::new(format!("{address} does not speak HTTP as portscope does")))?;
    if status == 200 {
        return Ok(body.to_vec());
    }
    let told = String::from_utf8_lossy(body);
    Err(Failure::new(format!("{address} answered {status}: {}", escape(told.trim()))))
}

fn talk(mut stream: impl Read + Write, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Status and body; none of what is no answer, or was cut.
fn parted(answer: &[u8]) -> Option<(u16, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(answer).ok()? else { return None };
    let status = head.code?;
    let length_of_body =
        head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let told: usize = std::str::from_utf8(length_of_body?.value).ok()?.trim().parse().ok()?;
    let body = answer.get(length..)?;
    (body.len() == told).then_some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_parted_and_a_cut_one_refused() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parted(answer), Some((200, b"{}".as_slice())));
        assert_eq!(parted(&answer[..answer.len() - 1]), None);
        assert_eq!(parted(b"HTTP/1.1 200 OK\r\n\r\n{}"), None);
        assert_eq!(parted(b"SSH-2.0-x\r\n"), None);
    }
}
