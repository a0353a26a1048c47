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
    let mut plan = Plan { backend, hooks: Vec::new(), left_out: Vec::new() };
    for hook in hooks(backend) {
        let missing = missing_function(facts, hook.target);
        match (hook.role, missing) {
            (Role::Release(_), _) if !wishes.releases => plan.left_out.push((*hook, Verdict::NotWanted)),
            (Role::Required, Some(reason)) => return Err(Refusal::Missing(reason)),
            (_, Some(reason)) => plan.left_out.push((*hook, Verdict::Not(Refusal::Missing(reason)))),
            (_, None) => plan.hooks.push(*hook),
        }
    }
    Ok(plan)
}

fn lacking(facts: &Facts, backend: Backend) -> Option<String> {
    match backend {
        Backend::Fentry if !facts.has_btf => Some("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)".to_owned()),
        Backend::Fentry => facts.tracing_refused.clone(),
        Backend::Kprobe if !facts.has_kprobes => {
            Some("the kernel has no kprobes (CONFIG_KPROBES)".to_owned())
        }
        Backend::Tracepoint if facts.cgroup2.is_none() => {
            Some("no cgroup version 2 hierarchy is mounted".to_owned())
        }
        _ => None,
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
    use std::path::PathBuf;

    use super::*;

    fn host() -> Facts {
        let all = Backend::ALL.into_iter().flat_map(hooks).flat_map(|hook| hook.target.functions());
        Facts {
            has_btf: true,
            has_kprobes: true,
            cgroup2: Some(PathBuf::from("/sys/fs/cgroup")),
            symbols: all.map(|name| ((*name).to_owned(), 1)).collect(),
            ..Facts::default()
        }
    }

    #[test]
    fn a_full_kernel_runs_every_backend() {
        for backend in Backend::ALL {
            let plan = plan(&host(), backend, Wishes { releases: true }).unwrap();
            assert_eq!(plan.hooks.len(), hooks(backend).len(), "{backend}");
        }
    }

    #[test]
    fn releases_are_hooked_only_when_asked_for() {
        let plan = plan(&host(), Backend::Fentry, Wishes::default()).unwrap();
        assert!(plan.hooks.iter().all(|hook| !matches!(hook.role, Role::Release(_))));
        assert!(plan.left_out.iter().all(|(_, verdict)| *verdict == Verdict::NotWanted));
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = Some("no trampolines".to_owned());
        let cases: [(&str, Facts, Backend); 5] = [
            ("BTF", Facts { has_btf: false, ..host() }, Backend::Fentry),
            ("trampolines", Facts { tracing_refused: refused, ..host() }, Backend::Fentry),
            ("kprobes", Facts { has_kprobes: false, ..host() }, Backend::Kprobe),
            ("cgroup", Facts { cgroup2: None, ..host() }, Backend::Tracepoint),
            ("inet_autobind", without("inet_autobind"), Backend::Kprobe),
        ];
        for (word, facts, backend) in cases {
            let refusal = plan(&facts, backend, Wishes::default()).unwrap_err();
            assert!(refusal.to_string().contains(word), "{refusal}");
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
