//! Kernel modules for the guest: found by name in the package, with what they depend on, ready for insmod.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{process, tree};

/// What tests need beyond what the cloud kernels have built in: devices for namespaces, protocols that take
/// ports, the socket dumps of each protocol, and a client of NFS. A kernel may lack any of them.
const WANTED: [&str; 23] = [
    "veth",
    "tun",
    "dummy",
    "vrf",
    "sctp",
    "dccp",
    "dccp_ipv4",
    "dccp_ipv6",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "raw_diag",
    "mptcp_diag",
    "sctp_diag",
    "dccp_diag",
    "unix_diag",
    "netlink_diag",
    "vsock",
    "vsock_loopback",
    "rds",
    "smc",
    "nfs",
    "nfsv3",
];

/// A module as the guest gets it.
pub(super) struct Module {
    /// Its name, as `lsmod` says it.
    pub(super) name: String,
    /// The contents of its `.ko` file.
    pub(super) bytes: Vec<u8>,
}

/// The wanted modules that a kernel has, each after those that it depends on.
pub(super) fn wanted(modules: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(&modules.join("kernel"), &mut files)?;
    let mut found = Vec::new();
    for name in WANTED {
        take(name, &files, &mut found)?;
    }
    Ok(found)
}

fn take(name: &str, files: &BTreeMap<String, PathBuf>, found: &mut Vec<Module>) -> Result<()> {
    let Some(path) = files.get(name) else { return Ok(()) };
    if found.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let bytes = contents(path)?;
    for needed in depends(&bytes) {
        take(&needed, files, found)?;
    }
    found.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

fn index(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"))?;
    Some(stem.replace('-', "_"))
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|end| end == "xz") {
        let output = process::output(Command::new("xz").arg("-dc").arg(path))?;
        anyhow::ensure!(output.status.success(), "xz cannot unpack {}", path.display());
        return Ok(output.stdout);
    }
    tree::read(path)
}

/// The `depends=` entry of the `.modinfo` section, whose entries are strings that end with a zero byte.
fn depends(module: &[u8]) -> Vec<String> {
    module
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"depends="))
        .map(|list| String::from_utf8_lossy(list).replace('-', "_"))
        .map(|list| list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_reads_the_modinfo_entry() {
        assert_eq!(
            depends(b"\x7fELF\0license=GPL\0depends=libcrc32c,udp-tunnel\0x"),
            ["libcrc32c", "udp_tunnel"]
        );
        assert!(depends(b"license=GPL\0depends=\0").is_empty());
    }

    #[test]
    fn module_names_use_underscores_whatever_the_compression() {
        assert_eq!(module_name(Path::new("/a/tcp-diag.ko.xz")).as_deref(), Some("tcp_diag"));
        assert_eq!(module_name(Path::new("/a/modules.dep")), None);
    }
}
