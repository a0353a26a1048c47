//! The sockets of one network namespace, asked of `sock_diag` (man 7 sock_diag).
//!
//! A dump is no snapshot: sockets come and go while it runs, hence [`Sockets::began`] and [`Sockets::ended`].

mod ask;
mod message;
mod reply;
mod socket;
mod state;
mod untold;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use reply::{End, Reply, ReplyError, read_reply};
pub use socket::{Inode, Socket};
pub use state::State;
pub use untold::leaves_out_bound;

use self::ask::Diag;
use super::{Netns, StockError};
use crate::{
    enrich::monotonic_now,
    event::{MonoNs, Protocol},
};

/// Sockets that one dump, or one stock, holds at most: 64 MiB.
pub const MOST_SOCKETS: usize = 1 << 20;

/// How often a dump is begun that was disturbed each time.
const ATTEMPTS: u32 = 3;

/// The protocols whose sockets can be asked for.
pub const PROTOCOLS: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Sctp];

/// The sockets of a namespace, as one dump told them.
///
/// Kernels before 6.8 do not tell TCP sockets that are bound and nothing else: [`Sockets::bound_untold`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// In the kernel's order.
    pub list: Vec<Socket>,
    /// Before the first question was asked.
    pub began: MonoNs,
    /// After the last answer.
    pub ended: MonoNs,
    /// A dump was disturbed again and again: sockets may be missing, or be there twice.
    pub interrupted: bool,
    /// There were more sockets than were wanted.
    pub truncated: bool,
    /// Protocols that this kernel has, but whose sockets it cannot tell (no `udp_diag`, for one). Of one that it
    /// does not have at all there are no sockets.
    pub untold: Vec<Protocol>,
    /// This kernel leaves out TCP sockets that are bound and nothing else.
    pub bound_untold: bool,
}

impl Sockets {
    /// Asks a namespace for its sockets of these protocols, `most` of them at most; `proc_root` must be a real
    /// `/proc`.
    pub fn of(
        netns: &Netns,
        proc_root: &Path,
        protocols: &[Protocol],
        most: usize,
    ) -> Result<Self, StockError> {
        netns.inside(|| Self::here(proc_root, protocols, most))?
    }

    /// Asks the namespace of this thread.
    pub fn here(proc_root: &Path, protocols: &[Protocol], most: usize) -> Result<Self, StockError> {
        let mut all =
            Self { began: monotonic_now(), bound_untold: untold::leaves_out_bound_here(), ..Self::default() };
        let mut diag = Diag::open()?;
        for protocol in PROTOCOLS.into_iter().filter(|one| protocols.contains(one)) {
            if !is_there(protocol, proc_root) {
                continue;
            }
            for family in [message::INET, message::INET6] {
                if !all.dump(&mut diag, protocol, family, most)? {
                    all.untold.push(protocol);
                    break;
                }
            }
        }
        all.ended = monotonic_now();
        Ok(all)
    }

    /// Appends the sockets of a protocol and family; says whether the kernel can tell them.
    fn dump(
        &mut self,
        diag: &mut Diag,
        protocol: Protocol,
        family: u8,
        most: usize,
    ) -> Result<bool, StockError> {
        let before = self.list.len();
        for attempt in 1..=ATTEMPTS {
            self.list.truncate(before);
            let Some(reply) = diag.dump(protocol, family, most, &mut self.list)? else {
                return Ok(false);
            };
            self.truncated |= reply.truncated;
            if !reply.interrupted {
                break;
            }
            self.interrupted |= attempt == ATTEMPTS;
        }
        Ok(true)
    }
}

/// Whether this kernel has the protocol. To ask for sockets of one that it has not may load its module.
fn is_there(protocol: Protocol, proc_root: &Path) -> bool {
    let net = proc_root.join("thread-self/net");
    match protocol {
        Protocol::UdpLite => net.join("udplite").exists(),
        Protocol::Sctp => net.join("sctp").exists(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
