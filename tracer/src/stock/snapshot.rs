//! Everything at once: all namespaces, or some, asked one after the other.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Counters, Ground, MOST_POOLS, MOST_SOCKETS, NAMED, Namespace, Netns, NetnsConfig, PROTOCOLS, Pools,
    PortSet, Settings, Socket, Sockets, StockError, enter::travel, listeners::sockets_on, namespaces,
    sysctl::Sysctls,
};
use crate::{
    enrich::monotonic_now,
    event::{MonoNs, NetnsId, Port, Protocol},
};

/// What is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Only these namespaces; none means all.
    pub only: Option<Vec<NetnsId>>,
    /// Where namespaces have names.
    pub named_dir: PathBuf,
    /// Sockets of these protocols.
    pub protocols: Vec<Protocol>,
    /// Sockets of all namespaces together, 64 bytes each.
    pub most_sockets: usize,
}

impl Default for Wanted {
    /// All that can be asked for.
    fn default() -> Self {
        Self {
            only: None,
            named_dir: PathBuf::from(NAMED),
            protocols: PROTOCOLS.to_vec(),
            most_sockets: MOST_SOCKETS,
        }
    }
}

/// Which part of a namespace could not be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of it: it could not be opened or entered.
    Namespace,
    /// Its range.
    Config,
    /// Its settings.
    Settings,
    /// Its counters.
    Counters,
    /// Its sockets.
    Sockets,
}

/// A question that had no answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Of which namespace.
    pub netns: NetnsId,
    /// Which question.
    pub part: Part,
    /// Why.
    pub error: StockError,
}

/// One namespace; what could not be learned is none, and among [`Stock::failures`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetnsStock {
    /// Which one.
    pub namespace: Namespace,
    /// Its range.
    pub config: Option<NetnsConfig>,
    /// Its settings.
    pub settings: Option<Settings>,
    /// Its counters.
    pub counters: Option<Counters>,
    /// Its sockets.
    pub sockets: Option<Sockets>,
}

/// What there was, at a time.
///
/// At most 4,096 namespaces, and [`Wanted::most_sockets`] sockets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Stock {
    /// By number.
    pub spaces: Vec<NetnsStock>,
    /// What could not be learned.
    pub failures: Vec<Failure>,
    /// Processes whose namespace we may not know.
    pub unreadable: usize,
    /// There were more processes, namespaces or sockets than are looked at.
    pub truncated: bool,
    /// When the first question was asked.
    pub began: MonoNs,
    /// When the last answer was there.
    pub ended: MonoNs,
}

/// What a namespace answered.
struct Answers {
    config: Result<NetnsConfig, StockError>,
    settings: Result<Settings, StockError>,
    counters: Result<Counters, StockError>,
    sockets: Result<Sockets, StockError>,
}

/// Asks the namespace of the running thread, one after the other.
struct Asker<'a> {
    proc_root: &'a Path,
    protocols: &'a [Protocol],
    /// Sockets that may still be held.
    left: usize,
}

impl Asker<'_> {
    fn ask(&mut self, id: NetnsId) -> Answers {
        let sysctls = Sysctls::here(self.proc_root);
        let answers = Answers {
            config: NetnsConfig::here(id, &sysctls),
            settings: Settings::here(&sysctls),
            counters: Counters::here(self.proc_root, &sysctls),
            sockets: Sockets::here(self.proc_root, self.protocols, self.left),
        };
        let held = answers.sockets.as_ref().map_or(0, |sockets| sockets.list.len());
        self.left = self.left.saturating_sub(held);
        answers
    }
}

impl Stock {
    /// Asks all namespaces that have processes or names, or those that are wanted; `proc_root` must be a real
    /// `/proc`. Namespaces that cannot be asked are failures among the rest.
    pub fn take(proc_root: &Path, wanted: &Wanted) -> Result<Self, StockError> {
        let began = monotonic_now();
        let all = namespaces(proc_root, &wanted.named_dir)?;
        let mut stock =
            Self { unreadable: all.unreadable, truncated: all.truncated, began, ..Self::default() };
        let is_wanted = |id: NetnsId| wanted.only.as_ref().is_none_or(|only| only.contains(&id));
        let own = Netns::own().ok();
        let is_ours = |one: &Namespace| own.as_ref().is_some_and(|own| own.id() == one.id);
        let (ours, others): (Vec<_>, Vec<_>) =
            all.list.into_iter().filter(|one| is_wanted(one.id)).partition(is_ours);
        let mut asker = Asker { proc_root, protocols: &wanted.protocols, left: wanted.most_sockets };
        // Our own takes neither rights nor a thread.
        for namespace in ours {
            let answers = asker.ask(namespace.id);
            stock.add(namespace, Ok(answers));
        }
        if !others.is_empty() {
            stock.visit(others, asker);
        }
        stock.spaces.sort_by_key(|space| space.namespace.id);
        stock.ended = monotonic_now();
        Ok(stock)
    }

    /// Asks namespaces with one thread, which enters them in turn.
    fn visit(&mut self, mut namespaces: Vec<Namespace>, mut asker: Asker<'_>) {
        let visited = travel(|enter| {
            for namespace in namespaces.drain(..) {
                // Another one may have the file meanwhile.
                let netns = Netns::open(&namespace.path).and_then(|netns| netns.checked(namespace.id));
                let entered = netns.and_then(|netns| enter(&netns));
                let answers = entered.map(|()| asker.ask(namespace.id));
                self.add(namespace, answers);
            }
        });
        let Err(refused) = visited else { return };
        for namespace in namespaces {
            let source = refused.raw_os_error().map_or(refused.kind().into(), io::Error::from_raw_os_error);
            let path = namespace.path.clone();
            self.add(namespace, Err(StockError::Thread { path, source }));
        }
    }

    /// Takes in what a namespace answered.
    fn add(&mut self, namespace: Namespace, answers: Result<Answers, StockError>) {
        let netns = namespace.id;
        let mut space = NetnsStock { namespace, config: None, settings: None, counters: None, sockets: None };
        let mut fail = |part, error| self.failures.push(Failure { netns, part, error });
        match answers {
            Err(error) => fail(Part::Namespace, error),
            Ok(Answers { config, settings, counters, sockets }) => {
                space.config = config.map_err(|error| fail(Part::Config, error)).ok();
                space.settings = settings.map_err(|error| fail(Part::Settings, error)).ok();
                space.counters = counters.map_err(|error| fail(Part::Counters, error)).ok();
                space.sockets = sockets.map_err(|error| fail(Part::Sockets, error)).ok();
            }
        }
        self.truncated |= space.sockets.as_ref().is_some_and(|sockets| sockets.truncated);
        self.spaces.push(space);
    }

    /// The same once more; of failures, what they tell.
    #[must_use]
    pub fn copy(&self) -> Self {
        let told = |failure: &Failure| Failure { error: failure.error.retold(), ..*failure };
        Self { spaces: self.spaces.clone(), failures: self.failures.iter().map(told).collect(), ..*self }
    }

    /// A namespace of it.
    #[must_use]
    pub fn space(&self, id: NetnsId) -> Option<&NetnsStock> {
        self.spaces.iter().find(|space| space.namespace.id == id)
    }

    /// The sockets on a local port in all namespaces, whatever their protocol and state.
    pub fn who(&self, port: Port) -> impl Iterator<Item = (&NetnsStock, &Socket)> {
        self.spaces
            .iter()
            .flat_map(move |space| sockets_on(space.list(), port).map(move |socket| (space, socket)))
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spaces.iter().map(|space| space.list().len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl NetnsStock {
    /// Its sockets; nothing where they could not be learned.
    #[must_use]
    pub fn list(&self) -> &[Socket] {
        self.sockets.as_ref().map_or(&[], |sockets| &sockets.list)
    }

    /// Its fullest pools, when the flow knows of these ports that a bind holds; none where its settings could not
    /// be learned.
    #[must_use]
    pub fn pools(&self, binders: &PortSet) -> Option<Pools> {
        let (config, settings) = (self.config.as_ref()?, self.settings.as_ref()?);
        let ground = Ground { sockets: self.list(), config, settings, binders };
        Some(Pools::of(&ground, MOST_POOLS))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener};

    use super::*;
    use crate::event::Pid;

    #[test]
    fn our_own_namespace_is_taken_and_our_listener_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = Netns::of_process(Path::new("/proc"), Pid(std::process::id())).unwrap().id();
        let stock =
            Stock::take(Path::new("/proc"), &Wanted { only: Some(vec![own]), ..Wanted::default() }).unwrap();
        assert!(stock.failures.is_empty(), "{:?}", stock.failures);
        assert_eq!(stock.spaces.len(), 1);
        let space = stock.space(own).unwrap();
        assert!(space.config.is_some() && space.settings.is_some() && space.counters.is_some());
        let sockets = space.sockets.as_ref().unwrap();
        assert!(stock.began <= sockets.began && sockets.ended <= stock.ended);
        let port = Port::new(listener.local_addr().unwrap().port()).unwrap();
        assert!(stock.who(port).any(|(_, socket)| socket.state == super::super::State::Listen));
        assert!(!stock.is_empty());
    }

    #[test]
    fn a_namespace_that_cannot_be_asked_is_a_failure_among_the_rest() {
        let root = std::env::temp_dir().join(format!("portscope-{}-snapshot", std::process::id()));
        fs::create_dir_all(root.join("9/ns")).unwrap();
        std::os::unix::fs::symlink("net:[77]", root.join("9/ns/net")).unwrap();
        let wanted = Wanted { named_dir: PathBuf::from("/nowhere"), ..Wanted::default() };
        let stock = Stock::take(&root, &wanted).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((stock.spaces.len(), stock.len()), (1, 0));
        let [failure] = stock.failures.as_slice() else { panic!("{:?}", stock.failures) };
        assert_eq!((failure.netns.get(), failure.part), (77, Part::Namespace));
        assert!(failure.error.to_string().contains("9/ns/net"));
    }

    #[test]
    fn no_more_sockets_than_wanted_are_held() {
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stock =
            Stock::take(Path::new("/proc"), &Wanted { most_sockets: 0, ..Wanted::default() }).unwrap();
        assert!(stock.truncated && stock.is_empty());
    }
}
