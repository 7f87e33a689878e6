//! Latencies in logarithmic buckets.
//!
//! Values below 64 have a bucket each. Above, each doubling is cut into 64 buckets, so that a
//! percentile is off by at most 1 part in 64 whatever its magnitude. Recording is an addition.

const BITS: u32 = 6;
const PER_DOUBLING: usize = 1 << BITS;
const BUCKETS: usize = (64 - BITS as usize + 1) * PER_DOUBLING;

/// How often each latency was seen.
pub struct Histogram {
    buckets: Box<[u64]>,
    total: u64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), total: 0 }
    }

    /// Adds one value.
    #[inline(always)]
    pub fn record(&mut self, value: u64) {
        self.buckets[bucket(value)] += 1;
        self.total += 1;
    }

    /// How many values there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The value that the share `quantile` (0 to 1) of all values does not exceed: the middle of
    /// its bucket. `None` when nothing was recorded.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let rank = ((quantile * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        self.buckets.iter().enumerate().find_map(|(index, count)| {
            seen += count;
            (seen >= rank).then(|| middle(index))
        })
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[inline(always)]
fn bucket(value: u64) -> usize {
    let doubling = (63 - (value | 1).leading_zeros()).saturating_sub(BITS - 1) as usize;
    if doubling == 0 {
        return value as usize;
    }
    // The top bit is implied by the doubling; the next six choose the bucket.
    let within = (value >> (doubling - 1)) as usize & (PER_DOUBLING - 1);
    doubling * PER_DOUBLING + within
}

fn middle(index: usize) -> f64 {
    let (doubling, within) = (index / PER_DOUBLING, index % PER_DOUBLING);
    if doubling == 0 {
        return within as f64;
    }
    let width = 2f64.powi(doubling as i32 - 1);
    ((PER_DOUBLING + within) as f64 + 0.5) * width - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7.1: percentiles agree with a sorted list, at every magnitude.
    #[test]
    fn percentiles_agree_with_a_sorted_list() {
        let (mut histogram, mut list, mut state) = (Histogram::new(), Vec::new(), 1u64);
        for round in 0..20_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = (state >> 24) >> (round % 40);
            histogram.record(value);
            list.push(value);
        }
        list.sort_unstable();
        for quantile in [0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((quantile * list.len() as f64).ceil() as usize).clamp(1, list.len());
            let (exact, found) = (list[rank - 1] as f64, histogram.quantile(quantile).unwrap());
            assert!((found - exact).abs() <= exact / 64.0, "{quantile}: {found}, not {exact}");
        }
    }

    /// R7.1: the ends of the scale have a place, and an empty histogram has no percentile.
    #[test]
    fn the_ends_of_the_scale() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        for value in [0, 63, 64, 127, 128, u64::MAX] {
            histogram.record(value);
        }
        assert_eq!(histogram.quantile(0.0), Some(0.0));
        assert_eq!(histogram.quantile(2.0 / 6.0), Some(63.0));
        assert_eq!(histogram.quantile(3.0 / 6.0), Some(64.0));
        assert!(histogram.quantile(1.0).unwrap() > 1.8e19);
    }
}
