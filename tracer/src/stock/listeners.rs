//! Who is on a port, and which listeners stand where the kernel gives ports out.

use super::{NetnsConfig, Parity, PoolKey, PortSet, Socket, State};
use crate::event::Port;

/// A listener on a port of the range that is not reserved: at a restart, a connect may be given its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExposedListener<'a> {
    /// The socket.
    pub socket: &'a Socket,
    /// Its port.
    pub port: Port,
    /// Its owner may have named the port: nobody saw the kernel choose it. The stock itself cannot tell.
    pub may_be_fixed: bool,
    /// The port is of the half that bind(0) takes last. While the other half has room, the kernel does not choose
    /// such a port, and so its owner named it.
    pub against_parity: bool,
}

/// The listeners of a namespace within its effective range. `chosen`: ports that the kernel was seen to choose
/// for bind(0) or listen.
#[must_use]
pub fn exposed_listeners<'a>(
    sockets: &'a [Socket],
    config: &NetnsConfig,
    chosen: &PortSet,
) -> Vec<ExposedListener<'a>> {
    let exposed = |socket: &'a Socket| {
        let port = socket.local_port?;
        let is_exposed = socket.state == State::Listen
            && config.range.contains(port.get())
            && !config.reserved.contains(port.get());
        let key = PoolKey::Bind { proto: socket.protocol, laddr: socket.local_addr };
        is_exposed.then(|| ExposedListener {
            socket,
            port,
            may_be_fixed: !chosen.contains(port.get()),
            against_parity: key.first_parity(config).is_some_and(|first| first != Parity::of(port.get())),
        })
    };
    sockets.iter().filter_map(exposed).collect()
}

/// The sockets of a namespace on a local port, whatever their protocol and state.
pub fn sockets_on(sockets: &[Socket], port: Port) -> impl Iterator<Item = &Socket> {
    sockets.iter().filter(move |socket| socket.local_port == Some(port))
}
