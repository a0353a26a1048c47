//! Every site once: each family, protocol, call and option that leads to a choice of port, and those that do not.

use anyhow::{Context as _, Result};
use rustix::io::Errno;

use crate::cli::Sites;
use crate::ground::Ground;
use crate::stage::Stage;
use crate::transport::Transport;

mod datagram;
mod explicit;
mod stream;

/// Plays every scene; those on IPv6 in a thread of another name.
pub(crate) fn run(stage: &Stage, plan: &Sites) -> Result<()> {
    let grounds = present(stage, Ground::ALL.to_vec())?;
    for ground in grounds {
        if ground == Ground::V6 {
            std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().name("workload-v6".to_owned());
                let played = thread.spawn_scoped(scope, || on_ground(stage, plan, ground))?;
                played.join().map_err(|_panic| anyhow::anyhow!("the thread of the IPv6 scenes died"))?
            })?;
        } else {
            on_ground(stage, plan, ground)?;
        }
    }
    Ok(())
}

/// Grounds that the kernel has; without IPv6 only the first is left.
pub(crate) fn present(stage: &Stage, grounds: Vec<Ground>) -> Result<Vec<Ground>> {
    match Transport::Tcp.socket(Ground::V6) {
        Ok(_) => Ok(grounds),
        Err(errno) => {
            stage.absent("ipv6", errno)?;
            Ok(vec![Ground::V4])
        }
    }
}

/// Says whether the kernel has this transport, and tells it where it has not.
pub(crate) fn has(stage: &Stage, transport: Transport, ground: Ground) -> Result<bool> {
    match transport.socket(ground) {
        Ok(_) => Ok(true),
        Err(
            errno @ (Errno::PROTONOSUPPORT
            | Errno::SOCKTNOSUPPORT
            | Errno::AFNOSUPPORT
            | Errno::ACCESS
            | Errno::NOPROTOOPT),
        ) => {
            stage.absent(transport.word(), errno)?;
            Ok(false)
        }
        Err(errno) => Err(errno).with_context(|| format!("opening a {} socket", transport.word())),
    }
}

fn on_ground(stage: &Stage, plan: &Sites, ground: Ground) -> Result<()> {
    for &transport in &plan.protocols {
        if !has(stage, transport, ground)? {
            continue;
        }
        let played = match transport {
            Transport::Tcp => {
                stream::all(stage, ground).and_then(|()| explicit::all(stage, ground, transport))
            }
            Transport::Mptcp | Transport::Smc => stream::plain(stage, ground, transport),
            Transport::Sctp | Transport::Dccp => stream::one_way(stage, ground, transport),
            Transport::Udp | Transport::Udplite => {
                datagram::all(stage, ground, transport).and_then(|()| explicit::all(stage, ground, transport))
            }
            Transport::Icmp => datagram::ping(stage, ground),
        };
        played.with_context(|| format!("{} on {}", transport.word(), ground.word()))?;
    }
    Ok(())
}
