//! The programs: shims that know how a hook's arguments arrive, three sets of them around one core.
//!
//! Names are `<how>_<where>`, at most 15 bytes (the kernel keeps no more): `fe` fentry, `fx` fexit, `kp`
//! kprobe, `kr` kretprobe, `tp` tracepoint, `cg` cgroup.

mod cgroup;
mod fentry;
mod kprobe;
mod tracepoint;
