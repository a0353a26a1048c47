//! `--btf`: types of the kernel from a file, for kernels that do not tell their own.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::CloneFlags;
use portscope_tests::backend::Backend;
use portscope_tests::invocation::{Ended, portscope};
use portscope_tests::live::Live;
use portscope_tests::{apart, per_backend, program};
use rustix::system::uname;
use serde_json::Value;

per_backend! {
    types_of_a_file_do_as_well_as_the_kernels_own,
    types_of_another_kernel_are_told,
    a_file_that_is_no_btf_is_told_by_name,
}

const TYPES: &str = "/sys/kernel/btf";
const CONNECTS: u64 = 20;
/// The structure inside of `struct sock_common` that has both ports.
const WITHOUT_NAME: &str = "";
/// The status of `-- CMD` where portscope itself fails.
const PORTSCOPES_OWN: i32 = 125;

/// A report on a workload of so many connects.
fn report(live: &Live, types: &Path, prepare: impl FnOnce() -> Result<()> + Send) -> Result<Ended> {
    let workload = program::workload()?;
    let workload = workload.to_str().context("a path that is no text")?;
    let types = types.to_str().context("a path that is no text")?;
    let count = CONNECTS.to_string();
    let args = ["report", "--backend", live.backend().word(), "--btf", types, "-o", "json", "--", workload];
    let workload = ["--netns", "own", "connects", "--count", &count];
    apart::portscope(live.scratch(), CloneFlags::empty(), &[&args[..], &workload].concat(), prepare)
}

fn must_count_all(ended: &Ended) -> Result<()> {
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    let at = ended.stdout.find("{\n  \"type\": \"report\"").context("no document")?;
    let report: Value = serde_json::from_str(&ended.stdout[at..]).with_context(|| ended.stdout.clone())?;
    ensure!(report["totals"]["by_site"]["connect"] == CONNECTS, "{}", report["totals"]);
    Ok(())
}

/// The kernel as if it were built without its types.
fn tells_no_types() -> Result<()> {
    apart::hide(TYPES)
}

fn types_of_a_file_do_as_well_as_the_kernels_own(live: &Live) -> Result<()> {
    let types = fs::read(Path::new(TYPES).join("vmlinux"))?;
    let release = uname().release().to_string_lossy().into_owned();
    let hub = live.scratch().path().join("hub");
    let machine = hub.join("debian/12").join(uname().machine().to_string_lossy().as_ref());
    fs::create_dir_all(&machine)?;
    let file = machine.join(format!("{release}.btf"));
    fs::write(&file, &types)?;
    fs::write(machine.join(format!("{release}-other.btf")), b"of another kernel")?;
    must_count_all(&report(live, &file, || Ok(()))?)?;
    for place in [&file, &hub] {
        let ended = report(live, place, tells_no_types)?;
        if live.backend() == Backend::Fentry {
            // Trampolines are attached by the kernel's own types.
            ended.must_fail(PORTSCOPES_OWN, &["fentry", "BTF"])?;
        } else {
            must_count_all(&ended)?;
        }
    }
    Ok(())
}

/// Type information in which a member of a structure lies so many bits further on (linux/btf.h).
fn moved(types: &[u8], structure: &str, member: &str, bits: u32) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<u32> {
        let bytes = types.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).with_context(|| format!("no word at {at}"))
    };
    let header = word(4)? as usize;
    let strings = header + word(16)? as usize;
    let is_named = |at: usize, name: &str| -> Result<bool> {
        let here = types.get(strings + word(at)? as usize..).context("no strings")?;
        Ok(here.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)))
    };
    // Each type is three words (name, kind and count, size), and what its kind has behind them.
    let (mut at, end) = (header + word(8)? as usize, header + (word(8)? + word(12)?) as usize);
    while at < end {
        let info = word(at + 4)?;
        let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
        let (once, each) = match kind {
            1 | 14 | 17 => (4, 0),
            3 => (12, 0),
            4 | 5 | 15 | 19 => (0, 12),
            6 | 13 => (0, 8),
            _ => (0, 0),
        };
        if kind == 4 && is_named(at, structure)? {
            for place in (0..count).map(|member| at + 12 + 12 * member) {
                if is_named(place, member)? {
                    let mut types = types.to_vec();
                    let further = (word(place + 8)? + bits).to_ne_bytes();
                    types.get_mut(place + 8..place + 12).context("no offset")?.copy_from_slice(&further);
                    return Ok(types);
                }
            }
        }
        at += 12 + once + each * count;
    }
    bail!("no {structure}.{member}")
}

fn types_of_another_kernel_are_told(live: &Live) -> Result<()> {
    let types = fs::read(Path::new(TYPES).join("vmlinux"))?;
    let file = live.scratch().path().join("other.btf");
    fs::write(&file, moved(&types, WITHOUT_NAME, "skc_dport", 16)?)?;
    let name = file.display().to_string();
    let named = [name.as_str(), "not of the running kernel"];
    report(live, &file, || Ok(()))?.must_fail(PORTSCOPES_OWN, &[&named[..], &["`skc_dport`"]].concat())?;
    // Ports and addresses the hooks are told in more than one way; the namespace has one.
    fs::write(&file, moved(&types, "ns_common", "inum", 32)?)?;
    let untold = report(live, &file, tells_no_types)?;
    if live.backend() == Backend::Fentry {
        return untold.must_fail(PORTSCOPES_OWN, &["BTF"]);
    }
    // What the self-test reads gives it away.
    untold.must_fail(PORTSCOPES_OWN, &named)
}

fn a_file_that_is_no_btf_is_told_by_name(live: &Live) -> Result<()> {
    let garbage = live.scratch().file("garbage.btf");
    fs::write(&garbage, vec![0x5a; 4096])?;
    let garbage = garbage.display().to_string();
    let workload = program::workload()?.display().to_string();
    let empty = live.scratch().path().join("empty");
    fs::create_dir(&empty)?;
    let empty = empty.display().to_string();
    let of_modules = fs::read_dir(TYPES)?.filter_map(Result::ok).map(|entry| entry.path());
    let of_module =
        of_modules.filter(|path| !path.ends_with("vmlinux")).map(|path| path.display().to_string()).next();
    let mut cases = vec![
        (garbage, "it is no BTF"),
        ("/dev/null".to_owned(), "ends too early"),
        ("/nowhere/vmlinux".to_owned(), "No such file"),
        (workload, "without a section .BTF"),
        (empty, "named after this kernel"),
    ];
    cases.extend(of_module.map(|path| (path, "the types of a module alone")));
    for (path, reason) in cases {
        let args = ["trace", "-d", "1s", "--backend", live.backend().word(), "--btf", &path];
        portscope(live.scratch(), &args)?.must_fail(1, &[&path, reason])?;
    }
    Ok(())
}
