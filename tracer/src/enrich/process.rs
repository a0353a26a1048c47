//! What is known of one process.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Cgroup, proc::ProcessDir, quote::push_json_string};
use crate::event::{Comm, Pid};

/// A process as the first of its events found it; whatever is none could not be learned. Copies share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Process(Arc<Facts>);

#[derive(Debug, PartialEq, Eq)]
struct Facts {
    comm: Option<Box<str>>,
    exe: Option<Box<str>>,
    cgroup: Option<Arc<Cgroup>>,
    json_comm: Box<str>,
    json_exe: Box<str>,
}

/// A process as it is written: what is none is left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exe: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
}

impl From<Process> for Written {
    fn from(process: Process) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Self {
            comm: own(process.comm()),
            exe: own(process.exe()),
            cgroup: own(process.cgroup().and_then(Cgroup::path)),
            unit: own(process.unit()),
            container: own(process.container()),
            pod: own(process.pod()),
        }
    }
}

impl From<Written> for Process {
    fn from(written: Written) -> Self {
        let Written { comm, exe, cgroup, unit, container, pod } = written;
        let names = [&cgroup, &unit, &container, &pod].map(Option::as_deref);
        let known = names.iter().any(Option::is_some);
        let [cgroup, unit, container, pod] = names;
        let cgroup = known.then(|| Arc::new(Cgroup::new(cgroup, unit, container, pod)));
        Self::new(comm.as_deref(), exe.as_deref(), cgroup)
    }
}

impl Process {
    /// A process of these names: of its leader, of its executable, of its cgroup.
    #[must_use]
    pub fn new(comm: Option<&str>, exe: Option<&str>, cgroup: Option<Arc<Cgroup>>) -> Self {
        Self(Arc::new(Facts {
            comm: comm.map(Box::from),
            exe: exe.map(Box::from),
            cgroup,
            json_comm: member("comm", comm),
            json_exe: member("exe", exe),
        }))
    }

    /// What `/proc` tells of a process that lives; none where there is none of this number. The caller must know
    /// by other means that it is still the one that is meant.
    #[must_use]
    pub fn alive(proc_root: &Path, pid: Pid) -> Option<Self> {
        let dir = ProcessDir::open(proc_root, pid, None)?;
        let cgroup = dir.cgroup().map(|text| Arc::new(Cgroup::parse(&text)));
        Some(Self::new(dir.comm().as_ref().map(Comm::lossy).as_deref(), dir.exe().as_deref(), cgroup))
    }

    /// A process of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(None, None, None)
    }

    /// Whether one is a copy of the other: quicker to tell than whether they are equal.
    #[must_use]
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Name of its first thread.
    #[must_use]
    pub fn comm(&self) -> Option<&str> {
        self.0.comm.as_deref()
    }

    /// Path of its executable, as the kernel says it (` (deleted)` behind it included).
    #[must_use]
    pub fn exe(&self) -> Option<&str> {
        self.0.exe.as_deref()
    }

    /// Its cgroup.
    #[must_use]
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.0.cgroup.as_deref()
    }

    /// Its cgroup, to be shared.
    pub(super) fn shared_cgroup(&self) -> Option<Arc<Cgroup>> {
        self.0.cgroup.clone()
    }

    /// Its systemd service or scope.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.cgroup()?.unit()
    }

    /// The id of its container.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        self.cgroup()?.container()
    }

    /// The UID of its Kubernetes pod.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        self.cgroup()?.pod()
    }

    /// What processes of one program have in common: their container or unit, and their executable or name.
    #[must_use]
    pub fn program(&self) -> (Option<&str>, Option<&str>) {
        (self.container().or(self.unit()), self.exe().or(self.comm()))
    }

    /// The member `"comm":…` of a JSON object.
    #[must_use]
    pub fn json_comm(&self) -> &str {
        &self.0.json_comm
    }

    /// The member `"exe":…` of a JSON object.
    #[must_use]
    pub fn json_exe(&self) -> &str {
        &self.0.json_exe
    }

    /// The members `"unit":…,"container":…,"pod":…` of a JSON object.
    #[must_use]
    pub fn json_place(&self) -> &str {
        self.0.cgroup.as_deref().map_or(r#""unit":null,"container":null,"pod":null"#, Cgroup::json)
    }
}

fn member(key: &str, value: Option<&str>) -> Box<str> {
    let mut json = format!("\"{key}\":").into_bytes();
    match value {
        Some(value) => push_json_string(&mut json, value),
        None => json.extend_from_slice(b"null"),
    }
    String::from_utf8_lossy(&json).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let full = [Some("/kubepods/x"), Some("a.scope"), Some("c0"), Some("p0")];
        for left_out in 0..16_u8 {
            let mut names = full;
            for (at, name) in names.iter_mut().enumerate() {
                if left_out >> at & 1 == 1 {
                    *name = None;
                }
            }
            let [path, unit, container, pod] = names;
            let cgroup = (left_out != 15).then(|| Arc::new(Cgroup::new(path, unit, container, pod)));
            let process = Process::new(Some("app"), None, cgroup);
            let text = serde_json::to_string(&process).unwrap();
            assert_eq!(serde_json::from_str::<Process>(&text).unwrap(), process, "{text}");
        }
    }

    #[test]
    fn what_was_written_before_pods_were_told_is_read() {
        let process: Process = serde_json::from_str(r#"{"comm":"app","container":"c0"}"#).unwrap();
        assert_eq!((process.container(), process.pod()), (Some("c0"), None));
    }
}
