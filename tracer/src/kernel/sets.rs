//! The filters that lie in maps: filled in before the programs load.

use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, MapData, lpm_trie::Key},
};
use tracer_ebpf::abi::names;

use super::{KernelError, counts::broken, settings::Filter};

/// Fills in the lists of a filter.
pub(super) fn fill(ebpf: &mut Ebpf, wanted: &Filter) -> Result<(), KernelError> {
    fill_set(ebpf, names::FILTER_PIDS, &wanted.pids)?;
    fill_set(ebpf, names::FILTER_UIDS, &wanted.uids)?;
    fill_set(ebpf, names::FILTER_NETNS, &wanted.netns)?;
    if wanted.remote.is_empty() {
        return Ok(());
    }
    let failed = |error: &dyn std::error::Error| broken(names::FILTER_REMOTE, error);
    let map = ebpf.map_mut(names::FILTER_REMOTE).ok_or(KernelError::Map {
        map: names::FILTER_REMOTE,
        reason: "it is not in the object".to_owned(),
    })?;
    let mut map: LpmTrie<&mut MapData, [u8; 16], u8> = map.try_into().map_err(|error| failed(&error))?;
    for (address, prefix) in &wanted.remote {
        map.insert(&Key::new(u32::from(*prefix), *address), 1, 0).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn fill_set(ebpf: &mut Ebpf, name: &'static str, values: &[u32]) -> Result<(), KernelError> {
    if values.is_empty() {
        return Ok(());
    }
    let map = ebpf
        .map_mut(name)
        .ok_or(KernelError::Map { map: name, reason: "it is not in the object".to_owned() })?;
    let mut map: HashMap<&mut MapData, u32, u8> = map.try_into().map_err(|error| broken(name, &error))?;
    values.iter().try_for_each(|value| map.insert(value, 1, 0)).map_err(|error| broken(name, &error))
}
