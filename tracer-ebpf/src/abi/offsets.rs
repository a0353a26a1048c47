//! Where the fields of kernel structures lie: one table makes the structure that the programs read and the
//! list that userspace resolves from the kernel's BTF.

use core::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An offset that was not resolved: the field is absent on this kernel.
pub const POISON: u32 = u32::MAX;

/// Where a bit field starts.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct BitOffset {
    /// Byte offset of its first bit, or [`POISON`].
    pub byte: u32,
    /// Bits to shift right, below 8.
    pub shift: u32,
}

/// How a field is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A whole field of this many bytes; its size in the BTF must be the same.
    Bytes(u32),
    /// A bit field (or a whole byte), whose first bit is wanted.
    Bits,
    /// A bit of the word at the path, numbered by the enumerator of this name.
    FlagBit(&'static str),
    /// A 16-bit number at this index of a pair that is two 16-bit, two 32-bit, or the halves of one
    /// 32-bit number.
    Pair(u32),
}

/// Whether tracing can do without a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it nothing is right.
    Required,
    /// Without it something is `null`.
    Optional,
    /// Needed by the tracepoint backend only.
    Tracepoint,
}

/// One field: how it is called here, and where to look for it.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Name in [`FieldOffsets`].
    pub name: &'static str,
    /// Structure and member path, first match wins.
    pub paths: &'static [(&'static str, &'static str, FieldKind)],
    /// Whether it may be missing.
    pub need: Need,
    /// Byte position in [`FieldOffsets`].
    pub at: usize,
    /// Whether it is a [`BitOffset`] rather than a `u32`.
    pub bits: bool,
}

macro_rules! field_offsets {
    (@ty byte) => { u32 };
    (@ty bit) => { BitOffset };
    (@poison byte) => { POISON };
    (@poison bit) => { BitOffset { byte: POISON, shift: 0 } };
    (@bits byte) => { false };
    (@bits bit) => { true };
    ($($(#[$doc:meta])* $shape:ident $name:ident $need:ident [$($path:tt)*];)*) => {
        /// Byte offsets of kernel fields, resolved by userspace; [`POISON`] where absent.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub struct FieldOffsets {
            $($(#[$doc])* pub $name: field_offsets!(@ty $shape),)*
        }

        impl FieldOffsets {
            /// Nothing resolved.
            pub const UNRESOLVED: Self = Self { $($name: field_offsets!(@poison $shape),)* };
        }

        /// Numbers of the fields: their places in [`FIELDS`].
        #[expect(non_camel_case_types, reason = "they are called as the kernel calls its fields")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FieldNumber {
            $($(#[$doc])* $name,)*
        }

        /// Every field, in the order of [`FieldOffsets`].
        pub const FIELDS: &[FieldSpec] = &[$(FieldSpec {
            name: stringify!($name),
            paths: &[$($path)*],
            need: Need::$need,
            at: core::mem::offset_of!(FieldOffsets, $name),
            bits: field_offsets!(@bits $shape),
        },)*];
    };
}

use FieldKind::{Bits, Bytes, FlagBit, Pair};

field_offsets! {
    /// Remote IPv4 address.
    byte skc_daddr Required [("sock", "__sk_common.skc_daddr", Bytes(4))];
    /// Bound IPv4 address.
    byte skc_rcv_saddr Required [("sock", "__sk_common.skc_rcv_saddr", Bytes(4))];
    /// Both IPv4 addresses, the remote one in the lower half as loaded on little endian.
    byte skc_addrpair Required [("sock", "__sk_common.skc_addrpair", Bytes(8))];
    /// Both ports, the remote one (network order) in the lower half as loaded on little endian.
    byte skc_portpair Required [("sock", "__sk_common.skc_portpair", Bytes(4))];
    /// Remote port, network order.
    byte skc_dport Required [("sock", "__sk_common.skc_dport", Bytes(2))];
    /// Local port, host order; 0 while the socket holds none.
    byte skc_num Required [("sock", "__sk_common.skc_num", Bytes(2))];
    /// `AF_INET` or `AF_INET6`.
    byte skc_family Required [("sock", "__sk_common.skc_family", Bytes(2))];
    /// TCP state.
    byte skc_state Required [("sock", "__sk_common.skc_state", Bytes(1))];
    /// `SO_REUSEADDR`, four bits.
    bit skc_reuse Required [("sock", "__sk_common.skc_reuse", Bits)];
    /// `SO_REUSEPORT`, one bit.
    bit skc_reuseport Required [("sock", "__sk_common.skc_reuseport", Bits)];
    /// Network namespace.
    byte skc_net Required [("sock", "__sk_common.skc_net.net", Bytes(8))];
    /// Remote IPv6 address.
    byte skc_v6_daddr Required [("sock", "__sk_common.skc_v6_daddr", Bytes(16))];
    /// Bound IPv6 address.
    byte skc_v6_rcv_saddr Required [("sock", "__sk_common.skc_v6_rcv_saddr", Bytes(16))];
    /// IP protocol number.
    byte sk_protocol Required [("sock", "sk_protocol", Bytes(2)), ("sock", "sk_protocol", Bytes(1))];
    /// `SOCK_BIND…_LOCK` bits.
    bit sk_userlocks Required [("sock", "sk_userlocks", Bits)];
    /// Made by the kernel.
    bit sk_kern_sock Required [("sock", "sk_kern_sock", Bits)];
    /// `IP_BIND_ADDRESS_NO_PORT`.
    bit bind_address_no_port Required [
        ("inet_sock", "bind_address_no_port", Bits),
        ("inet_sock", "inet_flags", FlagBit("INET_FLAGS_BIND_ADDRESS_NO_PORT"))];
    /// `IP_FREEBIND`.
    bit freebind Required [
        ("inet_sock", "freebind", Bits), ("inet_sock", "inet_flags", FlagBit("INET_FLAGS_FREEBIND"))];
    /// First port of `IP_LOCAL_PORT_RANGE`.
    byte socket_range_low Optional [("inet_sock", "local_port_range", Pair(0))];
    /// Last port of `IP_LOCAL_PORT_RANGE`.
    byte socket_range_high Optional [("inet_sock", "local_port_range", Pair(1))];
    /// Local port of the last bind or connect, network order; may be stale.
    byte inet_sport Tracepoint [("inet_sock", "inet_sport", Bytes(2))];
    /// The socket is an MPTCP subflow.
    bit is_mptcp Optional [("tcp_sock", "is_mptcp", Bits)];
    /// Inode number of the namespace.
    byte net_inum Required [("net", "ns.inum", Bytes(4))];
    /// First port of `ip_local_port_range`.
    byte net_range_low Required [("net", "ipv4.ip_local_ports.range", Pair(0))];
    /// Last port of `ip_local_port_range`.
    byte net_range_high Required [("net", "ipv4.ip_local_ports.range", Pair(1))];
    /// Bind bucket of a TIME_WAIT; null when it holds none.
    byte tw_tb Optional [("inet_timewait_sock", "tw_tb", Bytes(8))];
    /// Thread id.
    byte task_pid Required [("task_struct", "pid", Bytes(4))];
    /// Thread-group id.
    byte task_tgid Required [("task_struct", "tgid", Bytes(4))];
    /// Name of the thread.
    byte task_comm Required [("task_struct", "comm", Bytes(16))];
    /// First thread of the process.
    byte task_leader Required [("task_struct", "group_leader", Bytes(8))];
    /// Start of the task since boot, nanoseconds.
    byte task_start Required [
        ("task_struct", "start_boottime", Bytes(8)), ("task_struct", "real_start_time", Bytes(8))];
    /// Credentials.
    byte task_cred Required [("task_struct", "cred", Bytes(8))];
    /// Real user id.
    byte cred_uid Required [("cred", "uid.val", Bytes(4))];
    /// Namespaces of the task.
    byte task_nsproxy Optional [("task_struct", "nsproxy", Bytes(8))];
    /// Its network namespace.
    byte nsproxy_net Optional [("nsproxy", "net_ns", Bytes(8))];
    /// Type of the socket, `SOCK_STREAM` and so on.
    byte sk_type Tracepoint [("sock", "sk_type", Bytes(2))];
    /// Open files of the task.
    byte task_files Tracepoint [("task_struct", "files", Bytes(8))];
    /// Table of descriptors.
    byte files_fdt Tracepoint [("files_struct", "fdt", Bytes(8))];
    /// Size of that table.
    byte fdt_max Tracepoint [("fdtable", "max_fds", Bytes(4))];
    /// Array of files.
    byte fdt_fd Tracepoint [("fdtable", "fd", Bytes(8))];
    /// Owner's data of a file.
    byte file_private Tracepoint [("file", "private_data", Bytes(8))];
    /// Inode of a file.
    byte file_inode Tracepoint [("file", "f_inode", Bytes(8))];
    /// Type and permission bits of an inode.
    byte inode_mode Tracepoint [("inode", "i_mode", Bytes(2))];
    /// Number of an inode.
    byte inode_number Tracepoint [("inode", "i_ino", Bytes(8))];
    /// The kernel's view of a socket.
    byte socket_sk Tracepoint [("socket", "sk", Bytes(8))];
    /// Socket of a cgroup address hook.
    byte sock_addr_sk Tracepoint [("bpf_sock_addr_kern", "sk", Bytes(8))];
    /// Socket of a cgroup socket-operations hook.
    byte sock_ops_sk Tracepoint [("bpf_sock_ops_kern", "sk", Bytes(8))];
}

const _: () = assert!(size_of::<FieldOffsets>().is_multiple_of(4));
const _: () = assert!(size_of::<BitOffset>() == 8);
