//! One walk over all types: where each lies, and which of them are those that are looked for by name.

use std::collections::HashMap;

use tracer_ebpf::abi::{FIELDS, FieldKind};

use super::{
    Signature,
    blob::{Blob, Enumerator, Kind, Malformed, Member, Record},
};

/// The names that are looked for.
pub(super) struct Wanted<'n> {
    structures: Vec<&'static str>,
    enumerators: Vec<&'static str>,
    functions: &'n [&'n str],
}

impl<'n> Wanted<'n> {
    /// What the fields need, and these functions.
    pub(super) fn new(functions: &'n [&'n str]) -> Self {
        let paths = || FIELDS.iter().flat_map(|field| field.paths);
        let mut structures: Vec<_> = paths().map(|(of, _, _)| *of).collect();
        structures.sort_unstable();
        structures.dedup();
        let enumerators = paths().filter_map(|(_, _, kind)| match kind {
            FieldKind::FlagBit(name) => Some(*name),
            _ => None,
        });
        Self { structures, enumerators: enumerators.collect(), functions }
    }
}

/// What was found of it.
pub(super) struct Index<'a> {
    blob: Blob<'a>,
    /// Where each type lies; the first is type 1.
    places: Vec<u32>,
    structures: HashMap<&'static str, u32>,
    enumerators: HashMap<&'static str, u32>,
    functions: HashMap<String, u32>,
}

impl<'a> Index<'a> {
    pub(super) fn new(blob: &Blob<'a>, wanted: &Wanted<'_>) -> Result<Self, Malformed> {
        let mut index = Self {
            blob: *blob,
            places: Vec::new(),
            structures: HashMap::new(),
            enumerators: HashMap::new(),
            functions: HashMap::new(),
        };
        for (id, found) in (1..).zip(blob.types()) {
            let (place, record) = found?;
            index.places.push(place);
            index.note(id, record, wanted);
        }
        Ok(index)
    }

    /// A name may stand for a type, a function and a variable at once: each has a map of its own.
    fn note(&mut self, id: u32, record: Record<'a>, wanted: &Wanted<'_>) {
        let blob = self.blob;
        let name = record.head.name;
        match record.kind {
            Kind::Composite if name != 0 => {
                if let Some(found) = wanted.structures.iter().find(|wanted| blob.is_named(name, wanted)) {
                    self.structures.entry(found).or_insert(id);
                }
            }
            Kind::Enum => {
                for one in record.rest::<Enumerator>() {
                    if let Some(found) =
                        wanted.enumerators.iter().find(|wanted| blob.is_named(one.name, wanted))
                    {
                        self.enumerators.entry(found).or_insert(one.value);
                    }
                }
            }
            Kind::Function => {
                if let Some(found) = wanted.functions.iter().find(|wanted| blob.is_named(name, wanted)) {
                    self.functions.entry((*found).to_owned()).or_insert(record.head.size_or_type);
                }
            }
            _ => {}
        }
    }

    /// The id of a structure that was looked for.
    pub(super) fn structure(&self, name: &str) -> Option<u32> {
        self.structures.get(name).copied()
    }

    /// The value of an enumerator that was looked for.
    pub(super) fn enumerator(&self, name: &str) -> Option<u32> {
        self.enumerators.get(name).copied()
    }

    /// The functions that were looked for and have a prototype.
    pub(super) fn functions(&self) -> HashMap<String, Signature> {
        let signature = |id: u32| {
            let prototype = self.record(id).ok().filter(|record| record.kind == Kind::Prototype)?;
            Some(Signature { parameters: prototype.head.count(), is_void: prototype.head.size_or_type == 0 })
        };
        self.functions.iter().filter_map(|(name, id)| Some((name.clone(), signature(*id)?))).collect()
    }

    pub(super) fn record(&self, id: u32) -> Result<Record<'a>, Malformed> {
        let missing = Malformed::NoType(id);
        let at = usize::try_from(id).ok().and_then(|id| id.checked_sub(1)).ok_or(missing)?;
        let place = *self.places.get(at).ok_or(missing)?;
        self.blob.record(place as usize, id)
    }

    pub(super) fn is_called(&self, member: Member, name: &str) -> bool {
        self.blob.is_named(member.name, name)
    }
}
