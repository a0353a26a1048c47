//! The script that is process 1 of the guest.

/// What the guest prints around its answers; unlikely in any output.
pub(super) const MARK: &str = "@portscope-vm@";

/// The line in the kernel log that separates booting from what the command caused.
pub(super) const STARTED: &str = "portscope-vm: the command starts";

const PREPARE: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=dumb LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
ln -sf /proc/self/fd /dev/fd
ip link set lo up
ulimit -n 1048576 || ulimit -n 65536
ulimit -l unlimited
while read -r module; do
  insmod "/modules/$module.ko" 2>/dev/null
done </modules/order
rm -rf /modules
"#;

/// The init script around a command line of the shell.
pub(super) fn init(command: &str, send_out: bool) -> String {
    let send = if send_out { "stty -F /dev/ttyS1 raw && tar -cf /dev/ttyS1 -C /out .\n" } else { "" };
    format!(
        "{PREPARE}\
         echo '{STARTED}' >/dev/kmsg\n\
         echo '{MARK} begin'\n\
         ( {command} ) </dev/null 2>&1\n\
         status=$?\n\
         echo '{MARK} dmesg'\n\
         dmesg\n\
         {send}\
         echo \"{MARK} status $status\"\n\
         poweroff -f\n"
    )
}

/// The init script that unpacks a system from /system.tar, puts what is below /put into it, and becomes its init.
pub(super) fn switch_to_system() -> String {
    format!(
        "{PREPARE}\
         mkdir /new\n\
         mount -t tmpfs -o mode=755 tmpfs /new\n\
         tar -xf /system.tar -C /new && rm /system.tar\n\
         cp -r /put/. /new/\n\
         exec switch_root /new /sbin/init\n"
    )
}

/// A script that runs a command once that system is up, and ends the machine as [`init`] does.
pub(super) fn last_words(command: &str) -> String {
    format!(
        "echo '{STARTED}' >/dev/kmsg\n\
         echo '{MARK} begin'\n\
         ( {command} ) </dev/null 2>&1\n\
         status=$?\n\
         echo '{MARK} dmesg'\n\
         dmesg\n\
         echo \"{MARK} status $status\"\n\
         systemctl poweroff --force --force\n"
    )
}

/// Words as one command line of the shell.
pub(crate) fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_survive_the_shell() {
        let words = ["sh".to_owned(), "it's $HOME".to_owned()];
        assert_eq!(quoted(&words), r"'sh' 'it'\''s $HOME'");
    }

    #[test]
    fn the_verdict_is_the_last_thing_printed() {
        let script = init("true", true);
        assert!(script.find("ttyS1") < script.find("status $status"), "{script}");
    }
}
