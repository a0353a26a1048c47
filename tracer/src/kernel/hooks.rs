//! Every hook of every backend: which program goes where, and what is lost without it.

use std::fmt;

use super::Backend;

/// Where a program is attached. Several functions: the first that this kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Entry of a function, by trampoline.
    Fentry(&'static [&'static str]),
    /// Exit of a function, by trampoline.
    Fexit(&'static [&'static str]),
    /// Entry or (by the kind of the program) exit of a function, by kprobe.
    Kprobe(&'static [&'static str]),
    /// A raw tracepoint.
    RawTracepoint(&'static str),
    /// Tracepoints of system calls.
    Syscalls(&'static [&'static str]),
    /// A hook of the root cgroup, of the program's own attach type.
    Cgroup,
}

impl Target {
    /// Kernel functions of which one must exist.
    #[must_use]
    pub const fn functions(self) -> &'static [&'static str] {
        match self {
            Self::Fentry(names) | Self::Fexit(names) | Self::Kprobe(names) => names,
            Self::RawTracepoint(_) | Self::Syscalls(_) | Self::Cgroup => &[],
        }
    }

    /// Where it is, for reading.
    #[must_use]
    pub fn place(self) -> String {
        match self {
            Self::Fentry(names) | Self::Fexit(names) | Self::Kprobe(names) => names.join(" or "),
            Self::RawTracepoint(name) => name.to_owned(),
            Self::Syscalls(names) => names.join(", "),
            Self::Cgroup => "root cgroup".to_owned(),
        }
    }
}

/// What a hook is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Without it the backend is of no use.
    Required,
    /// Without it this is not seen.
    Optional(&'static str),
    /// Needed for `--releases` only.
    Release(&'static str),
    /// Needed for `--count-collisions` only, on a kernel that has its function.
    Collisions(&'static str),
    /// Stands in for the program of this name where the kernel skips that one because it has preempted it on the same
    /// CPU. The kernel takes the two for different programs; the second finds done, most of the time, what it would do.
    Spare(&'static str),
}

/// One hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name of the program in the object.
    pub program: &'static str,
    /// Where it goes.
    pub target: Target,
    /// What it is for.
    pub role: Role,
}

/// Why a hook, or a backend, is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel lacks something.
    Missing(String),
    /// This process lacks a capability.
    NotPermitted(&'static str),
    /// The kernel refused to load or attach it.
    Refused(String),
    /// The verifier found fault with the program: another version of it may pass.
    Rejected(String),
    /// It was attached, and saw nothing of what it should have seen.
    Silent(String),
    /// It was attached, and told of an allocation what is not so.
    Misread(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) | Self::Refused(what) | Self::Rejected(what) | Self::Silent(what) => {
                f.write_str(what)
            }
            Self::Misread(what) => write!(f, "attached, but of its own allocations it told {what}"),
            Self::NotPermitted(capability) => write!(f, "it needs {capability}, which is missing"),
        }
    }
}

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is attached.
    Attached,
    /// It is not used: nothing asked for it.
    NotWanted,
    /// It is not used.
    Not(Refusal),
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::NotWanted => "not wanted",
            Self::Not(Refusal::Missing(_)) => "unsupported",
            Self::Not(Refusal::NotPermitted(_)) => "not permitted",
            Self::Not(Refusal::Refused(_) | Refusal::Rejected(_)) => "refused",
            Self::Not(Refusal::Silent(_) | Refusal::Misread(_)) => "silent",
        }
    }
}

const fn required(program: &'static str, target: Target) -> Hook {
    Hook { program, target, role: Role::Required }
}

const fn optional(program: &'static str, target: Target, lost: &'static str) -> Hook {
    Hook { program, target, role: Role::Optional(lost) }
}

const fn release(program: &'static str, target: Target, lost: &'static str) -> Hook {
    Hook { program, target, role: Role::Release(lost) }
}

const fn collisions(program: &'static str, target: Target) -> Hook {
    Hook { program, target, role: Role::Collisions(NO_KINDS) }
}

const fn spare(program: &'static str, target: Target, of: &'static str) -> Hook {
    Hook { program, target, role: Role::Spare(of) }
}

const CONNECT: &[&str] = &["__inet_hash_connect"];
const CONNECT6: &[&str] = &["tcp_v6_connect"];
const TCP_PORT: &[&str] = &["inet_csk_get_port"];
const UDP_PORT: &[&str] = &["udp_lib_get_port"];
const PING_PORT: &[&str] = &["ping_get_port"];
const SCTP_PORT: &[&str] = &["sctp_get_port_local"];
const AUTOBIND: &[&str] = &["inet_autobind"];
const TW_END: &[&str] = &["inet_twsk_bind_unhash"];
const TW_START: &[&str] = &["inet_twsk_hashdance_schedule", "inet_twsk_hashdance"];
const PUT_PORT: &[&str] = &["inet_put_port"];
const UDP_UNHASH: &[&str] = &["udp_lib_unhash"];
const UDP_DISCONNECT: &[&str] = &["__udp_disconnect"];
const PING_UNHASH: &[&str] = &["ping_unhash"];
const CHECK4: &[&str] = &["__inet_check_established"];
const CHECK6: &[&str] = &["__inet6_check_established"];
const TW_UNIQUE: &[&str] = &["tcp_twsk_unique"];
const CONFLICT: &[&str] = &["inet_csk_bind_conflict"];
const CONFLICT_ANY: &[&str] = &["inet_bhash2_addr_any_conflict"];

const NO_PING: &str = "allocations of ICMP echo sockets";
const NO_SCTP: &str = "allocations of SCTP sockets";
const NO_SOURCE: &str = "connects over IPv6 that fail for want of a source address";
const NO_TW: &str = "whether a connect took a port over from a TIME_WAIT";
const NO_RELEASE: &str = "releases";
const NO_TW_RELEASE: &str = "releases by TIME_WAIT";
const NO_KINDS: &str = "collisions by kind";
const NO_DISCONNECT: &str = "releases by disconnecting a UDP socket";

const FENTRY: &[Hook] = &[
    spare("fx_connect_2", Target::Fexit(CONNECT), "fx_connect"),
    required("fx_connect", Target::Fexit(CONNECT)),
    spare("fx_tcp_port_2", Target::Fexit(TCP_PORT), "fx_tcp_port"),
    required("fx_tcp_port", Target::Fexit(TCP_PORT)),
    spare("fx_udp_port_2", Target::Fexit(UDP_PORT), "fx_udp_port"),
    required("fx_udp_port", Target::Fexit(UDP_PORT)),
    spare("fx_autobind_2", Target::Fexit(AUTOBIND), "fx_autobind"),
    required("fx_autobind", Target::Fexit(AUTOBIND)),
    optional("fx_connect6", Target::Fexit(CONNECT6), NO_SOURCE),
    optional("fx_ping_port", Target::Fexit(PING_PORT), NO_PING),
    spare("fx_check4_2", Target::Fexit(CHECK4), "fx_check4"),
    collisions("fx_check4", Target::Fexit(CHECK4)),
    spare("fx_check6_2", Target::Fexit(CHECK6), "fx_check6"),
    collisions("fx_check6", Target::Fexit(CHECK6)),
    collisions("fx_tw_unique", Target::Fexit(TW_UNIQUE)),
    collisions("fx_conflict", Target::Fexit(CONFLICT)),
    collisions("fx_conflict_any", Target::Fexit(CONFLICT_ANY)),
    spare("fe_tw_end_2", Target::Fentry(TW_END), "fe_tw_end"),
    optional("fe_tw_end", Target::Fentry(TW_END), NO_TW),
    spare("fe_tw_start_2", Target::Fentry(TW_START), "fe_tw_start"),
    release("fe_tw_start", Target::Fentry(TW_START), NO_TW_RELEASE),
    spare("fe_put_port_2", Target::Fentry(PUT_PORT), "fe_put_port"),
    release("fe_put_port", Target::Fentry(PUT_PORT), NO_RELEASE),
    spare("fe_udp_unhash_2", Target::Fentry(UDP_UNHASH), "fe_udp_unhash"),
    release("fe_udp_unhash", Target::Fentry(UDP_UNHASH), NO_RELEASE),
    spare("fe_udp_disc_2", Target::Fentry(UDP_DISCONNECT), "fe_udp_disc"),
    release("fe_udp_disc", Target::Fentry(UDP_DISCONNECT), NO_DISCONNECT),
    release("fe_ping_unhash", Target::Fentry(PING_UNHASH), NO_RELEASE),
    spare("fe_connect_2", Target::Fentry(CONNECT), "fe_connect"),
    required("fe_connect", Target::Fentry(CONNECT)),
    spare("fe_tcp_port_2", Target::Fentry(TCP_PORT), "fe_tcp_port"),
    required("fe_tcp_port", Target::Fentry(TCP_PORT)),
    spare("fe_udp_port_2", Target::Fentry(UDP_PORT), "fe_udp_port"),
    required("fe_udp_port", Target::Fentry(UDP_PORT)),
    spare("fe_autobind_2", Target::Fentry(AUTOBIND), "fe_autobind"),
    required("fe_autobind", Target::Fentry(AUTOBIND)),
    optional("fe_ping_port", Target::Fentry(PING_PORT), NO_PING),
];

const KPROBE: &[Hook] = &[
    required("kr_connect", Target::Kprobe(CONNECT)),
    required("kr_tcp_port", Target::Kprobe(TCP_PORT)),
    required("kr_udp_port", Target::Kprobe(UDP_PORT)),
    required("kr_autobind", Target::Kprobe(AUTOBIND)),
    optional("kr_connect6", Target::Kprobe(CONNECT6), NO_SOURCE),
    optional("kr_ping_port", Target::Kprobe(PING_PORT), NO_PING),
    optional("kr_sctp_port", Target::Kprobe(SCTP_PORT), NO_SCTP),
    collisions("kr_check4", Target::Kprobe(CHECK4)),
    collisions("kr_check6", Target::Kprobe(CHECK6)),
    collisions("kr_tw_unique", Target::Kprobe(TW_UNIQUE)),
    collisions("kr_conflict", Target::Kprobe(CONFLICT)),
    collisions("kr_conflict_any", Target::Kprobe(CONFLICT_ANY)),
    optional("kp_tw_end", Target::Kprobe(TW_END), NO_TW),
    release("kp_tw_start", Target::Kprobe(TW_START), NO_TW_RELEASE),
    release("kp_put_port", Target::Kprobe(PUT_PORT), NO_RELEASE),
    release("kp_udp_unhash", Target::Kprobe(UDP_UNHASH), NO_RELEASE),
    release("kp_udp_disc", Target::Kprobe(UDP_DISCONNECT), NO_DISCONNECT),
    release("kp_ping_unhash", Target::Kprobe(PING_UNHASH), NO_RELEASE),
    required("kp_connect", Target::Kprobe(CONNECT)),
    optional("kp_connect6", Target::Kprobe(CONNECT6), NO_SOURCE),
    required("kp_tcp_port", Target::Kprobe(TCP_PORT)),
    required("kp_udp_port", Target::Kprobe(UDP_PORT)),
    required("kp_autobind", Target::Kprobe(AUTOBIND)),
    optional("kp_ping_port", Target::Kprobe(PING_PORT), NO_PING),
    optional("kp_sctp_port", Target::Kprobe(SCTP_PORT), NO_SCTP),
];

const TRACEPOINT: &[Hook] = &[
    required(
        "tp_exit",
        Target::Syscalls(&[
            "sys_exit_connect",
            "sys_exit_bind",
            "sys_exit_listen",
            "sys_exit_sendto",
            "sys_exit_sendmsg",
            "sys_exit_sendmmsg",
        ]),
    ),
    required("cg_sock_ops", Target::Cgroup),
    required("cg_post_bind4", Target::Cgroup),
    required("cg_post_bind6", Target::Cgroup),
    release("cg_release", Target::Cgroup, NO_RELEASE),
    spare("tp_destroy_2", Target::RawTracepoint("tcp_destroy_sock"), "tp_destroy"),
    release("tp_destroy", Target::RawTracepoint("tcp_destroy_sock"), NO_RELEASE),
    spare("tp_set_state_2", Target::RawTracepoint("inet_sock_set_state"), "tp_set_state"),
    required("tp_set_state", Target::RawTracepoint("inet_sock_set_state")),
    required("cg_bind4", Target::Cgroup),
    required("cg_bind6", Target::Cgroup),
    required("tp_enter_sendto", Target::Syscalls(&["sys_enter_sendto"])),
    required("tp_enter_msg", Target::Syscalls(&["sys_enter_sendmsg", "sys_enter_sendmmsg"])),
    required("tp_enter_conn", Target::Syscalls(&["sys_enter_connect"])),
    required("tp_enter", Target::Syscalls(&["sys_enter_bind", "sys_enter_listen"])),
];

/// The hooks of a backend in the order in which they are attached: exits before entries, so that no entry
/// waits for an exit that is not hooked yet; a spare before its first, because of two programs on one trampoline the one
/// that came last runs first.
#[must_use]
pub const fn hooks(backend: Backend) -> &'static [Hook] {
    match backend {
        Backend::Fentry => FENTRY,
        Backend::Kprobe => KPROBE,
        Backend::Tracepoint => TRACEPOINT,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_program_name_fits_what_the_kernel_keeps_and_is_used_once() {
        let mut seen = HashSet::new();
        for hook in Backend::ALL.into_iter().flat_map(hooks) {
            assert!(hook.program.len() <= 15, "{}", hook.program);
            assert!(seen.insert(hook.program), "{} stands twice", hook.program);
        }
    }

    #[test]
    fn exits_come_before_their_entries() {
        for backend in [Backend::Fentry, Backend::Kprobe] {
            // What is inside of a search has no entry.
            let inner: Vec<_> = hooks(backend)
                .iter()
                .filter(|hook| matches!(hook.role, Role::Collisions(_)))
                .flat_map(|hook| hook.target.functions())
                .collect();
            let hooks = hooks(backend).iter();
            let names: Vec<_> = hooks
                .filter(|hook| !hook.target.functions().iter().any(|name| inner.contains(&name)))
                .map(|hook| hook.program)
                .collect();
            for (exit, entry) in [("fx_", "fe_"), ("kr_", "kp_")] {
                for (at, name) in names.iter().enumerate().filter(|(_, name)| name.starts_with(exit)) {
                    // It is told all it needs by its arguments.
                    if *name == "fx_connect6" {
                        continue;
                    }
                    let twin = name.replacen(exit, entry, 1);
                    assert!(names[at..].contains(&twin.as_str()), "{twin} does not follow {name}");
                }
            }
        }
    }
}
