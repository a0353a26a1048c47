//! What is there now: network namespaces, their settings, counters and sockets, and the pools that follow.
//!
//! This room asks the kernel; it never guesses from the flow of events. It knows events and, to name the holders
//! of sockets and to tell the time, `enrich`; nothing of statistics, output or commands.

mod counters;
mod enter;
mod error;
mod folder;
mod holders;
mod listeners;
mod namespaces;
mod netns;
mod pools;
mod settings;
mod snapshot;
mod sockets;
mod sysctl;

pub use counters::Counters;
pub use enter::Netns;
pub use error::StockError;
pub use holders::{Holder, Holders, MOST_DESCRIPTORS, WhichHolders};
pub use listeners::{ExposedListener, exposed_listeners, sockets_on};
pub use namespaces::{NAMED, Namespace, Namespaces, namespaces};
pub use netns::NetnsConfig;
pub use pools::{
    Blocking, CliffWall, Ground, Half, Halves, Held, MOST_POOLS, Parity, Pool, PoolKey, Pools, PortMap,
    PortSet, ReuseRule, TIME_WAIT_S,
};
pub use settings::{Settings, TimeWaitReuse};
pub use snapshot::{Failure, NetnsStock, Part, Stock, Wanted};
pub use sockets::{
    End, Inode, MOST_SOCKETS, PROTOCOLS, Reply, ReplyError, Socket, Sockets, State, leaves_out_bound,
    read_reply,
};
pub use sysctl::{parse_range, parse_reserved, parse_step_width};
