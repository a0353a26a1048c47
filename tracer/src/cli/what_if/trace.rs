//! A trace in JSON Lines as a source of what was recorded.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::super::{Failure, exit::reason};
use crate::{
    event::{Cause, Site},
    output::{
        escape,
        records::{Choice, Header, NetnsState, ReleaseStateName, ResultName, TraceRecord},
    },
    stock::parse_reserved,
    whatif::{Asked, Pool, Released, Settings, Source, Told, Way},
};

/// No line of a trace is longer.
const MOST_LINE: u64 = 1 << 20;
/// More events than that are not kept.
const MOST_EVENTS: u64 = 20_000_000;
pub(super) const REMEDY: &str = "make one with: portscope record --releases -w FILE, or portscope trace --releases \
                                 --explicit -o json -w FILE";

/// A trace that is being read.
pub(super) struct Trace {
    name: String,
    file: BufReader<File>,
    line: u64,
    events: u64,
    /// Settings of the header that were not told yet.
    spaces: Vec<(u32, Settings)>,
    known: Vec<u32>,
    next: Option<Told>,
    /// The time of the last event: microseconds of its clock.
    last_us: u64,
    has_releases: bool,
    is_over: bool,
}

impl Trace {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let name = escape(&path.display().to_string()).into_owned();
        let file = File::open(path)
            .map_err(|error| Failure::new(format!("cannot read {name}: {}", reason(&error))))?;
        Ok(Self {
            name,
            file: BufReader::new(file),
            line: 0,
            events: 0,
            spaces: Vec::new(),
            known: Vec::new(),
            next: None,
            last_us: 0,
            has_releases: false,
            is_over: false,
        })
    }

    /// Whether any release was told.
    pub(super) const fn has_releases(&self) -> bool {
        self.has_releases
    }

    fn wrong(&self, told: &str) -> Failure {
        Failure::new(format!("{} line {}: {told}", self.name, self.line)).hint(REMEDY)
    }

    fn record(&mut self) -> Result<Option<TraceRecord>, Failure> {
        let mut line = Vec::new();
        let read = |error: io::Error| Failure::new(format!("cannot read {}: {}", self.name, reason(&error)));
        self.file.by_ref().take(MOST_LINE).read_until(b'\n', &mut line).map_err(read)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        self.events += 1;
        if self.events > MOST_EVENTS {
            return Err(
                self.wrong(&format!("more than {MOST_EVENTS} events: cut the trace with -d or a filter"))
            );
        }
        match serde_json::from_slice(&line) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                let text = error.to_string();
                let (words, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
                let column = error.column();
                Err(self.wrong(&format!("no record of a trace, at column {column}: {}", escape(words))))
            }
        }
    }

    fn header(&mut self, header: &Header) -> Result<(), Failure> {
        for space in &header.netns {
            if let Some(settings) = settings(space) {
                let settings = settings.map_err(|told| self.wrong(&told))?;
                self.spaces.push((space.id, settings));
                self.known.push(space.id);
            }
        }
        Ok(())
    }

    /// A request, or a reason to skip it.
    fn choice(&mut self, choice: &Choice, named: Option<u16>) -> Told {
        self.last_us = choice.mono_us;
        let exhausted = choice.cause == Some(Cause::Exhausted);
        let refused = choice.result == ResultName::Failed;
        let (Some(netns), Some(local)) = (choice.netns, choice.local_addr) else { return Told::Skipped };
        if refused && !exhausted {
            return Told::Skipped;
        }
        let datagram = match choice.proto.as_str() {
            "tcp" => false,
            "udp" => true,
            _ => return Told::Skipped,
        };
        let remote = connected(choice).filter(|_| !datagram && choice.site == Site::Connect);
        let way = match (datagram, choice.site) {
            (true, _) => Way::Datagram,
            (false, Site::Connect) => Way::Connect,
            (false, _) => Way::Bind,
        };
        if way == Way::Connect && remote.is_none() {
            return Told::Skipped;
        }
        let told = Told::Asked(Asked {
            at_us: choice.mono_us,
            pool: Pool { netns, datagram, local: canonical(local), remote },
            way,
            program: choice.comm.clone().unwrap_or_default(),
            socket: choice.socket.clone(),
            refused,
            named,
            standing: false,
        });
        // A namespace that came after the start is told by its first event: its range, and nothing reserved.
        match choice.range {
            Some(range) if !self.known.contains(&netns) => {
                self.known.push(netns);
                self.next = Some(told);
                Told::Space(netns, Settings { range, ..Settings::default() })
            }
            _ => told,
        }
    }
}

impl Source for Trace {
    type Error = Failure;

    fn next(&mut self) -> Result<Option<Told>, Failure> {
        if let Some((netns, settings)) = self.spaces.pop() {
            return Ok(Some(Told::Space(netns, settings)));
        }
        if let Some(told) = self.next.take() {
            return Ok(Some(told));
        }
        while let Some(record) = self.record()? {
            let is_first = self.line == 1;
            match record {
                TraceRecord::Header(header) if is_first => {
                    self.header(&header)?;
                    if let Some((netns, settings)) = self.spaces.pop() {
                        return Ok(Some(Told::Space(netns, settings)));
                    }
                }
                _ if is_first => return Err(self.wrong("the header of a trace is missing")),
                TraceRecord::Allocation(choice) => return Ok(Some(self.choice(&choice, None))),
                TraceRecord::Bind(bind) if bind.choice.result == ResultName::Ok => {
                    return Ok(Some(self.choice(&bind.choice, bind.choice.local_port)));
                }
                TraceRecord::Release(release) => {
                    self.last_us = release.mono_us;
                    self.has_releases = true;
                    if let (Some(socket), Some(held_us)) = (release.socket, release.held_us) {
                        let time_wait = release.state == Some(ReleaseStateName::TimeWait);
                        return Ok(Some(Told::Released(Released { socket, held_us, time_wait })));
                    }
                }
                TraceRecord::Footer(_) => {
                    self.is_over = true;
                    return Ok(Some(Told::Ended(self.last_us)));
                }
                TraceRecord::Header(_) | TraceRecord::Bind(_) | TraceRecord::Check(_) => {}
            }
        }
        if self.line == 0 {
            return Err(Failure::new(format!("{} is empty", self.name)).hint(REMEDY));
        }
        if !self.is_over {
            return Err(self.wrong("the trace is cut: its footer is missing"));
        }
        Ok(None)
    }
}

fn connected(choice: &Choice) -> Option<SocketAddr> {
    Some(SocketAddr::new(canonical(choice.remote_addr?), choice.remote_port?))
}

fn canonical(addr: IpAddr) -> IpAddr {
    addr.to_canonical()
}

/// What a namespace of the header is set to; none where its range was not read.
pub(super) fn settings(space: &NetnsState) -> Option<Result<Settings, String>> {
    let range = space.range?;
    let reserved = parse_reserved(space.reserved.as_deref().unwrap_or_default());
    Some(match reserved {
        Ok(reserved) => {
            let usual = Settings::default();
            Ok(Settings {
                range,
                reserved,
                reuse: space.tcp_tw_reuse.unwrap_or(usual.reuse),
                reuse_after_us: space
                    .tcp_tw_reuse_delay_ms
                    .map_or(usual.reuse_after_us, |delay| u64::from(delay) * 1_000),
                timestamps: space.tcp_timestamps != Some(0),
                ..usual
            })
        }
        Err(error) => Err(error.to_string()),
    })
}
