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
    /// Of a recording; null where this host was asked.
    pub recorded: Option<RecordedRecord>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortRecord {
    /// Its number.
    pub port: u16,
    /// Where it is held: a namespace and a protocol each; empty where it is free.
    pub places: Vec<OccupancyRecord>,
    /// Of a recording: what it comes down to; null where this host was asked.
    pub verdict: Option<VerdictRecord>,
    /// Of a recording: who had it, in the order of their times; empty where this host was asked.
    pub history: Vec<TenureRecord>,
    /// Of a recording: who was refused it; empty where this host was asked.
    pub refused: Vec<RefusedRecord>,
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
    /// UID of the Kubernetes pod.
    pub pod: Option<String>,
}

/// What a recording that was read holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedRecord {
    /// Its beginning: RFC 3339, UTC.
    pub from: String,
    /// Its end.
    pub to: String,
    /// The moment that was asked for; null where the whole history was.
    pub at: Option<String>,
    /// Releases of ports that the kernel chose are in it: else ends are known to the next look alone.
    pub releases: bool,
    /// When all sockets were looked at.
    pub looks: Vec<String>,
    /// Events of which the count alone is known: who had the port may be among them.
    pub lost: u64,
    /// It has no end.
    pub cut: bool,
}

/// Somebody who had a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenureRecord {
    /// Inode number of the namespace.
    pub netns: Option<u32>,
    /// What to call it.
    pub label: Option<String>,
    /// Protocol.
    pub proto: String,
    /// Who; null where nobody, or nobody who could be seen, had the socket.
    pub owner: Option<OwnerRecord>,
    /// Local address.
    pub local_addr: Option<IpAddr>,
    /// Address of the peer.
    pub remote_addr: Option<IpAddr>,
    /// Port of the peer.
    pub remote_port: Option<u16>,
    /// `connect`, `bind`, `listen`, `autobind` where the kernel chose the port there; `explicit` where the port was
    /// named; null where a look found it.
    pub how: Option<String>,
    /// Since when: RFC 3339, UTC; null where it was not seen to begin.
    pub from: Option<String>,
    /// Where it was not seen to begin: when it was seen first.
    pub seen_from: Option<String>,
    /// When it was known to have it last.
    pub seen_to: String,
    /// When it ended; null where that was not seen.
    pub to: Option<String>,
    /// `released`, `time_wait` (released at the end of it), `gone` (not found any more by the look of `gone_by`), `held`
    /// (still there at the last look), `unknown`.
    pub end: String,
    /// The look that did not find it any more.
    pub gone_by: Option<String>,
    /// Connections beside it, which share its port.
    pub accepted: usize,
    /// Whether it had the port at the moment that was asked for; null where that is not known, or none was asked for.
    pub at_that_time: Option<bool>,
}

/// Somebody who was refused a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedRecord {
    /// Inode number of the namespace.
    pub netns: Option<u32>,
    /// What to call it.
    pub label: Option<String>,
    /// Protocol.
    pub proto: String,
    /// Who.
    pub owner: OwnerRecord,
    /// Local address.
    pub local_addr: Option<IpAddr>,
    /// Address of the peer, of a connect.
    pub remote_addr: Option<IpAddr>,
    /// Port of the peer.
    pub remote_port: Option<u16>,
    /// `bind`, `connect`, `listen`.
    pub site: String,
    /// Name of the errno; null where it could not be seen.
    pub error: Option<String>,
    /// How often.
    pub count: u64,
    /// For the first time.
    pub first: String,
    /// For the last time.
    pub last: String,
}
