//! Backend `fentry`: BPF trampolines. Arguments come typed, so fields are loaded directly.
//!
//! Arguments narrower than a register arrive with whatever the upper bits held (seen on 5.10): always
//! narrow them. The return value stands behind the arguments.
//!
//! Minimum kernel: 5.8 for the ring; trampolines need 5.5 on x86-64, about 6.4 on arm64.

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use tracer_ebpf::abi::blanks;

use crate::kernel::{
    choice::{self, Path, Turn},
    collisions,
    fields::Typed,
    globals::value,
    release,
    sock::{self, TypedSock},
    unsearched,
};

/// The socket among the arguments.
macro_rules! sock {
    ($ctx:ident, $n:literal) => {{
        let sock: *const u8 = $ctx.arg($n);
        Typed(sock)
    }};
}

/// A word of the context. In two branches the compiler would merge plain loads into one through a computed
/// address, which the verifier refuses for a context.
macro_rules! word {
    ($ctx:ident + $at:literal) => {{
        #[cfg(target_arch = "bpf")]
        {
            let word: u64;
            // SAFETY: one load from the context, whose bound the verifier checks.
            unsafe {
                core::arch::asm!(
                    concat!("{word} = *(u64 *)({ctx} + ", $at, ")"),
                    word = out(reg) word,
                    ctx = in(reg) $ctx.as_ptr(),
                );
            }
            word
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            $ctx.arg::<u64>($at / 8)
        }
    }};
}

/// A program and its spare, equal but for their turn ([`Turn`]).
macro_rules! pair {
    ($(#[doc = $doc:literal])* $kind:ident $first:ident $spare:ident |$ctx:ident: $context:ty $(, $turn:ident)?| { $($body:tt)* }) => {
        $(#[doc = $doc])*
        #[$kind]
        #[inline(always)]
        fn $first($ctx: $context) -> i32 {
            $(let $turn = Turn::First;)?
            $($body)*
            0
        }

        #[doc = concat!("The spare of [`", stringify!($first), "`].")]
        #[$kind]
        #[inline(always)]
        fn $spare($ctx: $context) -> i32 {
            $(let $turn = Turn::Spare;)?
            $($body)*
            0
        }
    };
}

pair! {
    /// `int __inet_hash_connect(struct inet_timewait_death_row *, struct sock *sk, u64 port_offset, …)`,
    /// net/ipv4/inet_hashtables.c: the search of every TCP and DCCP connect, IPv4 and IPv6.
    fentry fe_connect fe_connect_2 |ctx: FEntryContext, turn| {
        let sock = sock!(ctx, 1);
        choice::enter_in(turn, Path::Connect, sock.0 as u64, sock::port_of(&sock), ctx.arg(2));
    }
}

pair! {
    /// The exit of [`fe_connect`]'s function: 0, `-EADDRNOTAVAIL` or `-ENOMEM`.
    fexit fx_connect fx_connect_2 |ctx: FExitContext, turn| {
        let sock = sock!(ctx, 1);
        // 4 arguments up to 6.12, 5 from 6.18 on: userspace reads their number from the BTF. The branch that
        // would read behind the return value is dead code to the verifier; what is read first is an argument there.
        let arguments = value::<{ blanks::value::CONNECT_RET }>();
        let mut ret = word!(ctx + 32);
        if arguments != 4 {
            ret = word!(ctx + 40);
        }
        choice::exit_in(ctx.as_ptr(), turn, Path::Connect, ret as i32, |_| Some(TypedSock::<true>(sock)));
    }
}

/// `int tcp_v6_connect(struct sock *sk, struct sockaddr *uaddr, int addr_len)`, net/ipv6/tcp_ipv6.c: also fails where
/// there was no search.
#[fexit]
#[inline(always)]
fn fx_connect6(ctx: FExitContext) -> i32 {
    if unsearched::is_unavailable(ctx.arg::<u64>(3) as i32) {
        let peer: *const u8 = ctx.arg(1);
        unsearched::connect_fails(ctx.as_ptr(), &TypedSock::<true>(sock!(ctx, 0)), peer as u64);
    }
    0
}

pair! {
    /// `int inet_csk_get_port(struct sock *sk, unsigned short snum)`, net/ipv4/inet_connection_sock.c: bind and
    /// listen of TCP and DCCP.
    fentry fe_tcp_port fe_tcp_port_2 |ctx: FEntryContext, turn| {
        choice::enter_in(turn, Path::Port, sock!(ctx, 0).0 as u64, ctx.arg::<u64>(1) as u16, 0);
    }
}

pair! {
    /// The exit of [`fe_tcp_port`]'s function: 0, `-EADDRINUSE`, or 1 before 6.1.
    fexit fx_tcp_port fx_tcp_port_2 |ctx: FExitContext, turn| {
        let sock = sock!(ctx, 0);
        choice::exit_in(ctx.as_ptr(), turn, Path::Port, ctx.arg::<u64>(2) as i32, |_| Some(TypedSock::<true>(sock)));
    }
}

pair! {
    /// `int udp_lib_get_port(struct sock *sk, unsigned short snum, unsigned int hash2_nulladdr)`,
    /// net/ipv4/udp.c: bind and autobind of UDP and UDP-Lite.
    fentry fe_udp_port fe_udp_port_2 |ctx: FEntryContext, turn| {
        choice::enter_in(turn, Path::Port, sock!(ctx, 0).0 as u64, ctx.arg::<u64>(1) as u16, 0);
    }
}

pair! {
    /// The exit of [`fe_udp_port`]'s function.
    fexit fx_udp_port fx_udp_port_2 |ctx: FExitContext, turn| {
        let sock = sock!(ctx, 0);
        choice::exit_in(ctx.as_ptr(), turn, Path::Port, ctx.arg::<u64>(3) as i32, |_| Some(TypedSock::<false>(sock)));
    }
}

pair! {
    /// `int inet_autobind(struct sock *sk)`, net/ipv4/af_inet.c: an unbound datagram socket connects or sends.
    /// Nothing but this tells autobind from bind.
    fentry fe_autobind fe_autobind_2 |ctx: FEntryContext| {
        choice::enter_autobind(sock!(ctx, 0).0 as u64);
    }
}

pair! {
    /// The exit of [`fe_autobind`]'s function.
    fexit fx_autobind fx_autobind_2 |_ctx: FExitContext| {
        choice::exit_autobind();
    }
}

/// What a check of a 4-tuple returned: behind 4 arguments up to 6.12, behind 6 from 6.18 on, as with [`fx_connect`].
macro_rules! check_ret {
    ($ctx:ident) => {{
        let arguments = value::<{ blanks::value::CHECK_RET }>();
        let ret = if arguments == 4 { word!($ctx + 32) } else { word!($ctx + 48) };
        ret as i32
    }};
}

pair! {
    /// `int __inet_check_established(struct inet_timewait_death_row *, struct sock *sk, __u16 lport, …)`,
    /// net/ipv4/inet_hashtables.c: whether a connect can have its 4-tuple.
    fexit fx_check4 fx_check4_2 |ctx: FExitContext, turn| {
        collisions::tuple_checked(turn, ctx.arg::<u64>(2) as u16, check_ret!(ctx));
    }
}

pair! {
    /// `int __inet6_check_established(…)`, net/ipv6/inet6_hashtables.c: the same for IPv6.
    fexit fx_check6 fx_check6_2 |ctx: FExitContext, turn| {
        collisions::tuple_checked(turn, ctx.arg::<u64>(2) as u16, check_ret!(ctx));
    }
}

/// `int tcp_twsk_unique(struct sock *sk, struct sock *sktw, void *twp)`, net/ipv4/tcp_ipv4.c: whether a connect may take
/// a port over from a TIME_WAIT.
#[fexit]
fn fx_tw_unique(ctx: FExitContext) -> i32 {
    collisions::time_wait_checked(ctx.arg::<u64>(3) as i32);
    0
}

/// `int inet_csk_bind_conflict(const struct sock *sk, const struct inet_bind_bucket *tb, …)`,
/// net/ipv4/inet_connection_sock.c: whether a bind conflicts with those that have a port. 4 arguments on 5.10, 5 from 6.1
/// on.
#[fexit]
fn fx_conflict(ctx: FExitContext) -> i32 {
    let arguments = value::<{ blanks::value::CONFLICT_RET }>();
    let ret = if arguments == 4 { word!(ctx + 32) } else { word!(ctx + 40) };
    collisions::bind_checked(ret as u8 != 0);
    0
}

/// `bool inet_bhash2_addr_any_conflict(const struct sock *sk, int port, …)`, net/ipv4/inet_connection_sock.c: the same
/// with those that have it at all addresses, from 6.1 on; no other is asked then.
#[fexit]
fn fx_conflict_any(ctx: FExitContext) -> i32 {
    collisions::bind_checked(ctx.arg::<u64>(5) as u8 != 0);
    0
}

/// `int ping_get_port(struct sock *sk, unsigned short ident)`, net/ipv4/ping.c: the identifier of an ICMP
/// echo socket, chosen from 1 to 65535 whatever the range.
#[fentry]
fn fe_ping_port(ctx: FEntryContext) -> i32 {
    choice::enter(Path::Port, sock!(ctx, 0).0 as u64, ctx.arg::<u64>(1) as u16, 0);
    0
}

/// The exit of [`fe_ping_port`]'s function.
#[fexit]
#[inline(always)]
fn fx_ping_port(ctx: FExitContext) -> i32 {
    let sock = sock!(ctx, 0);
    choice::exit(ctx.as_ptr(), Path::Port, ctx.arg::<u64>(2) as i32, |_| Some(TypedSock::<false>(sock)));
    0
}

pair! {
    /// `void inet_twsk_bind_unhash(struct inet_timewait_sock *tw, …)`, net/ipv4/inet_timewait_sock.c: the end of
    /// a TIME_WAIT, by its timer or by a connect that takes its tuple over.
    fentry fe_tw_end fe_tw_end_2 |ctx: FEntryContext| {
        let time_wait = sock!(ctx, 0);
        release::time_wait_ends(time_wait.0 as u64, &time_wait);
    }
}

pair! {
    /// `void inet_twsk_hashdance(struct inet_timewait_sock *tw, struct sock *sk, …)` up to 6.11, `…_schedule`
    /// from 6.12 on: a TIME_WAIT takes the port of a socket over.
    fentry fe_tw_start fe_tw_start_2 |ctx: FEntryContext| {
        release::handed_over(sock!(ctx, 1).0 as u64, sock!(ctx, 0).0 as u64);
    }
}

pair! {
    /// `void inet_put_port(struct sock *sk)`, net/ipv4/inet_hashtables.c: a TCP socket gives its port back.
    fentry fe_put_port fe_put_port_2 |ctx: FEntryContext| {
        let sock = sock!(ctx, 0);
        release::closes(sock.0 as u64, &sock);
    }
}

pair! {
    /// `void udp_lib_unhash(struct sock *sk)`, net/ipv4/udp.c: a UDP socket gives its port back.
    fentry fe_udp_unhash fe_udp_unhash_2 |ctx: FEntryContext| {
        let sock = sock!(ctx, 0);
        release::closes(sock.0 as u64, &sock);
    }
}

pair! {
    /// `int __udp_disconnect(struct sock *sk, int flags)`, net/ipv4/udp.c: gives an automatic port back by a
    /// clone of `udp_lib_unhash` where the compiler made one (7.2).
    fentry fe_udp_disc fe_udp_disc_2 |ctx: FEntryContext| {
        let sock = sock!(ctx, 0);
        release::disconnects(&TypedSock::<false>(sock));
    }
}

/// `void ping_unhash(struct sock *sk)`, net/ipv4/ping.c: an ICMP echo socket gives its identifier back.
#[fentry]
fn fe_ping_unhash(ctx: FEntryContext) -> i32 {
    let sock = sock!(ctx, 0);
    release::closes(sock.0 as u64, &sock);
    0
}
