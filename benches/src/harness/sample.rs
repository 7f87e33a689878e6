//! What one run gives, and what several runs of the same thing come to.

use super::histogram::Histogram;

/// What one run gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    /// Round trips, in ns: half of them took no longer than `median`, and so on.
    Latency {
        /// The 50th percentile.
        median: f64,
        /// The 99th.
        p99: f64,
        /// The 99.9th.
        p999: f64,
    },
    /// The mean of one of very many, in ns.
    Cost(f64),
    /// Frames received per second.
    FramesPerSecond(f64),
    /// Bytes copied per second.
    BytesPerSecond(f64),
}

impl Sample {
    /// Of a few times in ns; `None` of none. The tail of fewer than a hundred is the longest of them.
    pub fn of_few(times: &mut [f64]) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        let rank = |share: f64| (share * times.len() as f64).ceil() as usize;
        let at = |share| times.get(rank(share).saturating_sub(1)).copied();
        Some(Self::Latency { median: at(0.5)?, p99: at(0.99)?, p999: at(0.999)? })
    }

    fn middle(&self) -> f64 {
        match *self {
            Self::Latency { median, .. } => median,
            Self::Cost(value) | Self::FramesPerSecond(value) | Self::BytesPerSecond(value) => value,
        }
    }

    fn tail(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Latency { p99, p999, .. } => Some((p99, p999)),
            _ => None,
        }
    }

    fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Latency { .. } => ("latency", "ns"),
            Self::Cost(_) => ("cost", "ns"),
            Self::FramesPerSecond(_) => ("throughput", "frames/s"),
            Self::BytesPerSecond(_) => ("throughput", "bytes/s"),
        }
    }
}

/// Trips in a block.
const BLOCK: u64 = 8;

/// Round trips, as they are timed.
///
/// Some processors' counters move in steps of 10 ns, a good part of a trip between two cores. So the
/// median is taken of the means of [`BLOCK`] trips in a row, and only the tail of single trips.
#[derive(Default)]
pub struct Trips {
    single: Histogram,
    /// In ns for [`BLOCK`] trips.
    blocks: Histogram,
    sum: u64,
}

impl Trips {
    /// Adds a trip of so many ns.
    #[inline(always)]
    pub fn record(&mut self, nanos: u64) {
        self.single.record(nanos);
        self.sum += nanos;
        if self.single.total().is_multiple_of(BLOCK) {
            self.blocks.record(self.sum);
            self.sum = 0;
        }
    }

    /// What they come to; `None` before the first block is full.
    pub fn sample(&self) -> Option<Sample> {
        Some(Sample::Latency {
            median: self.blocks.quantile(0.5)? / BLOCK as f64,
            p99: self.single.quantile(0.99)?,
            p999: self.single.quantile(0.999)?,
        })
    }
}

/// What all rounds of one case with one peer come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// `latency`, `cost` or `throughput`.
    pub metric: &'static str,
    /// `ns`, `frames/s` or `bytes/s`.
    pub unit: &'static str,
    /// Median of the rounds; for latencies, of their medians.
    pub median: f64,
    /// Smallest of the same.
    pub min: f64,
    /// Largest of the same.
    pub max: f64,
    /// For latencies: the medians of the rounds' 99th and 99.9th percentiles.
    pub tail: Option<(f64, f64)>,
}

impl Figures {
    /// Of these rounds; `None` of none.
    pub fn of(rounds: &[Sample]) -> Option<Self> {
        let (metric, unit) = rounds.first()?.kind();
        let middles = sorted(rounds.iter().map(Sample::middle));
        let p99 = sorted(rounds.iter().filter_map(|round| Some(round.tail()?.0)));
        let p999 = sorted(rounds.iter().filter_map(|round| Some(round.tail()?.1)));
        Some(Self {
            metric,
            unit,
            median: median(&middles)?,
            min: *middles.first()?,
            max: *middles.last()?,
            tail: median(&p99).zip(median(&p999)),
        })
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        1 => Some(*upper),
        _ => Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7.5: a median finer than the clock, and tails that no mean hides.
    #[test]
    fn a_coarse_clock_still_gives_a_fine_median() {
        let mut trips = Trips::default();
        assert_eq!(trips.sample(), None);
        for trip in 0..100_000u64 {
            // 73 ns each on a clock of steps of 10 ns, and one in 200 of 5 us.
            let (start, end) = (trip * 73 / 10 * 10, (trip + 1) * 73 / 10 * 10);
            trips.record(if trip % 200 == 0 { 5000 } else { end - start });
        }
        let Some(Sample::Latency { median, p99, p999 }) = trips.sample() else { unreachable!() };
        assert!((median - 73.0).abs() < 1.5, "{median}");
        assert!(p99 <= 81.0 && (4900.0..5100.0).contains(&p999), "{p99} {p999}");
    }

    /// R7.5: no quantile of a few times is a time that was not measured.
    #[test]
    fn a_few_times_are_what_they_are() {
        let sample = Sample::of_few(&mut [3.0, 9.0, 1.0, 2.0]);
        assert_eq!(sample, Some(Sample::Latency { median: 2.0, p99: 9.0, p999: 9.0 }));
        assert_eq!(Sample::of_few(&mut []), None);
    }

    /// R7.5: medians over odd and even numbers of rounds, tails apart from middles.
    #[test]
    fn figures_are_medians_with_their_range() {
        let rates = [3.0, 1.0, 10.0].map(Sample::FramesPerSecond);
        let figures = Figures::of(&rates).unwrap();
        assert_eq!((figures.median, figures.min, figures.max), (3.0, 1.0, 10.0));
        assert_eq!((figures.unit, figures.tail), ("frames/s", None));

        let trip = |median, p99, p999| Sample::Latency { median, p99, p999 };
        let figures =
            Figures::of(&[trip(100.0, 500.0, 900.0), trip(110.0, 300.0, 2000.0)]).unwrap();
        assert_eq!((figures.median, figures.min, figures.max), (105.0, 100.0, 110.0));
        assert_eq!(figures.tail, Some((400.0, 1450.0)));
        assert_eq!(Figures::of(&[]), None);
    }
}
