//! From facts and wishes to the hooks to use: a pure function.

use super::{
    Backend,
    facts::Facts,
    hooks::{Hook, Refusal, Role, Target, Verdict, hooks},
};

/// Which hooks of a backend to attach, and why not the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The backend.
    pub backend: Backend,
    /// Hooks to attach, in order.
    pub hooks: Vec<Hook>,
    /// Hooks that are left out already.
    pub left_out: Vec<(Hook, Verdict)>,
}

/// What the plan depends on beside the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Record releases.
    pub releases: bool,
    /// Count collisions by kind.
    pub collisions: bool,
}

/// Plans a backend, or says what this host lacks for it.
///
/// # Errors
///
/// The backend cannot run on such a host.
pub fn plan(facts: &Facts, backend: Backend, wishes: Wishes) -> Result<Plan, Refusal> {
    if let Some(reason) = lacking(facts, backend) {
        return Err(Refusal::Missing(reason));
    }
    if let Some(capability) = facts.tracepoint_lacks.filter(|_| backend == Backend::Tracepoint) {
        return Err(Refusal::NotPermitted(capability));
    }
    let mut plan = Plan { backend, hooks: Vec::new(), left_out: Vec::new() };
    let spares = preempts(facts, backend);
    for hook in hooks(backend) {
        let missing = missing_function(facts, hook.target);
        match (hook.role, missing) {
            (Role::Release(_), _) if !wishes.releases => plan.left_out.push((*hook, Verdict::NotWanted)),
            (Role::Collisions(_), _) if !wishes.collisions => {
                plan.left_out.push((*hook, Verdict::NotWanted));
            }
            (Role::Spare(_), _) if !spares => plan.left_out.push((*hook, Verdict::NotWanted)),
            (Role::Required, Some(reason)) => return Err(Refusal::Missing(reason)),
            (_, Some(reason)) => plan.left_out.push((*hook, Verdict::Not(Refusal::Missing(reason)))),
            (_, None) => plan.hooks.push(*hook),
        }
    }
    // Nobody stands in for a program that is not there.
    let firsts: Vec<_> = plan.hooks.iter().map(|hook| hook.program).collect();
    let (kept, dropped) = plan.hooks.into_iter().partition(|hook| match hook.role {
        Role::Spare(first) => firsts.contains(&first),
        _ => true,
    });
    plan.hooks = kept;
    plan.left_out.extend(Vec::into_iter(dropped).map(|hook| (hook, Verdict::NotWanted)));
    Ok(plan)
}

impl Plan {
    /// Whether all hooks that count collisions by kind are in it, but those whose function the kernel does not have
    /// because it does not need it.
    #[must_use]
    pub fn counts_collisions(&self) -> bool {
        /// Before 6.1 all who have a port are asked at once.
        const LATER: [&str; 2] = ["fx_conflict_any", "kr_conflict_any"];
        let is_counting = |hook: &Hook| matches!(hook.role, Role::Collisions(_));
        let may_lack = |hook: &Hook, verdict: &Verdict| {
            LATER.contains(&hook.program) && matches!(verdict, Verdict::Not(Refusal::Missing(_)))
        };
        self.hooks.iter().any(is_counting)
            && self.left_out.iter().all(|(hook, verdict)| !is_counting(hook) || may_lack(hook, verdict))
    }
}

/// Whether the kernel preempts the programs of a backend: those of kprobes and of system calls never, those of raw
/// tracepoints since 7.0 (include/linux/tracepoint.h).
fn preempts(facts: &Facts, backend: Backend) -> bool {
    facts.preempts
        && match backend {
            Backend::Fentry => true,
            Backend::Kprobe => false,
            Backend::Tracepoint => facts.major() >= 7,
        }
}

fn lacking(facts: &Facts, backend: Backend) -> Option<String> {
    match backend {
        Backend::Fentry if !facts.has_btf => Some("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)".to_owned()),
        Backend::Fentry => facts.tracing_refused.clone(),
        Backend::Kprobe if !facts.has_kprobes => {
            Some("the kernel has no kprobes (CONFIG_KPROBES)".to_owned())
        }
        Backend::Tracepoint => facts.cgroups_lack.clone(),
        Backend::Kprobe => None,
    }
}

/// An empty symbol table means that it cannot be read, not that the kernel is empty.
fn missing_function(facts: &Facts, target: Target) -> Option<String> {
    let names = target.functions();
    let known = names.is_empty()
        || facts.symbols.is_empty()
        || names.iter().any(|name| facts.symbols.contains_key(*name));
    (!known).then(|| format!("the kernel has no function {}", names.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Facts {
        let all = Backend::ALL.into_iter().flat_map(hooks).flat_map(|hook| hook.target.functions());
        Facts {
            has_btf: true,
            has_kprobes: true,
            symbols: all.map(|name| ((*name).to_owned(), 1)).collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn a_full_kernel_runs_every_backend() {
        let host = Facts { preempts: true, release: "7.2.1".to_owned(), ..host() };
        for backend in Backend::ALL {
            let plan = plan(&host, backend, Wishes { releases: true, collisions: true }).unwrap();
            assert_eq!(plan.hooks.len(), hooks(backend).len(), "{backend}");
            assert_eq!(plan.counts_collisions(), backend != Backend::Tracepoint, "{backend}");
        }
    }

    #[test]
    fn releases_are_hooked_only_when_asked_for() {
        let plan = plan(&host(), Backend::Fentry, Wishes::default()).unwrap();
        assert!(plan.hooks.iter().all(|hook| !matches!(hook.role, Role::Release(_))));
        assert!(plan.left_out.iter().all(|(_, verdict)| *verdict == Verdict::NotWanted));
        assert!(!plan.counts_collisions());
    }

    #[test]
    fn collisions_are_counted_where_everything_that_rejects_is_hooked() {
        let wishes = Wishes { collisions: true, ..Wishes::default() };
        let counts = |facts: &Facts| {
            [Backend::Fentry, Backend::Kprobe]
                .map(|backend| plan(facts, backend, wishes).unwrap().counts_collisions())
        };
        assert_eq!(counts(&without("inet_bhash2_addr_any_conflict")), [true; 2]);
        for name in ["__inet6_check_established", "inet_csk_bind_conflict", "tcp_twsk_unique"] {
            assert_eq!(counts(&without(name)), [false; 2], "{name}");
        }
    }

    #[test]
    fn spares_stand_in_where_programs_are_preempted_and_for_programs_that_are_there() {
        let spares = |facts: &Facts, backend, releases| {
            let plan = plan(facts, backend, Wishes { releases, collisions: false }).unwrap();
            let names = plan.hooks.iter().filter(|hook| matches!(hook.role, Role::Spare(_)));
            names.map(|hook| hook.program).collect::<Vec<_>>()
        };
        let preempted = |release: &str| Facts { preempts: true, release: release.to_owned(), ..host() };
        let (new, old) = (preempted("7.2.0-rc1+deb14"), preempted("6.18.4"));
        assert!(spares(&host(), Backend::Fentry, true).is_empty());
        assert!(spares(&old, Backend::Fentry, false).contains(&"fx_connect_2"));
        assert!(!spares(&old, Backend::Fentry, false).contains(&"fe_put_port_2"));
        assert!(spares(&old, Backend::Fentry, true).contains(&"fe_put_port_2"));
        assert!(spares(&old, Backend::Tracepoint, true).is_empty());
        assert_eq!(spares(&new, Backend::Tracepoint, false), ["tp_set_state_2"]);
        assert!(spares(&new, Backend::Kprobe, true).is_empty());
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = Some("no trampolines".to_owned());
        let cases: [(&str, Facts, Backend); 6] = [
            (
                "CAP_NET_ADMIN",
                Facts { tracepoint_lacks: Some("CAP_NET_ADMIN"), ..host() },
                Backend::Tracepoint,
            ),
            ("BTF", Facts { has_btf: false, ..host() }, Backend::Fentry),
            ("trampolines", Facts { tracing_refused: refused, ..host() }, Backend::Fentry),
            ("kprobes", Facts { has_kprobes: false, ..host() }, Backend::Kprobe),
            ("cgroup", Facts { cgroups_lack: Some("no cgroups".to_owned()), ..host() }, Backend::Tracepoint),
            ("inet_autobind", without("inet_autobind"), Backend::Kprobe),
        ];
        for (word, facts, backend) in cases {
            let refusal = plan(&facts, backend, Wishes::default()).unwrap_err();
            assert!(refusal.to_string().contains(word), "{refusal}");
        }
    }

    #[test]
    fn only_programs_of_cgroups_need_the_network() {
        let facts = Facts { tracepoint_lacks: Some("CAP_NET_ADMIN"), ..host() };
        for backend in [Backend::Fentry, Backend::Kprobe] {
            assert!(plan(&facts, backend, Wishes::default()).is_ok(), "{backend}");
        }
    }

    #[test]
    fn an_optional_function_may_be_missing() {
        let plan = plan(&without("sctp_get_port_local"), Backend::Kprobe, Wishes::default()).unwrap();
        assert!(plan.left_out.iter().any(|(hook, _)| hook.program == "kp_sctp_port"));
    }

    fn without(name: &str) -> Facts {
        let mut facts = host();
        facts.symbols.remove(name);
        facts
    }
}
