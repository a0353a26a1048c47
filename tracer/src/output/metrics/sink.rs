//! What a family of metrics is, and where families go: one list of them, whatever form they are told in.

use std::{collections::HashMap, fmt};

use prometheus_client::registry::Unit;

use super::{Buckets, labels::Labels};

pub(super) type Done = Result<(), fmt::Error>;

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// A form that families are told in. Without labels there is one number.
pub(super) trait Sink {
    fn counters(&mut self, family: &Family<'_>, all: &[(Labels, Number)]) -> Done;
    fn gauges(&mut self, family: &Family<'_>, all: &[(Labels, Number)]) -> Done;
    fn histogram(&mut self, family: &Family<'_>, buckets: &Buckets) -> Done;
}

/// One family of counters or gauges.
#[derive(Debug)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) unit: Option<Unit>,
}

impl<'a> Family<'a> {
    pub(super) const fn new(name: &'a str, help: &'a str) -> Self {
        Self { name, help, unit: None }
    }

    pub(super) fn in_unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    pub(super) fn counters(&self, sink: &mut dyn Sink, all: impl IntoIterator<Item = (Labels, u64)>) -> Done {
        let all = each_once(all, |sum: &mut u64, count| *sum = sum.saturating_add(count));
        sink.counters(self, &numbers(all))
    }

    pub(super) fn gauges(
        &self,
        sink: &mut dyn Sink,
        all: impl IntoIterator<Item = (Labels, impl Into<Number>)>,
    ) -> Done {
        sink.gauges(self, &numbers(each_once(all, |_, _| {})))
    }

    pub(super) fn counter(&self, sink: &mut dyn Sink, count: impl Into<Number>) -> Done {
        sink.counters(self, &[(Labels::new(), count.into())])
    }

    pub(super) fn histogram(&self, sink: &mut dyn Sink, buckets: &Buckets) -> Done {
        sink.histogram(self, buckets)
    }

    pub(super) fn gauge(&self, sink: &mut dyn Sink, value: Option<impl Into<Number>>) -> Done {
        let Some(value) = value else { return Ok(()) };
        sink.gauges(self, &[(Labels::new(), value.into())])
    }
}

fn numbers(all: Vec<(Labels, impl Into<Number>)>) -> Vec<(Labels, Number)> {
    all.into_iter().map(|(labels, value)| (labels, value.into())).collect()
}

/// Labels twice in a family make all of it invalid: names that were cut, or are alike, become one line.
fn each_once<V>(all: impl IntoIterator<Item = (Labels, V)>, add: impl Fn(&mut V, V)) -> Vec<(Labels, V)> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut told: Vec<(Labels, V)> = Vec::new();
    for (labels, value) in all {
        if let Some((_, known)) = places.get(&labels).and_then(|place| told.get_mut(*place)) {
            add(known, value);
        } else {
            places.insert(labels.clone(), told.len());
            told.push((labels, value));
        }
    }
    told
}
