//! Sockets behind a VRF: they search the same range, in tables of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, bail, ensure};
use rustix::io::Errno;

use crate::cli::Netns;
use crate::endpoint::{Endpoint, Sending};
use crate::ground::Ground;
use crate::namespace::{ip, write};
use crate::options::SocketOption;
use crate::sites;
use crate::stage::Stage;
use crate::transport::Transport;

/// The device, and its table of routes.
const DEVICE: &str = "vrf-ports";
const TABLE: &str = "1077";
/// Listeners and receivers that are bound to no device are reached from all.
const SHARED: [&str; 2] = ["/proc/sys/net/ipv4/tcp_l3mdev_accept", "/proc/sys/net/ipv4/udp_l3mdev_accept"];

/// The address of the device: no route outside its table leads there.
const fn here(ground: Ground) -> IpAddr {
    match ground {
        Ground::V4 | Ground::Mapped => IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)),
        Ground::V6 => IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1)),
    }
}

/// Plays the scenes, where the kernel has such devices.
pub(crate) fn run(stage: &Stage, netns: Netns) -> Result<()> {
    ensure!(netns == Netns::Own, "a device is made in a namespace of our own only: add --netns own");
    if ip(&["link", "add", DEVICE, "type", "vrf", "table", TABLE]).is_err() {
        return stage.absent("vrf", Errno::OPNOTSUPP);
    }
    ip(&["link", "set", DEVICE, "up"])?;
    for path in SHARED {
        write(path, "1")?;
    }
    for ground in sites::present(stage, vec![Ground::V4, Ground::V6])? {
        let width = if ground == Ground::V4 { 24 } else { 64 };
        ip(&["addr", "add", &format!("{}/{width}", here(ground)), "dev", DEVICE])?;
        streams(stage, ground)?;
        datagrams(stage, ground)?;
    }
    Ok(())
}

fn streams(stage: &Stage, ground: Ground) -> Result<()> {
    let open = |name| Endpoint::open(stage, name, ground, Transport::Tcp, &[SocketOption::Device(DEVICE)]);
    let at = |port| SocketAddr::new(here(ground), port);
    let mut listener = open("listen behind a VRF without a port")?;
    listener.listen()?;
    listener.end_without_reset()?;
    let to = at(listener.port());
    open("connect behind a VRF")?.connect(to)?;
    drop(listener.accept()?);
    open("connect behind a VRF that is refused")?.connect(at(1))?;
    let mut bound = open("bind(0) behind a VRF, then connect: one choice")?;
    bound.bind(at(0))?;
    bound.connect(to)?;
    drop(listener.accept()?);
    same_port_outside(stage, ground, &bound)
}

/// A port that is taken behind the VRF is free outside.
fn same_port_outside(stage: &Stage, ground: Ground, inside: &Endpoint<'_>) -> Result<()> {
    let name = "bind to a port that is taken behind a VRF";
    let mut outside = Endpoint::open(stage, name, ground, Transport::Tcp, &[])?;
    match outside.bind(ground.at(inside.port())) {
        Ok(()) => Ok(()),
        Err(error) => bail!("the port of the VRF is taken outside: {error}"),
    }
}

fn datagrams(stage: &Stage, ground: Ground) -> Result<()> {
    let open = |name| Endpoint::open(stage, name, ground, Transport::Udp, &[SocketOption::Device(DEVICE)]);
    let at = |port| SocketAddr::new(here(ground), port);
    let mut sink = open("bind(0) behind a VRF")?;
    sink.bind(at(0))?;
    open("connect behind a VRF")?.connect(at(sink.port()))?;
    open("sendto behind a VRF")?.send(Sending::SendTo, at(sink.port()))?;
    Ok(())
}
