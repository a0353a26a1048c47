//! What `/proc/PID/cgroup` says: the path, the systemd unit, the container and the pod of a process.

use super::quote::push_json_string;

/// The cgroup of a process, read from its `/proc/PID/cgroup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    path: Option<Box<str>>,
    unit: Option<Box<str>>,
    container: Option<Box<str>>,
    pod: Option<Box<str>>,
    json: Box<str>,
}

impl Cgroup {
    /// Reads the lines `hierarchy:controllers:path` of version 1, of version 2 (`0::path`), or of both.
    ///
    /// Version 2 is asked first, then systemd's own hierarchy of version 1, then the others: on a hybrid host
    /// every process may stand at the root of version 2.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        // A name may end in a carriage return.
        let mut paths: Vec<(u8, &str)> = text.split('\n').filter_map(ranked_path).collect();
        paths.sort_by_key(|(rank, _)| *rank);
        let paths = || paths.iter().map(|(_, path)| *path);
        let path = paths().find(|path| *path != "/").or_else(|| paths().next());
        let pod = paths().find_map(pod_of);
        Self::new(path, paths().find_map(unit_of), paths().find_map(container_of), pod.as_deref())
    }

    /// A cgroup of these names.
    #[must_use]
    pub fn new(path: Option<&str>, unit: Option<&str>, container: Option<&str>, pod: Option<&str>) -> Self {
        let mut json = Vec::new();
        for (key, value) in [("\"unit\":", unit), (",\"container\":", container), (",\"pod\":", pod)] {
            json.extend_from_slice(key.as_bytes());
            match value {
                Some(value) => push_json_string(&mut json, value),
                None => json.extend_from_slice(b"null"),
            }
        }
        Self {
            path: path.map(Box::from),
            unit: unit.map(Box::from),
            container: container.map(Box::from),
            pod: pod.map(Box::from),
            json: String::from_utf8_lossy(&json).into(),
        }
    }

    /// The path below the root of its hierarchy, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The innermost systemd service or scope.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The id of the innermost container, 64 hexadecimal digits.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// The UID of the innermost Kubernetes pod.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        self.pod.as_deref()
    }

    /// The members `"unit":…,"container":…,"pod":…` of a JSON object.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// The path of a line, and how early it is to be asked.
fn ranked_path(line: &str) -> Option<(u8, &str)> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    if !path.starts_with('/') {
        return None;
    }
    let rank = match (hierarchy, controllers) {
        ("0", "") => 0,
        (_, "name=systemd") => 1,
        _ => 2,
    };
    Some((rank, path))
}

/// The last segment that names a systemd service or scope.
#[must_use]
pub fn unit_of(path: &str) -> Option<&str> {
    path.rsplit('/').find(|segment| {
        ["service", "scope"].iter().any(|kind| {
            segment
                .strip_suffix(kind)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|name| !name.is_empty())
        })
    })
}

/// The id of the innermost container that the path names.
///
/// Known forms: `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope` and
/// `….slice:cri-containerd:ID` of the systemd drivers; a segment `ID`, with or without such a prefix, of the
/// cgroupfs drivers. The monitor of a container (`crio-conmon-…`, `libpod-conmon-…`) is outside it.
#[must_use]
pub fn container_of(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(|segment| {
        let name = segment.strip_suffix(".scope").unwrap_or(segment);
        let (prefix, id) = match name.rfind(['-', ':']) {
            Some(at) => (name.get(..at)?, name.get(at.checked_add(1)?..)?),
            None => ("", name),
        };
        let is_id = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_id && !prefix.ends_with("conmon")).then_some(id)
    })
}

/// The UID of the innermost Kubernetes pod that the path names, with hyphens, as `kubectl` says it.
///
/// Known forms: `…-podUID.slice` of the systemd driver, which writes `_` for `-` and may have more behind it
/// (`…-podUID.slice:cri-containerd:ID`); a segment `podUID` of the cgroupfs driver. A pod of a file on the node has
/// 32 hexadecimal digits instead. What podman calls a pod is none.
#[must_use]
pub fn pod_of(path: &str) -> Option<String> {
    path.rsplit('/').find_map(|segment| {
        let slice = segment.split_once(".slice").map(|(name, _)| name);
        let name = match slice {
            Some(name) => name.rsplit_once('-').map_or(name, |(_, last)| last),
            None => segment,
        };
        let uid = name.strip_prefix("pod")?.replace('_', "-");
        is_uid(&uid).then_some(uid)
    })
}

/// `8-4-4-4-12` hexadecimal digits, or 32.
fn is_uid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    matches!(lengths.as_slice(), [32] | [8, 4, 4, 4, 12]) && text.split('-').all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_are_found_in_the_paths_of_every_driver() {
        let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice";
        let table = [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("{pod}/cri-containerd-{ID}.scope"),
            format!("{pod}/crio-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/kubepods/besteffort/podb5/{ID}"),
            format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}"),
            format!("/docker/{}/docker/{ID}", ID.replace('0', "f")),
            // systemd in the container, cgroups below it, a kubelet in a container, users' own containers.
            format!("{pod}/cri-containerd-{ID}.scope/init.scope"),
            format!("{pod}/crio-{ID}.scope/container/app.slice"),
            format!("/kubelet.slice{pod}/cri-containerd-{ID}.scope"),
            format!("/system.slice/docker-{}.scope{pod}/cri-containerd-{ID}.scope", ID.replace('0', "f")),
            format!("/kubepods/burstable/pod3c2fa1f5-4f0f-4c43-9d0c-1f1f6f1e2b3a/{ID}"),
            format!("/kubepods/podb5/crio-{ID}"),
            format!("/k8s.io/{ID}"),
            format!("/libpod_parent/libpod-{ID}"),
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"),
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"),
            format!("/../../{pod}/cri-containerd-{ID}.scope"),
        ];
        for path in table {
            assert_eq!(container_of(&path), Some(ID), "{path}");
        }
    }

    const POD: &str = "3c2fa1f5-4f0f-4c43-9d0c-1f1f6f1e2b3a";

    #[test]
    fn pods_are_found_in_the_paths_of_every_driver() {
        let low = POD.replace('-', "_");
        let other = POD.replace('3', "e");
        let slices = format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{low}.slice");
        let table = [
            // The systemd driver: each class, containerd, CRI-O, docker.
            format!("{slices}/cri-containerd-{ID}.scope"),
            format!("{slices}/crio-{ID}.scope"),
            format!("{slices}/crio-{ID}.scope/container/app.slice"),
            format!("{slices}/docker-{ID}.scope"),
            format!("{slices}/cri-containerd-{ID}.scope/init.scope"),
            slices.clone(),
            format!("/kubepods.slice/kubepods-pod{low}.slice/crio-{ID}.scope"),
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{low}.slice/crio-{ID}.scope"
            ),
            // The cgroupfs driver.
            format!("/kubepods/pod{POD}/{ID}"),
            format!("/kubepods/burstable/pod{POD}/{ID}"),
            format!("/kubepods/besteffort/pod{POD}/crio-{ID}"),
            format!("/kubepods/burstable/pod{POD}"),
            // A runtime of the one driver under a kubelet of the other.
            format!("/system.slice/containerd.service/kubepods-burstable-pod{low}.slice:cri-containerd:{ID}"),
            // A kubelet in a slice or a container of its own, containers in pods, pods in pods, another's view.
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                 kubelet-kubepods-besteffort-pod{low}.slice/cri-containerd-{ID}.scope"
            ),
            format!("/system.slice/docker-{ID}.scope/kubelet.slice{slices}/cri-containerd-{ID}.scope"),
            format!("/docker/{ID}/kubepods/burstable/pod{POD}/{ID}"),
            format!("{slices}/cri-containerd-{ID}.scope/docker/{ID}"),
            format!("{slices}/crio-{ID}.scope/user.slice/libpod-{ID}.scope/container"),
            format!("/kubepods/burstable/pod{other}/{ID}/kubepods/burstable/pod{POD}/{ID}"),
            format!("/../../kubepods-besteffort-pod{low}.slice/cri-containerd-{ID}.scope"),
        ];
        for path in table {
            assert_eq!(pod_of(&path).as_deref(), Some(POD), "{path}");
        }
    }

    #[test]
    fn a_pod_of_a_file_on_the_node_has_a_hash() {
        let hash = POD.replace('-', "");
        for path in [
            format!("/kubepods/burstable/pod{hash}/{ID}"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{hash}.slice/crio-{ID}.scope"
            ),
        ] {
            assert_eq!(pod_of(&path), Some(hash.clone()), "{path}");
        }
    }

    #[test]
    fn what_looks_like_a_pod_is_none() {
        let table = [
            String::from("/"),
            String::new(),
            String::from("/kubepods.slice/kubepods-burstable.slice"),
            String::from("/kubepods/burstable/pod1"),
            format!("/kubepods/burstable/{POD}"),
            format!("/kubepods/pod{}", POD.to_uppercase()),
            format!("/kubepods/pod{POD}0/{ID}"),
            format!("/tripod{POD}/{ID}"),
            format!("/machine.slice/machine-libpod_pod_{ID}.slice/libpod-{ID}.scope/container"),
            format!("/libpod_parent/{ID}/libpod-{ID}"),
            format!("/system.slice/docker-{ID}.scope"),
        ];
        for path in table {
            assert_eq!(pod_of(&path), None, "{path}");
        }
    }

    #[test]
    fn what_looks_like_a_container_is_none() {
        let table = [
            String::from("/"),
            String::new(),
            String::from("/user.slice/user-1000.slice/session-3.scope"),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/system.slice/crio-conmon-{ID}.scope"),
            format!("/docker/{}", ID.to_uppercase()),
            format!("/docker/{ID}0"),
            String::from("/docker/0123"),
        ];
        for path in table {
            assert_eq!(container_of(&path), None, "{path}");
        }
    }

    #[test]
    fn the_unit_is_the_innermost_service_or_scope() {
        let table = [
            ("/system.slice/nginx.service", Some("nginx.service")),
            ("/system.slice/nginx.service/worker", Some("nginx.service")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x\\x2dy.scope",
                Some("app-x\\x2dy.scope"),
            ),
            ("/user.slice/user-1000.slice", None),
            ("/.service", None),
            ("/", None),
        ];
        for (path, unit) in table {
            assert_eq!(unit_of(path), unit, "{path}");
        }
    }

    #[test]
    fn a_hybrid_host_is_read_from_its_version_1_lines() {
        let text = format!(
            "12:pids:/docker/{ID}\n3:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/system.slice/a.service\n0::/\n"
        );
        let cgroup = Cgroup::parse(&text);
        assert_eq!(cgroup.path(), Some("/system.slice/a.service"));
        assert_eq!((cgroup.unit(), cgroup.container()), (Some("a.service"), Some(ID)));
    }

    #[test]
    fn version_2_comes_first() {
        let cgroup = Cgroup::parse("1:name=systemd:/old.service\n0::/new.service/a:b\n");
        assert_eq!((cgroup.path(), cgroup.unit()), (Some("/new.service/a:b"), Some("new.service")));
        assert_eq!(cgroup.json(), r#""unit":"new.service","container":null,"pod":null"#);
    }

    #[test]
    fn absurd_text_gives_nothing() {
        for text in ["", "\n\n", "0", "0::", "::::", "0::relative"] {
            assert_eq!(Cgroup::parse(text).path(), None, "{text:?}");
        }
        assert_eq!(Cgroup::parse("0::/").path(), Some("/"));
    }
}
