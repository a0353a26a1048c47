//! Hosts whose cgroups are of version 1, of both, or not mounted at all; and containers that see a part of them.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, process};

use anyhow::{Context as _, Result, ensure};
use nix::sched::CloneFlags;
use portscope_tests::backend::Backend;
use portscope_tests::deadline::until;
use portscope_tests::invocation::Ended;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::{apart, per_backend, program};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

per_backend! {
    a_host_that_mounts_no_cgroups_is_traced,
    a_host_with_version_1_alone_is_traced_and_names_its_units,
    a_hybrid_host_is_traced_and_names_its_units,
    a_part_of_the_cgroups_is_not_taken_for_the_host,
}

const CONNECTS: u64 = 20;
/// The status of `-- CMD` where portscope itself fails.
const PORTSCOPES_OWN: i32 = 125;
const UNIT: &str = "portscope-test.service";

/// A report on a workload of so many connects that a shell starts.
fn report(live: &Live, more: CloneFlags, prepare: impl FnOnce() -> Result<()> + Send) -> Result<Ended> {
    let workload = program::workload()?;
    let script = format!("'{}' --netns own connects --count {CONNECTS}; sleep 1", workload.display());
    let args = ["report", "--backend", live.backend().word(), "-o", "json", "--", "sh", "-c", &script];
    apart::portscope(live.scratch(), more, &args, prepare)
}

fn counted(ended: &Ended) -> Result<Value> {
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    let at = ended.stdout.find("{\n  \"type\": \"report\"").context("no document")?;
    let report: Value = serde_json::from_str(&ended.stdout[at..]).with_context(|| ended.stdout.clone())?;
    ensure!(report["totals"]["by_site"]["connect"] == CONNECTS, "{} {}", report["totals"], ended.stderr);
    Ok(report)
}

fn a_host_that_mounts_no_cgroups_is_traced(live: &Live) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let report = counted(&report(live, CloneFlags::empty(), || apart::unmount_all("cgroup2"))?)?;
    ensure!(report["command"]["told_by"] == "forks", "{}", report["command"]);
    ensure!(fs::read_to_string("/proc/self/mountinfo")? == mounts, "mounts were left behind");
    Ok(())
}

/// systemd's hierarchy of version 1, and this process in a unit of it while this is kept.
struct Version1(PathBuf);

impl Version1 {
    fn mount() -> Result<Self> {
        let folder = Path::new("/tmp/portscope-cgroup-v1");
        fs::create_dir_all(folder)?;
        mount("portscope-systemd", folder, "cgroup", MountFlags::empty(), Some(c"none,name=systemd"))?;
        let this = Self(folder.to_owned());
        // One that the test before could not remove is as good.
        fs::create_dir_all(this.unit())?;
        fs::write(this.unit().join("cgroup.procs"), process::id().to_string())?;
        Ok(this)
    }

    fn unit(&self) -> PathBuf {
        self.0.join(UNIT)
    }
}

impl Drop for Version1 {
    fn drop(&mut self) {
        // A hierarchy goes with its last mount where it has nothing but its root.
        drop(fs::write(self.0.join("cgroup.procs"), process::id().to_string()));
        // A process that is just ending is still in it.
        drop(until("the unit", Duration::from_secs(2), || Ok(fs::remove_dir(self.unit()).ok())));
        if unmount(&self.0, UnmountFlags::DETACH).is_ok() {
            drop(fs::remove_dir(&self.0));
        }
    }
}

/// Whether this kernel has hierarchies of version 1; where it has, one until the end of a test.
fn version_1(live: &Live) -> Result<Option<Version1>> {
    let mounted = Version1::mount();
    let unmet = mounted.as_ref().err().map(|error| format!("{error:#}"));
    Ok(if live.has(Need::CgroupV1, unmet.as_deref())? { mounted.ok() } else { None })
}

fn must_name_the_unit(report: &Value) -> Result<()> {
    let rows = report["processes"].as_array().context("no processes")?;
    ensure!(!rows.is_empty() && rows.iter().all(|row| row["unit"] == UNIT), "{rows:?}");
    Ok(())
}

fn a_host_with_version_1_alone_is_traced_and_names_its_units(live: &Live) -> Result<()> {
    let Some(_mounted) = version_1(live)? else { return Ok(()) };
    must_name_the_unit(&counted(&report(live, CloneFlags::empty(), || apart::unmount_all("cgroup2"))?)?)
}

fn a_hybrid_host_is_traced_and_names_its_units(live: &Live) -> Result<()> {
    let Some(_mounted) = version_1(live)? else { return Ok(()) };
    // Everybody is at the root of version 2, which is mounted beside.
    must_name_the_unit(&counted(&report(live, CloneFlags::empty(), || {
        apart::unmount_all("cgroup2")?;
        let unified = Path::new("/tmp/portscope-unified");
        fs::create_dir_all(unified)?;
        Ok(mount("portscope-unified", unified, "cgroup2", MountFlags::empty(), None)?)
    })?)?)
}

/// A namespace that begins at a cgroup of its own, in which nobody stays; it is removed when this is dropped.
struct Part(PathBuf, PathBuf);

impl Part {
    /// Makes the cgroup and has this process in it.
    fn enter() -> Result<Self> {
        let root = apart::mounted("cgroup2")?.into_iter().next().context("no cgroup version 2")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).context("no cgroup")?;
        let part = Self(root.join("portscope-part"), root.join(own));
        fs::create_dir(&part.0)?;
        fs::write(part.0.join("cgroup.procs"), process::id().to_string())?;
        Ok(part)
    }

    fn leave(&self) -> Result<()> {
        Ok(fs::write(self.1.join("cgroup.procs"), process::id().to_string())?)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.leave());
        drop(fs::remove_dir(&self.0));
    }
}

fn a_part_of_the_cgroups_is_not_taken_for_the_host(live: &Live) -> Result<()> {
    let in_part = |hide: bool| {
        let part = Part::enter()?;
        report(live, CloneFlags::CLONE_NEWCGROUP, || {
            part.leave()?;
            apart::unmount_all("cgroup2")?;
            let seen = Path::new("/sys/fs/cgroup");
            mount("portscope-part", seen, "cgroup2", MountFlags::empty(), None)?;
            ensure!(seen.join("cgroup.events").exists(), "all cgroups are seen");
            if hide { apart::hide("/proc/1/ns") } else { Ok(()) }
        })
    };
    // Where the host's processes are not to be seen either, what would see a part alone does not run. Some kernels show
    // their namespaces to nobody.
    let are_shown = fs::File::open("/proc/1/ns/cgroup").is_ok();
    for is_hidden in [false, true] {
        let ended = in_part(is_hidden)?;
        if live.backend() == Backend::Tracepoint && (is_hidden || !are_shown) {
            ended.must_fail(PORTSCOPES_OWN, &["cgroup namespace", "--cgroupns=host"])?;
        } else {
            let report = counted(&ended)?;
            ensure!(report["command"]["told_by"] != "cgroup", "{}", report["command"]);
        }
    }
    Ok(())
}
