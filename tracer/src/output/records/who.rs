//! The document of `who`.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommandRecord, VerdictRecord};

/// Who has some ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "who")]
pub struct Who {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// Name of the host.
    pub host: String,
    /// Release of its kernel.
    pub kernel: String,
    /// When it was looked at: RFC 3339, UTC.
    pub time: String,
    /// By port, in the order asked for.
    pub ports: Vec<PortRecord>,
    /// Namespaces that were asked.
    pub netns_asked: usize,
    /// Questions to namespaces that had no answer.
    pub unanswered: Vec<String>,
    /// Processes that could not be looked at.
    pub unreadable_processes: usize,
    /// There were more processes, namespaces or sockets than are looked at.
    pub truncated: bool,
    /// This kernel tells no TCP sockets that are bound and do nothing else (before Linux 6.8).
    pub bound_untold: bool,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortRecord {
    /// Its number.
    pub port: u16,
    /// Where it is held: a namespace and a protocol each; empty where it is free.
    pub places: Vec<OccupancyRecord>,
}

/// A port in a namespace, as one protocol sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OccupancyRecord {
    /// Inode number of the namespace.
    pub netns: u32,
    /// What to call it.
    pub label: String,
    /// Protocol.
    pub proto: String,
    /// `CONFLICT` where no service can have the port, `OK` where one has it.
    pub verdict: VerdictRecord,
    /// The sockets on it: those that serve, or else those that keep a service away.
    pub sockets: Vec<SocketRecord>,
    /// Connections beside a socket that serves: they share its port.
    pub accepted: usize,
    /// Why the kernel may give the port to somebody else; null where it cannot.
    pub why: Option<String>,
    /// What frees it.
    pub free: Vec<CommandRecord>,
    /// What keeps it free.
    pub reserve: Option<CommandRecord>,
    /// What does not help.
    pub wont_help: Vec<String>,
}

/// A socket on the port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SocketRecord {
    /// State, as `ss` names it.
    pub state: String,
    /// Local address.
    pub local_addr: IpAddr,
    /// Local port.
    pub local_port: u16,
    /// Address of its peer.
    pub remote_addr: Option<IpAddr>,
    /// Port of its peer.
    pub remote_port: Option<u16>,
    /// Milliseconds until the kernel drops it.
    pub time_left_ms: Option<u32>,
    /// User id of its owner.
    pub uid: Option<u32>,
    /// Since when: null, for nobody watched.
    pub since: Option<String>,
    /// A process can have it: it is no TIME_WAIT, orphan or request.
    pub has_descriptor: bool,
    /// The processes that have it; empty where none has, or none could be seen.
    pub holders: Vec<OwnerRecord>,
}

/// A process that has a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerRecord {
    /// Its number.
    pub pid: u32,
    /// Name of its first thread.
    pub comm: Option<String>,
    /// Path of its executable.
    pub exe: Option<String>,
    /// systemd service or scope.
    pub unit: Option<String>,
    /// Container id.
    pub container: Option<String>,
}
