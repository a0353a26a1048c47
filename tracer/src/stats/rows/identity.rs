//! What a process is called, shared by all that are called so.

use std::{
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use rustc_hash::{FxHashMap, FxHasher};

use crate::enrich::Process;

/// What processes are told apart by, but for their number; whatever is none could not be learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Name of the first thread.
    pub comm: Option<Box<str>>,
    /// Path of the executable.
    pub exe: Option<Box<str>>,
    /// systemd service or scope.
    pub unit: Option<Box<str>>,
    /// Id of the container.
    pub container: Option<Box<str>>,
    /// UID of the Kubernetes pod.
    pub pod: Option<Box<str>>,
}

impl Identity {
    fn of(process: &Process) -> Self {
        let [comm, exe, unit, container, pod] = texts(process).map(|text| text.map(Box::from));
        Self { comm, exe, unit, container, pod }
    }

    fn is_of(&self, process: &Process) -> bool {
        let mine = [&self.comm, &self.exe, &self.unit, &self.container, &self.pod].map(Option::as_deref);
        mine == texts(process)
    }
}

fn texts(process: &Process) -> [Option<&str>; 5] {
    [process.comm(), process.exe(), process.unit(), process.container(), process.pod()]
}

/// Identities by a hash of their texts: ten thousand runs of one program share one.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities(FxHashMap<u64, Arc<Identity>>);

impl Identities {
    pub(super) fn of(&mut self, process: &Process, most: usize) -> Arc<Identity> {
        let mut hasher = FxHasher::default();
        texts(process).hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(known) = self.0.get(&hash).filter(|known| known.is_of(process)) {
            return Arc::clone(known);
        }
        if self.0.len() >= most {
            self.0.retain(|_, identity| Arc::strong_count(identity) > 1);
        }
        let identity = Arc::new(Identity::of(process));
        self.0.insert(hash, Arc::clone(&identity));
        identity
    }
}
