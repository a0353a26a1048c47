//! The settings of one network namespace that bear on the choice of ports.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    Netns, StockError,
    sysctl::{Sysctls, parse_range, parse_reserved, parse_step_width},
};
use crate::event::{NetnsId, PortRange, Reserved, SearchRules, Stride};

/// The port range of a network namespace, and what is taken off it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct NetnsConfig {
    /// Inode number of the namespace.
    pub id: NetnsId,
    /// `ip_local_port_range`.
    pub range: PortRange,
    /// `ip_local_reserved_ports`.
    pub reserved: Reserved,
    /// The same as the kernel writes it, without the end of the line.
    pub reserved_text: String,
    /// `ip_local_port_step_width`; none where the kernel has no such setting.
    pub step_width: Option<u32>,
}

/// The settings as they are written.
#[derive(Serialize, Deserialize)]
struct Written {
    id: NetnsId,
    range: PortRange,
    reserved: String,
    step_width: Option<u32>,
}

impl TryFrom<Written> for NetnsConfig {
    type Error = StockError;

    fn try_from(written: Written) -> Result<Self, StockError> {
        let Written { id, range, reserved: reserved_text, step_width } = written;
        Ok(Self { id, range, reserved: parse_reserved(&reserved_text)?, reserved_text, step_width })
    }
}

impl From<NetnsConfig> for Written {
    fn from(config: NetnsConfig) -> Self {
        let NetnsConfig { id, range, reserved_text, step_width, .. } = config;
        Self { id, range, reserved: reserved_text, step_width }
    }
}

impl NetnsConfig {
    /// Asks a namespace; `proc_root` must be a real `/proc`.
    pub fn of(netns: &Netns, proc_root: &Path) -> Result<Self, StockError> {
        let id = netns.id();
        netns.inside(|| Self::here(id, &Sysctls::here(proc_root)))?
    }

    /// Asks the namespace of this thread, whose number is `id`.
    pub(super) fn here(id: NetnsId, sysctls: &Sysctls) -> Result<Self, StockError> {
        let range = parse_range(&sysctls.must_have("net.ipv4.ip_local_port_range")?)?;
        let reserved_text = sysctls.must_have("net.ipv4.ip_local_reserved_ports")?.trim().to_owned();
        let step_width = sysctls.text("net.ipv4.ip_local_port_step_width")?;
        let step_width = step_width.as_deref().map(parse_step_width).transpose()?;
        Ok(Self { id, range, reserved: parse_reserved(&reserved_text)?, reserved_text, step_width })
    }

    /// Ports of the range that are not reserved: the effective range, 0 to 65,536.
    #[must_use]
    pub fn effective(&self) -> u32 {
        let reserved = self.reserved.count(self.range.low(), self.range.high(), Stride::Every);
        self.range.count().saturating_sub(reserved)
    }

    /// What must be known to understand a search in this namespace. `range_takes_every_port`: connects with
    /// `IP_LOCAL_PORT_RANGE` take every port in turn (Linux 6.8 and later).
    #[must_use]
    pub fn search_rules(&self, range_takes_every_port: bool) -> SearchRules<'_> {
        SearchRules {
            reserved: Some(&self.reserved),
            range_takes_every_port,
            step_width: self.step_width.is_some_and(|width| width != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::event::Pid;

    /// A made-up `/proc`, removed at the end.
    struct Root(PathBuf);

    impl Root {
        fn new(test: &str, files: &[(&str, &str)]) -> Self {
            let root =
                Self(std::env::temp_dir().join(format!("portscope-{}-netns-{test}", std::process::id())));
            let dir = root.0.join("sys/net/ipv4");
            fs::create_dir_all(&dir).unwrap();
            for (name, text) in files {
                fs::write(dir.join(name), text).unwrap();
            }
            root
        }

        fn ask(&self) -> Result<NetnsConfig, StockError> {
            NetnsConfig::here(NetnsId::new(7).unwrap(), &Sysctls::here(&self.0))
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            assert!(fs::remove_dir_all(&self.0).is_ok() || std::thread::panicking());
        }
    }

    #[test]
    fn the_settings_are_read_and_the_effective_range_counted() {
        let files = [
            ("ip_local_port_range", "32768\t60999\n"),
            ("ip_local_reserved_ports", "8080,40000-40009,60999\n"),
            ("ip_local_port_step_width", "3\n"),
        ];
        let config = Root::new("all", &files).ask().unwrap();
        assert_eq!((config.effective(), config.step_width), (28_221, Some(3)));
        assert_eq!(config.reserved_text, "8080,40000-40009,60999");
        assert!(config.search_rules(false).step_width);
    }

    #[test]
    fn a_kernel_without_a_step_width_has_none() {
        let files = [("ip_local_port_range", "1024 1024"), ("ip_local_reserved_ports", "1024\n")];
        let config = Root::new("old", &files).ask().unwrap();
        assert_eq!((config.effective(), config.step_width), (0, None));
        assert!(!config.search_rules(true).step_width);
    }

    #[test]
    fn a_missing_or_absurd_file_is_named() {
        let missing = Root::new("missing", &[("ip_local_port_range", "1 2")]).ask().unwrap_err();
        assert!(missing.to_string().contains("ip_local_reserved_ports"), "{missing}");
        let absurd = Root::new("absurd", &[("ip_local_port_range", "9 1")]).ask().unwrap_err();
        assert!(absurd.to_string().contains("ip_local_port_range holds '9 1'"), "{absurd}");
    }

    #[test]
    fn this_namespace_can_be_asked() {
        let own = Netns::of_process(Path::new("/proc"), Pid(std::process::id())).unwrap();
        let config = NetnsConfig::of(&own, Path::new("/proc")).unwrap();
        assert_eq!(config.id, own.id());
        assert!(config.effective() <= config.range.count());
    }
}
