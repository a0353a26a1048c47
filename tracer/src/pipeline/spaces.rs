//! The network namespaces behind events, read when first seen.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::{
    event::{Event, NetnsId, SearchRules},
    stock::{Namespaces, Netns, NetnsConfig, Settings, Stock, StockError, namespaces},
};

/// Namespaces that are remembered.
const MOST: usize = 4096;
/// A setting of a namespace that changes meanwhile is noticed after this long.
const FRESH: Duration = Duration::from_secs(10);

/// Ranges and reserved ports by namespace.
#[derive(Debug)]
pub struct Spaces {
    /// None where settings are told, not read.
    proc_root: Option<PathBuf>,
    places: FxHashMap<NetnsId, usize>,
    known: Vec<Known>,
    /// The namespace that was last asked for in this batch, and its place: most events are of one.
    last: Option<(NetnsId, usize)>,
    range_takes_every_port: bool,
    now: Instant,
    /// Settings that were read and are others than were known, if anybody wants to know.
    changed: Vec<NetnsConfig>,
    notes_changes: bool,
}

/// The namespaces of a host, and what they are set to.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Those that there are.
    pub namespaces: Namespaces,
    /// The ranges of those that could be asked.
    pub configs: Vec<NetnsConfig>,
    /// Their other settings.
    pub settings: Vec<(NetnsId, Settings)>,
}

#[derive(Debug)]
struct Known {
    /// None where it could not be read: its processes were gone.
    config: Option<NetnsConfig>,
    read: Instant,
}

impl Spaces {
    /// None known yet. `range_takes_every_port` is a fact about the kernel ([`SearchRules`]).
    #[must_use]
    pub fn new(proc_root: &Path, range_takes_every_port: bool) -> Self {
        Self {
            proc_root: Some(proc_root.to_owned()),
            changed: Vec::new(),
            places: FxHashMap::default(),
            known: Vec::new(),
            last: None,
            range_takes_every_port,
            now: Instant::now(),
            notes_changes: false,
        }
    }

    /// Those of a recording: what is not told is not known.
    #[must_use]
    pub fn told(range_takes_every_port: bool) -> Self {
        Self { proc_root: None, ..Self::new(Path::new(""), range_takes_every_port) }
    }

    /// Tells the settings of a namespace of a recording.
    pub fn tell(&mut self, config: NetnsConfig) {
        self.keep(config.id, Some(config));
    }

    /// Notes from now on which settings change.
    pub fn note_changes(&mut self) {
        self.notes_changes = true;
    }

    /// The settings that have changed since this was asked last.
    pub fn changed(&mut self) -> Vec<NetnsConfig> {
        std::mem::take(&mut self.changed)
    }

    /// Notes the time, once a batch: reading the clock for each event would cost more than the look-up.
    pub fn begin_batch(&mut self) {
        self.now = Instant::now();
        self.last = None;
    }

    /// Reads the namespaces of the host as it is now.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub fn survey(&mut self) -> Result<Learned, StockError> {
        let proc_root = self.proc_root.clone().unwrap_or_default();
        let all = namespaces(&proc_root, Path::new(crate::stock::NAMED))?;
        let (mut configs, mut settings) = (Vec::new(), Vec::new());
        for namespace in all.list.iter().take(MOST) {
            let read = Netns::open(&namespace.path).and_then(|netns| {
                Ok((NetnsConfig::of(&netns, &proc_root)?, Settings::of(&netns, &proc_root).ok()))
            });
            match read {
                Ok((config, set)) => {
                    settings.extend(set.map(|set| (namespace.id, set)));
                    configs.push(config.clone());
                    self.keep(namespace.id, Some(config));
                }
                Err(error) => log::debug!("{}: {error}", namespace.label()),
            }
        }
        Ok(Learned { namespaces: all, configs, settings })
    }

    /// Takes over what a stock tells of the namespaces, which was read just now.
    pub fn learn(&mut self, stock: &Stock) -> Learned {
        let configs: Vec<NetnsConfig> =
            stock.spaces.iter().filter_map(|space| space.config.clone()).collect();
        for config in configs.iter().take(MOST) {
            self.keep(config.id, Some(config.clone()));
        }
        let list = stock.spaces.iter().map(|space| space.namespace.clone()).collect();
        let settings =
            stock.spaces.iter().filter_map(|space| Some((space.namespace.id, space.settings?))).collect();
        let namespaces = Namespaces { list, unreadable: stock.unreadable, truncated: stock.truncated };
        Learned { namespaces, configs, settings }
    }

    /// What must be known to understand the search of an event.
    #[inline]
    pub fn rules(&mut self, event: &Event) -> SearchRules<'_> {
        let every = self.range_takes_every_port;
        let unknown = SearchRules { range_takes_every_port: every, ..SearchRules::default() };
        let Some(id) = event.netns() else { return unknown };
        let place = match self.last {
            Some((last, place)) if last == id => place,
            _ => self.place(id, event),
        };
        match self.known.get(place).and_then(|known| known.config.as_ref()) {
            Some(config) => config.search_rules(every),
            None => unknown,
        }
    }

    #[inline(never)]
    fn place(&mut self, id: NetnsId, event: &Event) -> usize {
        let is_told = self.proc_root.is_none();
        let fresh = |known: &Known| is_told || self.now.duration_since(known.read) <= FRESH;
        let known = self.places.get(&id).copied();
        let known = known.filter(|place| self.known.get(*place).is_some_and(fresh));
        let place = known.unwrap_or_else(|| match self.proc_root.clone() {
            Some(proc_root) => self.read(&proc_root, id, event),
            None => self.keep(id, None),
        });
        self.last = Some((id, place));
        place
    }

    fn read(&mut self, proc_root: &Path, id: NetnsId, event: &Event) -> usize {
        let config = Netns::of_process(proc_root, event.pid())
            .ok()
            .filter(|netns| netns.id() == id)
            .and_then(|netns| NetnsConfig::of(&netns, proc_root).ok());
        self.keep(id, config)
    }

    fn keep(&mut self, id: NetnsId, config: Option<NetnsConfig>) -> usize {
        let read = self.now;
        if let Some((place, known)) =
            self.places.get(&id).and_then(|place| Some((*place, self.known.get_mut(*place)?)))
        {
            let is_new = self.notes_changes && config.is_some() && known.config != config;
            self.changed.extend(config.clone().filter(|_| is_new));
            // A process that is gone leaves what was known before.
            *known = Known { config: config.or(known.config.take()), read };
            return place;
        }
        if self.known.len() >= MOST {
            self.places.clear();
            self.known.clear();
        }
        let place = self.known.len();
        self.changed.extend(config.clone().filter(|_| self.notes_changes));
        self.known.push(Known { config, read });
        self.places.insert(id, place);
        place
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::abi::{Record, present};
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::event::{PortRange, Reserved, decode};

    fn config(id: NetnsId, step_width: u32) -> NetnsConfig {
        NetnsConfig {
            id,
            range: PortRange::new(1, 9).unwrap(),
            reserved: Reserved::default(),
            reserved_text: String::new(),
            step_width: Some(step_width),
        }
    }

    #[test]
    fn each_event_has_the_rules_of_its_own_namespace() {
        let mut spaces = Spaces::new(Path::new("/nowhere"), false);
        for id in 1..=3 {
            let id = NetnsId::new(id).unwrap();
            spaces.keep(id, Some(config(id, id.get() & 1)));
        }
        for netns in [1, 1, 2, 3, 3, 2, 4, 1, 0, 2, 4] {
            let record = Record { netns, present: present::NETNS, ..Record::default() };
            let event = decode(record.as_bytes()).unwrap();
            for _ in 0..2 {
                let rules = spaces.rules(&event);
                assert_eq!(rules.reserved.is_some(), (1..=3).contains(&netns), "{netns}");
                assert_eq!(rules.step_width, netns == 1 || netns == 3, "{netns}");
            }
        }
    }

    #[test]
    fn a_namespace_that_cannot_be_read_again_keeps_what_was_known() {
        let mut spaces = Spaces::new(Path::new("/nowhere"), false);
        let id = NetnsId::new(7).unwrap();
        let place = spaces.keep(id, Some(config(id, 1)));
        assert_eq!(spaces.keep(id, None), place);
        assert!(spaces.known[place].config.is_some());
    }
}
