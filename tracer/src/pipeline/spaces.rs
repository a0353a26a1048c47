//! The network namespaces behind events, read when first seen.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::{
    event::{Event, NetnsId, SearchRules},
    stock::{Namespaces, Netns, NetnsConfig, StockError, namespaces},
};

/// Namespaces that are remembered.
const MOST: usize = 4096;
/// A setting of a namespace that changes meanwhile is noticed after this long.
const FRESH: Duration = Duration::from_secs(10);

/// Ranges and reserved ports by namespace.
#[derive(Debug)]
pub struct Spaces {
    proc_root: PathBuf,
    known: FxHashMap<NetnsId, Known>,
    range_takes_every_port: bool,
    now: Instant,
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
            proc_root: proc_root.to_owned(),
            known: FxHashMap::default(),
            range_takes_every_port,
            now: Instant::now(),
        }
    }

    /// Notes the time, once a batch: reading the clock for each event would cost more than the look-up.
    pub fn begin_batch(&mut self) {
        self.now = Instant::now();
    }

    /// Reads the namespaces of the host as it is now.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub fn survey(&mut self) -> Result<(Namespaces, Vec<NetnsConfig>), StockError> {
        let all = namespaces(&self.proc_root, Path::new(crate::stock::NAMED))?;
        let mut configs = Vec::new();
        for namespace in all.list.iter().take(MOST) {
            let read =
                Netns::open(&namespace.path).and_then(|netns| NetnsConfig::of(&netns, &self.proc_root));
            match read {
                Ok(config) => {
                    configs.push(config.clone());
                    self.known.insert(namespace.id, Known { config: Some(config), read: self.now });
                }
                Err(error) => log::debug!("{}: {error}", namespace.label()),
            }
        }
        Ok((all, configs))
    }

    /// What must be known to understand the search of an event.
    pub fn rules(&mut self, event: &Event) -> SearchRules<'_> {
        let every = self.range_takes_every_port;
        let unknown = SearchRules { range_takes_every_port: every, ..SearchRules::default() };
        let Some(id) = event.netns() else { return unknown };
        let now = self.now;
        let stale = self.known.get(&id).is_none_or(|known| now.duration_since(known.read) > FRESH);
        if stale {
            self.read(id, event);
        }
        match self.known.get(&id).and_then(|known| known.config.as_ref()) {
            Some(config) => config.search_rules(every),
            None => unknown,
        }
    }

    fn read(&mut self, id: NetnsId, event: &Event) {
        let read = Netns::of_process(&self.proc_root, event.pid())
            .ok()
            .filter(|netns| netns.id() == id)
            .and_then(|netns| NetnsConfig::of(&netns, &self.proc_root).ok());
        if self.known.len() >= MOST && !self.known.contains_key(&id) {
            self.known.clear();
        }
        // A process that is gone leaves what was known before.
        let before = self.known.remove(&id).and_then(|known| known.config);
        self.known.insert(id, Known { config: read.or(before), read: self.now });
    }
}
