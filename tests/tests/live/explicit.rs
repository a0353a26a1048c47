//! Ports that the caller named: shown when they were refused, else only on demand.

use anyhow::{Result, ensure};
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::operation::{Kind, Site};
use portscope_tests::per_backend;

per_backend! {
    explicit_binds_that_succeed_are_shown_only_on_demand,
    refused_explicit_binds_are_always_shown,
}

const SITES: [&str; 3] = ["sites", "--protocols", "tcp,udp"];

fn explicit_binds_that_succeed_are_shown_only_on_demand(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&["--explicit"], &SITES)?;
    let had = truth.only(|done| done.kind == Kind::Explicit && done.ok);
    ensure!(had.len() >= 10, "the workload had only {} ports that it named", had.len());
    compare(&truth.operations, &capture)
}

fn refused_explicit_binds_are_always_shown(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&[], &SITES)?;
    for (site, cause) in [(Site::Bind, "in_use"), (Site::Listen, "in_use"), (Site::Connect, "tuple_busy")] {
        let refused = truth.only(|done| {
            done.kind == Kind::Explicit && done.site == site && done.cause.as_deref() == Some(cause)
        });
        ensure!(!refused.is_empty(), "the workload met no {cause} at {}", site.word());
        for refusal in refused {
            let told = capture.of(refusal.pid).into_iter().filter(|event| {
                matches!(event.kind(), "bind" | "check")
                    && event.text("site") == Some(site.word())
                    && event.number("requested_port") == Some(refusal.requested_port.into())
                    && event.text("proto") == Some(refusal.proto.word())
            });
            let told: Vec<_> = told.collect();
            ensure!(told.len() == 1, "{} events tell: {}", told.len(), refusal.scene);
            ensure!(told[0].text("cause") == Some(cause), "{}: {:?}", refusal.scene, told[0].value("cause"));
        }
    }
    compare(&truth.shown_by_default(), &capture)
}
