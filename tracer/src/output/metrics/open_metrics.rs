//! Families as the text of OpenMetrics, and as the older one of Prometheus.

use prometheus_client::{
    collector::Collector,
    encoding::{
        CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, GaugeValueEncoder,
        NoLabelSet,
    },
    metrics::MetricType,
};

use super::{
    Buckets,
    families::Families,
    labels::Labels,
    sink::{Done, Family, Number, Sink},
};

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Done {
        self.tell(&mut encoder)
    }
}

impl Sink for DescriptorEncoder<'_> {
    fn counters(&mut self, family: &Family<'_>, all: &[(Labels, Number)]) -> Done {
        let unit = family.unit.as_ref();
        let mut metric = self.encode_descriptor(family.name, family.help, unit, MetricType::Counter)?;
        for (labels, count) in all {
            metric.encode_family(labels)?.encode_counter::<NoLabelSet, Number, u64>(count, None)?;
        }
        Ok(())
    }

    fn gauges(&mut self, family: &Family<'_>, all: &[(Labels, Number)]) -> Done {
        let unit = family.unit.as_ref();
        let mut metric = self.encode_descriptor(family.name, family.help, unit, MetricType::Gauge)?;
        for (labels, value) in all {
            metric.encode_family(labels)?.encode_gauge(value)?;
        }
        Ok(())
    }

    fn histogram(&mut self, family: &Family<'_>, buckets: &Buckets) -> Done {
        let Buckets { counts, above, sum } = buckets;
        let unit = family.unit.as_ref();
        let mut metric = self.encode_descriptor(family.name, family.help, unit, MetricType::Histogram)?;
        let each: Vec<(f64, u64)> = counts.iter().copied().chain([(f64::INFINITY, *above)]).collect();
        metric.encode_histogram::<NoLabelSet>(*sum, buckets.all(), &each, None)
    }
}

impl EncodeCounterValue for Number {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> Done {
        match self {
            Self::Whole(number) => EncodeCounterValue::encode(number, encoder),
            Self::Real(number) => EncodeCounterValue::encode(number, encoder),
        }
    }
}

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> Done {
        match self {
            Self::Whole(number) => EncodeGaugeValue::encode(number, encoder),
            Self::Real(number) => EncodeGaugeValue::encode(number, encoder),
        }
    }
}
