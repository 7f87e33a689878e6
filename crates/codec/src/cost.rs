//! What it costs to send: nanoseconds per frame, by format, by what an object is made of and by size.
//!
//! 1. Each figure is a mean of what was measured in use, of which the last few samples make most. Until there is one, a
//!    seed stands for it, measured once on another machine.
//! 2. A sample is one in [`EVERY`]: the others pay for no clock.
//! 3. A model is of one process. Writers that record at once may lose a sample to each other, and never make a
//!    figure that nobody measured.
//! 4. What a process has measured it also leaves in the segment, a word of 32 bits for each figure ([`Model::kept`]). Whoever
//!    comes to it takes over ([`Model::adopt`]) what it has not measured itself.

#![allow(
    clippy::disallowed_types,
    reason = "no model of loom's runs here: figures for those who look"
)]

use crate::frame::Format;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of so many sends one is timed.
pub const EVERY: u64 = 64;

/// What an object is made of, as far as that decides what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// A number, a date, a short text: what takes no time of its own.
    Scalar = 0,
    /// Text, or a container of texts.
    Text = 1,
    /// A container of numbers.
    Numbers = 2,
    /// A container of this and that, such as records.
    Records = 3,
    /// Arrays, or a container that holds some.
    Arrays = 4,
    /// Bytes.
    Bytes = 5,
    /// A table of columns.
    Table = 6,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 7] = [
        Class::Scalar,
        Class::Text,
        Class::Numbers,
        Class::Records,
        Class::Arrays,
        Class::Bytes,
        Class::Table,
    ];

    /// Its name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Scalar => "scalar",
            Class::Text => "text",
            Class::Numbers => "numbers",
            Class::Records => "records",
            Class::Arrays => "arrays",
            Class::Bytes => "bytes",
            Class::Table => "table",
        }
    }
}

/// Formats that are told apart.
const FORMATS: usize = 6;
/// Bodies below 256 bytes, 4 KiB, 64 KiB, 1 MiB, and all others.
const BANDS: usize = 5;
/// Figures of a model.
const FIGURES: usize = FORMATS * Class::ALL.len() * BANDS;
const _: () = assert!(FIGURES <= 256);

fn band(bytes: usize) -> usize {
    let bits = usize::BITS - bytes.leading_zeros();
    (bits.saturating_sub(5) as usize / 4).min(BANDS - 1)
}

/// Nanoseconds a frame, and picoseconds a byte, until something is measured: of one machine, by `slipring.calibrate` in
/// Python.
const SEEDS: [(Format, Class, u32, u32); 17] = [
    (Format::Raw, Class::Bytes, 200, 50),
    (Format::Ndarray, Class::Arrays, 200, 25),
    (Format::Value, Class::Scalar, 280, 100),
    (Format::Value, Class::Text, 210, 40),
    (Format::Value, Class::Numbers, 310, 360),
    (Format::Value, Class::Records, 460, 2_500),
    (Format::Value, Class::Arrays, 750, 25),
    (Format::Value, Class::Bytes, 180, 25),
    (Format::Json, Class::Scalar, 250, 100),
    (Format::Json, Class::Text, 380, 95),
    (Format::Json, Class::Numbers, 280, 2_000),
    (Format::Json, Class::Records, 440, 2_100),
    (Format::Pickle, Class::Scalar, 1_600, 100),
    (Format::Pickle, Class::Text, 1_500, 70),
    (Format::Pickle, Class::Numbers, 1_400, 1_500),
    (Format::Pickle, Class::Records, 1_700, 6_700),
    (Format::Pickle, Class::Arrays, 10_500, 15),
];

/// Who writes frames. Each has figures of its own: the same object costs them different times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Writer {
    /// Rust, from its own types.
    Rust = 0,
    /// Python's objects.
    Python = 1,
    /// The BEAM's terms.
    Beam = 2,
}

impl Writer {
    /// The words of its figures, among those of a segment.
    pub fn words(self) -> std::ops::Range<usize> {
        let first = 256 * self as usize;
        first..first + FIGURES
    }
}

/// A mean of samples: nanoseconds in the upper half, bytes in the lower one, both as `f32`. 0 is none. The sign of the bytes says
/// that another process has measured it.
struct Cell(AtomicU64);

impl Cell {
    /// Both halves, the second one with its sign.
    fn word(&self) -> Option<(f32, f32)> {
        // Relaxed, here and below: both halves are one word, and nothing else hangs on it.
        let word = self.0.load(Ordering::Relaxed);
        (word != 0).then(|| (f32::from_bits((word >> 32) as u32), f32::from_bits(word as u32)))
    }

    fn get(&self) -> Option<(f32, f32)> {
        self.word().map(|(nanoseconds, bytes)| (nanoseconds, bytes.abs()))
    }

    /// What this process has measured.
    fn own(&self) -> Option<(f32, f32)> {
        self.word().filter(|(_, bytes)| bytes.is_sign_positive())
    }

    fn set(&self, nanoseconds: f32, bytes: f32) {
        let word = u64::from(nanoseconds.to_bits()) << 32 | u64::from(bytes.to_bits());
        self.0.store(word, Ordering::Relaxed);
    }
}

/// The costs of one process.
///
/// ```
/// use slipring_codec::Format;
/// use slipring_codec::cost::{Class, Model};
///
/// let costs = Model::new();
/// for _ in 0..20 {
///     costs.record(Format::Value, Class::Records, 1000, 2_000);
/// }
/// let estimate = costs.estimate(Format::Value, Class::Records, 2000);
/// assert!((2_900..3_100).contains(&estimate), "{estimate}");
/// ```
pub struct Model {
    cells: [[[Cell; BANDS]; Class::ALL.len()]; FORMATS],
}

impl Default for Model {
    fn default() -> Self {
        Model::new()
    }
}

impl Model {
    /// Nothing is measured yet.
    pub const fn new() -> Self {
        let cells = [const { [const { [const { Cell(AtomicU64::new(0)) }; BANDS] }; Class::ALL.len()] };
            FORMATS];
        Model { cells }
    }

    /// Takes in what one frame of so many bytes took, and answers which figure that changed.
    pub fn record(
        &self,
        format: Format,
        class: Class,
        bytes: usize,
        nanoseconds: u64,
    ) -> Option<usize> {
        let (code, band) = (usize::from(format.code()), band(bytes));
        let cell = &self.cells.get(code)?[class as usize][band];
        let (new, len) = (nanoseconds.max(1) as f32, bytes as f32);
        match cell.own() {
            // What is measured here is believed more than what is told.
            None => cell.set(new, len),
            // Who was stopped in between took long, and says nothing of the format.
            Some((mean, mean_len)) => {
                let new = new.min(4.0 * scaled(mean, mean_len, len));
                cell.set(mean + (new - mean) / 8.0, mean_len + (len - mean_len) / 8.0);
            }
        }
        Some((code * Class::ALL.len() + class as usize) * BANDS + band)
    }

    fn at(&self, figure: usize) -> Option<&Cell> {
        let (rest, band) = (figure / BANDS, figure % BANDS);
        Some(&self.cells.get(rest / Class::ALL.len())?[rest % Class::ALL.len()][band])
    }

    /// A figure as it is left for others: the upper halves of nanoseconds and bytes as `f32`, in this order. 0: nothing was
    /// measured.
    pub fn kept(&self, figure: usize) -> u32 {
        let found = self.at(figure).and_then(Cell::get);
        found.map_or(0, |(mean, len)| mean.to_bits() & 0xffff_0000 | len.to_bits() >> 16)
    }

    /// Takes such a figure over where nothing is measured yet. One that nobody can have measured is left out.
    pub fn adopt(&self, figure: usize, kept: u32) {
        let Some(cell) = self.at(figure).filter(|cell| cell.get().is_none()) else { return };
        let (mean, len) = (f32::from_bits(kept & 0xffff_0000), f32::from_bits(kept << 16));
        // Up to a thousand seconds, a thousandth of a nanosecond a byte, and of the size that the figure is for. NaN is in no range.
        let believed =
            (1.0..=1e12).contains(&mean) && (0.0..=MOST).contains(&len) && mean >= len / 1_000.0;
        if believed && band(len as usize) == figure % BANDS {
            cell.set(mean, -len);
        }
    }

    /// Nanoseconds that a frame of so many bytes takes: by samples of its size or of the nearest one, or by the seed.
    pub fn estimate(&self, format: Format, class: Class, bytes: usize) -> u64 {
        let Some(cells) = self.cells.get(usize::from(format.code())) else { return 0 };
        let cells = &cells[class as usize];
        let of = |band: usize| cells[band].get();
        let here = band(bytes);
        let near = of(here).or_else(|| {
            // Larger ones first: of them more is what the bytes take.
            let others = (here + 1..BANDS).chain((0..here).rev());
            others.filter_map(of).next()
        });
        match near {
            Some((mean, len)) => scaled(mean, len, bytes as f32) as u64,
            None => seed(format, class, bytes),
        }
    }

    /// What was measured: format, class, mean bytes, mean nanoseconds.
    pub fn measured(&self) -> impl Iterator<Item = (Format, Class, u64, u64)> + '_ {
        self.cells.iter().enumerate().flat_map(|(code, classes)| {
            let format = Format::from_code(code as u8).unwrap_or(Format::Raw);
            Class::ALL.into_iter().zip(classes).flat_map(move |(class, bands)| {
                let means = bands.iter().filter_map(Cell::get);
                means.map(move |(mean, len)| (format, class, len as u64, mean as u64))
            })
        })
    }
}

/// Bytes of the largest frame that anybody can have sent.
const MOST: f32 = (1u64 << 40) as f32;

/// The bytes that take as long as what each frame takes.
const FRAME: f32 = 1024.0;

/// The time of `mean_len` bytes, for `len`.
fn scaled(mean: f32, mean_len: f32, len: f32) -> f32 {
    mean * (FRAME + len) / (FRAME + mean_len)
}

fn seed(format: Format, class: Class, bytes: usize) -> u64 {
    let found = SEEDS.iter().find(|seed| (seed.0, seed.1) == (format, class));
    let (frame, per_byte) = found.map_or((1_000, 500), |seed| (seed.2, seed.3));
    u64::from(frame) + u64::from(per_byte) * bytes as u64 / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1.4: samples make the estimate, the last ones most; one that took far too long is not believed.
    #[test]
    fn samples_make_the_estimate() {
        let costs = Model::new();
        let estimate = || costs.estimate(Format::Value, Class::Records, 1_000);
        assert_eq!(estimate(), seed(Format::Value, Class::Records, 1_000));
        costs.record(Format::Value, Class::Records, 1_000, 5_000);
        assert_eq!(estimate(), 5_000);
        costs.record(Format::Value, Class::Records, 1_000, 1_000_000);
        assert!(estimate() < 7_000, "{}", estimate());
        for _ in 0..60 {
            costs.record(Format::Value, Class::Records, 1_000, 800);
        }
        assert!((790..860).contains(&estimate()), "{}", estimate());
        // Others know nothing of it.
        assert_eq!(costs.measured().count(), 1);
        let other = costs.estimate(Format::Json, Class::Records, 1_000);
        assert_eq!(other, seed(Format::Json, Class::Records, 1_000));
    }

    /// R1.4, P9: what one has measured the next one takes over, but for what it knows itself, and for what is made up.
    #[test]
    fn figures_are_taken_over() {
        let (first, next) = (Model::new(), Model::new());
        let changed: Vec<_> = [(100, 500), (5_000, 9_000), (2_000_000, 800_000)]
            .into_iter()
            .filter_map(|(len, ns)| first.record(Format::Value, Class::Text, len, ns))
            .collect();
        assert_eq!(changed.len(), 3);
        next.record(Format::Value, Class::Text, 5_000, 7_000);
        (0..FIGURES).for_each(|figure| next.adopt(figure, first.kept(figure)));
        assert!((0..FIGURES).all(|figure| (first.kept(figure) != 0) == changed.contains(&figure)));
        let found: Vec<_> = next.measured().collect();
        let [(.., a, b), (.., c, d), (.., e, f)] = found[..] else { panic!("{found:?}") };
        assert!(a.abs_diff(100) <= 1 && b.abs_diff(500) <= 4, "half a percent is lost");
        assert_eq!((c, d), (5_000, 7_000));
        assert!(e.abs_diff(2_000_000) <= 16_000 && f.abs_diff(800_000) <= 7_000);
        // The first sample of one's own counts alone.
        next.record(Format::Value, Class::Text, 100, 90_000);
        assert_eq!(next.measured().next(), Some((Format::Value, Class::Text, 100, 90_000)));
        let fresh = Model::new();
        for made_up in [
            0,
            1,
            u32::MAX,
            0x7f80_0000,
            0x7fc0_42c8,
            0xc2c8_42c8,
            0x42c8_7f80,
            0x42c8_c2c8,
            0x7000_42c8,
            0x3f80_56b5,
        ] {
            (0..300).for_each(|figure| fresh.adopt(figure, made_up));
        }
        assert_eq!(fresh.measured().count(), 0);
        // 100 ns for 100 bytes: believed where bodies are below 256 bytes, and nowhere else.
        (0..300).for_each(|figure| fresh.adopt(figure, 0x42c8_42c8));
        assert_eq!(fresh.measured().count(), FIGURES / BANDS);
    }

    /// R1.4: where nothing of its size was measured, the nearest one that was is scaled.
    #[test]
    fn sizes_have_their_own_figures() {
        let costs = Model::new();
        costs.record(Format::Raw, Class::Bytes, 2_000_000, 200_000);
        let small = costs.estimate(Format::Raw, Class::Bytes, 100);
        assert!((50..200).contains(&small), "{small}");
        costs.record(Format::Raw, Class::Bytes, 100, 700);
        assert_eq!(costs.estimate(Format::Raw, Class::Bytes, 100), 700);
        let large = costs.estimate(Format::Raw, Class::Bytes, 4_000_000);
        assert!((390_000..410_000).contains(&large), "{large}");
        for (bytes, expected) in
            [(0, 0), (255, 0), (256, 1), (4095, 1), (4096, 2), (65_535, 2), (65_536, 3)]
                .into_iter()
                .chain([((1 << 20) - 1, 3), (1 << 20, 4), (usize::MAX, 4)])
        {
            assert_eq!(band(bytes), expected, "{bytes}");
        }
    }
}
