//! The settings of a network namespace that decide how long a port is out, and how many connections there may be.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Netns, StockError, sysctl::Sysctls};

/// `tcp_tw_reuse`: for whom a connect may take over a TIME_WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeWaitReuse {
    /// 0: for nobody.
    Off,
    /// 1: for every connect.
    Everywhere,
    /// 2: for connects on the loopback interface, or with an address of 127/8 or ::1.
    Loopback,
    /// A number of a later kernel.
    Unknown(u32),
}

impl TimeWaitReuse {
    /// Names a value of `tcp_tw_reuse`.
    #[must_use]
    pub const fn of(number: u32) -> Self {
        match number {
            0 => Self::Off,
            1 => Self::Everywhere,
            2 => Self::Loopback,
            other => Self::Unknown(other),
        }
    }
}

/// What a namespace is set to (`Documentation/networking/ip-sysctl.rst`, `nf_conntrack-sysctl.rst`). None where
/// the kernel, or the namespace, has no such setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `tcp_tw_reuse`.
    pub tcp_tw_reuse: Option<TimeWaitReuse>,
    /// `tcp_tw_reuse_delay`, milliseconds; Linux 6.14 and later.
    pub tcp_tw_reuse_delay_ms: Option<u32>,
    /// `tcp_timestamps`: 0 off, 1 on, 2 on without a random offset.
    pub tcp_timestamps: Option<u32>,
    /// `tcp_fin_timeout`, seconds: how long an orphan stays in FIN_WAIT2. No TIME_WAIT is shortened by it.
    pub tcp_fin_timeout_s: Option<u32>,
    /// `tcp_max_tw_buckets`: TIME_WAITs that there may be; beyond them none is kept.
    pub tcp_max_tw_buckets: Option<u32>,
    /// `ip_unprivileged_port_start`: the first port that takes no right to be bound.
    pub ip_unprivileged_port_start: Option<u32>,
    /// `ip_autobind_reuse`: whether bind(0) shares ports of sockets that all have `SO_REUSEADDR`.
    pub ip_autobind_reuse: Option<u32>,
    /// `nf_conntrack_max`: connections that may be tracked; 0 = no limit.
    pub nf_conntrack_max: Option<u32>,
    /// `nf_conntrack_tcp_timeout_time_wait`, seconds: how long NAT keeps the port of a closed connection.
    pub nf_conntrack_tcp_timeout_time_wait_s: Option<u32>,
}

impl Settings {
    /// Asks a namespace; `proc_root` must be a real `/proc`.
    pub fn of(netns: &Netns, proc_root: &Path) -> Result<Self, StockError> {
        netns.inside(|| Self::here(&Sysctls::here(proc_root)))?
    }

    /// Asks the namespace of this thread.
    pub(super) fn here(sysctls: &Sysctls) -> Result<Self, StockError> {
        let ask = |sysctl: &'static str| sysctls.number(sysctl);
        Ok(Self {
            tcp_tw_reuse: ask("net.ipv4.tcp_tw_reuse")?.map(TimeWaitReuse::of),
            tcp_tw_reuse_delay_ms: ask("net.ipv4.tcp_tw_reuse_delay")?,
            tcp_timestamps: ask("net.ipv4.tcp_timestamps")?,
            tcp_fin_timeout_s: ask("net.ipv4.tcp_fin_timeout")?,
            tcp_max_tw_buckets: ask("net.ipv4.tcp_max_tw_buckets")?,
            ip_unprivileged_port_start: ask("net.ipv4.ip_unprivileged_port_start")?,
            ip_autobind_reuse: ask("net.ipv4.ip_autobind_reuse")?,
            nf_conntrack_max: ask("net.netfilter.nf_conntrack_max")?,
            nf_conntrack_tcp_timeout_time_wait_s: ask("net.netfilter.nf_conntrack_tcp_timeout_time_wait")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn root(test: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("portscope-{}-settings-{test}", std::process::id()));
        for (name, text) in files {
            let path = root.join("sys/net").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn each_setting_is_read_and_what_is_absent_is_none() {
        let root = root(
            "all",
            &[
                ("ipv4/tcp_tw_reuse", "2\n"),
                ("ipv4/tcp_timestamps", "1\n"),
                ("ipv4/tcp_fin_timeout", "60\n"),
                ("ipv4/tcp_max_tw_buckets", "131072\n"),
                ("netfilter/nf_conntrack_tcp_timeout_time_wait", "120\n"),
            ],
        );
        let settings = Settings::here(&Sysctls::here(&root)).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let expected = Settings {
            tcp_tw_reuse: Some(TimeWaitReuse::Loopback),
            tcp_timestamps: Some(1),
            tcp_fin_timeout_s: Some(60),
            tcp_max_tw_buckets: Some(131_072),
            nf_conntrack_tcp_timeout_time_wait_s: Some(120),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn an_absurd_setting_is_named() {
        for text in ["", "-1", "+1", "99999999999", "on", "1 2"] {
            let root = root("absurd", &[("ipv4/tcp_tw_reuse", text)]);
            let error = Settings::here(&Sysctls::here(&root)).unwrap_err().to_string();
            fs::remove_dir_all(&root).unwrap();
            assert!(error.contains("net.ipv4.tcp_tw_reuse holds"), "{error}");
        }
    }

    #[test]
    fn this_namespace_has_the_settings_that_every_kernel_has() {
        let settings = Settings::here(&Sysctls::here(Path::new("/proc"))).unwrap();
        assert!(settings.tcp_tw_reuse.is_some() && settings.tcp_timestamps.is_some());
    }
}
