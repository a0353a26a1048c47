//! Who had a port: from a recording to the document of `who`.

use std::io::Read;

use rustc_hash::FxHashMap;

use super::{
    Between, Intake, Shown, Spaces,
    intake::Arrival,
    tenure::{Chronicle, Finish, Origin, Refused, Stamp, Tenure},
};
use crate::{
    enrich::{Clock, Process, Processes, Rfc3339, UtcNs},
    event::{Errno, MonoNs, NetnsId, Pid, Port, ReleaseState, decode},
    output::records::{
        OwnerRecord, PortRecord, RecordedRecord, RefusedRecord, SCHEMA, TenureRecord, VerdictRecord, Who,
    },
    recording::{Chain, Ending, Entry, Note, Opening, ReadError, SceneNote},
    stock::leaves_out_bound,
};

/// What is asked of a recording.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The ports.
    pub ports: Vec<Port>,
    /// In these namespaces alone; empty: in all.
    pub netns: Vec<NetnsId>,
    /// At this moment.
    pub at: Option<MonoNs>,
    /// In this time.
    pub between: Between,
}

/// What was read.
struct Past {
    chronicles: Vec<Chronicle>,
    names: FxHashMap<NetnsId, String>,
    looks: Vec<UtcNs>,
    clock: Clock,
    end: MonoNs,
    lost: u64,
    unreadable: usize,
    truncated: bool,
}

/// Reads a recording for who had some ports.
///
/// # Errors
///
/// It is damaged before the time that was asked for is over.
pub fn history<R: Read>(chain: &mut Chain<R>, asked: &Asked) -> Result<Who, ReadError> {
    let Opening { header, facts } = chain.opening().clone();
    let hides_bound = leaves_out_bound(&header.kernel);
    let spaces = Spaces::told(facts.range_takes_every_port);
    let mut intake = Intake::new(Processes::told(), spaces, Shown::default());
    let mut past = Past {
        chronicles: asked.ports.iter().map(|port| Chronicle::new(*port)).collect(),
        names: FxHashMap::default(),
        looks: Vec::new(),
        clock: Clock::with_offset(facts.clock_offset_ns),
        end: facts.start,
        lost: 0,
        unreadable: 0,
        truncated: false,
    };
    let until = asked.at.or(asked.between.to);
    for entry in chain.by_ref() {
        match entry {
            Ok(Entry::Event(row)) => {
                past.end = past.end.max(row.mono());
                past.event(row.bytes(), &mut intake, &asked.ports);
            }
            Ok(Entry::Note(note)) => past.note(*note, &mut intake, hides_bound),
            // All that was asked for came before.
            Err(ReadError::Damaged { .. }) if until.is_some_and(|until| past.end > until) => break,
            Err(error) => return Err(error),
        }
    }
    let time = |mono: MonoNs| Rfc3339::text(past.clock.utc(mono));
    let recorded = RecordedRecord {
        from: time(facts.start),
        to: time(past.end),
        at: asked.at.map(time),
        releases: facts.releases,
        looks: past.looks.iter().map(|at| Rfc3339::text(*at)).collect(),
        lost: past.lost,
        cut: matches!(chain.ending(), Some(Ending::Cut { .. })),
    };
    let looked = past.looks.last().copied();
    Ok(Who {
        schema: SCHEMA,
        host: header.host,
        time: time(asked.at.unwrap_or(past.end)),
        bound_untold: hides_bound,
        kernel: header.kernel,
        ports: past.chronicles.iter().map(|one| past.port(one, asked, facts.releases, looked)).collect(),
        netns_asked: if asked.netns.is_empty() { past.names.len() } else { asked.netns.len() },
        unanswered: Vec::new(),
        unreadable_processes: past.unreadable,
        truncated: past.truncated,
        recorded: Some(recorded),
    })
}

impl Past {
    fn event(&mut self, record: &[u8], intake: &mut Intake, ports: &[Port]) {
        let Ok(event) = decode(record) else { return };
        let is_of = |port: Option<Port>| port.is_some_and(|port| ports.contains(&port));
        if !is_of(event.local_port()) && !is_of(event.requested_port()) && !event.names_leader() {
            return;
        }
        let Self { chronicles, clock, .. } = self;
        intake.take(record, |Arrival { event, process, .. }| {
            for one in chronicles.iter_mut() {
                one.event(event, process, *clock);
            }
        });
    }

    fn note(&mut self, note: Note, intake: &mut Intake, hides_bound: bool) {
        match note {
            Note::Scene(scene) => self.look(&scene, hides_bound),
            Note::Clock { offset_ns } => self.clock = Clock::with_offset(offset_ns),
            Note::Account(account) => {
                self.lost = account.lost;
                self.end = self.end.max(account.at);
            }
            Note::End(end) => {
                self.lost = end.account.lost;
                self.end = self.end.max(end.account.at);
            }
            other => intake.told(other),
        }
    }

    fn look(&mut self, scene: &SceneNote, hides_bound: bool) {
        for space in &scene.stock.spaces {
            self.names.insert(space.namespace.id, space.namespace.label());
        }
        let Self { chronicles, clock, .. } = self;
        for one in chronicles.iter_mut() {
            one.look(scene, hides_bound, *clock);
        }
        self.looks.push(self.clock.utc(scene.stock.began));
        self.end = self.end.max(scene.stock.ended);
        self.unreadable = self.unreadable.max(scene.holders.unreadable);
        self.truncated |= scene.stock.truncated || scene.holders.truncated;
    }

    fn port(
        &self,
        chronicle: &Chronicle,
        asked: &Asked,
        releases: bool,
        looked: Option<UtcNs>,
    ) -> PortRecord {
        let wanted = |netns: Option<NetnsId>| {
            asked.netns.is_empty() || netns.is_some_and(|netns| asked.netns.contains(&netns))
        };
        let Between { from, to, .. } = asked.between;
        let within = |first: MonoNs, last: MonoNs| {
            to.is_none_or(|to| first <= to) && from.is_none_or(|from| last >= from)
        };
        let mut tenures: Vec<&Tenure> = chronicle
            .tenures
            .iter()
            .filter(|one| wanted(one.netns))
            .filter(|one| match asked.at {
                Some(at) => one.had_it(at) != Some(false),
                None => within(one.from.mono, last_of(one)),
            })
            .collect();
        tenures.sort_by_key(|one| one.from);
        let refused: Vec<&Refused> = chronicle
            .refused
            .iter()
            .filter(|one| wanted(one.netns))
            .filter(|one| {
                asked.at.map_or_else(
                    || within(one.first.mono, one.last.mono),
                    |at| one.first.mono <= at && at <= one.last.mono,
                )
            })
            .collect();
        PortRecord {
            port: chronicle.port.get(),
            places: Vec::new(),
            verdict: Some(verdict(chronicle.port, &tenures, &refused, asked.at)),
            history: tenures.iter().map(|one| self.tenure(one, asked.at, releases, looked)).collect(),
            refused: refused.iter().map(|one| self.refused(one)).collect(),
        }
    }

    fn label(&self, netns: Option<NetnsId>) -> Option<String> {
        netns.and_then(|netns| self.names.get(&netns).cloned())
    }

    fn tenure(
        &self,
        one: &Tenure,
        at: Option<MonoNs>,
        releases: bool,
        looked: Option<UtcNs>,
    ) -> TenureRecord {
        let text = |stamp: Stamp| Rfc3339::text(stamp.utc);
        let is_found = one.origin == Origin::Found;
        let (to, end, gone_by) = match one.finish {
            Finish::Released(at, ReleaseState::TimeWait) => (Some(text(at)), "time_wait", None),
            Finish::Released(at, _) => (Some(text(at)), "released", None),
            Finish::Gone(by) => (None, "gone", Some(text(by))),
            // Its release would have been seen, or the last look saw it.
            Finish::Open if looked.is_some_and(|looked| one.seen.utc >= looked) => (None, "held", None),
            Finish::Open if releases && matches!(one.origin, Origin::Chosen(_)) => (None, "held", None),
            Finish::Open => (None, "unknown", None),
        };
        TenureRecord {
            netns: one.netns.map(NetnsId::get),
            label: self.label(one.netns),
            proto: one.proto.name().to_owned(),
            owner: one.pid.map(|pid| owner(pid, &one.process)),
            local_addr: one.local,
            remote_addr: one.remote.map(|(addr, _)| addr),
            remote_port: one.remote.map(|(_, port)| port),
            how: match one.origin {
                Origin::Chosen(site) => Some(site.name().to_owned()),
                Origin::Named(_) => Some("explicit".to_owned()),
                Origin::Found => None,
            },
            from: (!is_found).then(|| text(one.from)),
            seen_from: is_found.then(|| text(one.from)),
            seen_to: text(one.seen),
            to,
            end: end.to_owned(),
            gone_by,
            accepted: one.accepted,
            at_that_time: at.and_then(|at| one.had_it(at)),
        }
    }

    fn refused(&self, one: &Refused) -> RefusedRecord {
        RefusedRecord {
            netns: one.netns.map(NetnsId::get),
            label: self.label(one.netns),
            proto: one.proto.name().to_owned(),
            owner: owner(one.pid, &one.process),
            local_addr: one.local,
            remote_addr: one.remote.map(|(addr, _)| addr),
            remote_port: one.remote.map(|(_, port)| port),
            site: one.site.name().to_owned(),
            error: one.errno.and_then(Errno::name).map(str::to_owned),
            count: one.count,
            first: Rfc3339::text(one.first.utc),
            last: Rfc3339::text(one.last.utc),
        }
    }
}

/// The last time at which it may have had the port.
fn last_of(one: &Tenure) -> MonoNs {
    match one.finish {
        Finish::Released(at, _) | Finish::Gone(at) => at.mono,
        Finish::Open => MonoNs(u64::MAX),
    }
}

fn owner(pid: Pid, process: &Process) -> OwnerRecord {
    let text = |text: Option<&str>| text.map(str::to_owned);
    OwnerRecord {
        pid: pid.0,
        comm: text(process.comm()),
        exe: text(process.exe()),
        unit: text(process.unit()),
        container: text(process.container()),
        pod: text(process.pod()),
    }
}

/// The same words as of a host that is asked.
fn verdict(port: Port, tenures: &[&Tenure], refused: &[&Refused], at: Option<MonoNs>) -> VerdictRecord {
    let port = port.get();
    let times: u64 = refused.iter().map(|one| one.count).sum();
    let (word, reason) = match (tenures, at) {
        ([], Some(_)) => ("OK", format!("{port} was free then: nobody is known to have had it")),
        (all, Some(at)) => {
            let sure = all.iter().find(|one| one.had_it(at) == Some(true));
            match sure.or(all.first()) {
                Some(one) if one.serves => {
                    ("OK", format!("{port}/{} was {}", one.proto.name(), served(sure.is_some())))
                }
                Some(one) => (
                    "CONFLICT",
                    format!("{port}/{} {} by an outgoing connection", one.proto.name(), held(sure.is_some())),
                ),
                None => ("OK", format!("{port} was free then")),
            }
        }
        ([], None) if times == 0 => ("OK", format!("{port} was free: nobody had it, nobody was refused it")),
        (all, None) if times != 0 => {
            let had = match all.len() {
                0 => "nobody was seen to have it".to_owned(),
                1 => "1 had it".to_owned(),
                many => format!("{many} had it"),
            };
            let refusals = if times == 1 { "1 refusal".to_owned() } else { format!("{times} refusals") };
            ("CONFLICT", format!("{port}: {refusals}; {had}"))
        }
        ([_], None) => ("OK", format!("{port}: 1 had it, nobody was refused it")),
        (all, None) => ("OK", format!("{port}: {} had it, nobody was refused it", all.len())),
    };
    VerdictRecord { word: word.to_owned(), reason, finding: None }
}

const fn served(is_sure: bool) -> &'static str {
    if is_sure { "served then" } else { "perhaps served then" }
}

const fn held(is_sure: bool) -> &'static str {
    if is_sure { "was held" } else { "was perhaps held" }
}
