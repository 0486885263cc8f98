//! Random numbers that depend on a seed and a place only, never on the machine or on what was drawn before.
//! Knows nothing of layers, plans or devices.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::compute::{AHEAD, fetch};

/// What a stream of random numbers is for; streams of one seed are independent of each other.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    /// Start weights of the n-th parameter.
    Weights(u32),
    /// Row order of the n-th epoch.
    Shuffle(u32),
    /// Made-up data of benchmarks and default verification runs.
    Synthetic,
    /// How the n-th column is permuted to learn its importance.
    Importance(u32),
    /// Settings of the n-th trial of a search.
    Trial(u32),
}

/// A generator for one purpose of one seed.
pub fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    // Streams below 2³² are left to the split of the data.
    generator.set_stream(match stream {
        Stream::Weights(n) => (1 << 32) | u64::from(n),
        Stream::Shuffle(n) => (2 << 32) | u64::from(n),
        Stream::Synthetic => 3 << 32,
        Stream::Importance(n) => (4 << 32) | u64::from(n),
        Stream::Trial(n) => (5 << 32) | u64::from(n),
    });
    generator
}

/// Uniform in [0, 1) with 53 random bits.
pub fn uniform(generator: &mut impl Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal (Box & Muller 1958), with libm's functions so that every platform draws the same bits.
pub fn normal(generator: &mut impl Rng) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - uniform(generator)));
    radius * libm::cos(std::f64::consts::TAU * uniform(generator))
}

/// Shuffles in place (Fisher & Yates), without bias below 2³² elements.
pub fn shuffle<T>(values: &mut [T], generator: &mut impl Rng) {
    // Drawn some at a time, so that the elements of a large array are on their way before they are swapped.
    let mut drawn = [0; AHEAD];
    let mut end = values.len();
    while end > 1 {
        let count = drawn.len().min(end - 1);
        for (range, j) in (end - count + 1..=end).rev().zip(&mut drawn) {
            *j = below(range, generator);
            fetch(&values[*j]);
        }
        for (i, &j) in (end - count..end).rev().zip(&drawn) {
            values.swap(i, j);
        }
        end -= count;
    }
}

/// One of 0 … range − 1, each with the same probability: Lemire's multiplication with rejection (2019).
fn below(range: usize, generator: &mut impl Rng) -> usize {
    let range = range as u64;
    loop {
        let wide = u128::from(generator.next_u64()) * u128::from(range);
        // The bound is below `range`, so the division is needed rarely.
        if wide as u64 >= range || wide as u64 >= range.wrapping_neg() % range {
            return (wide >> 64) as usize;
        }
    }
}

/// The 32 bits that decide whether a unit is dropped: pcg4d (Jarzynski & Olano, JCGT 9(3), 2020) of where it stands.
/// `shaders/lib/random.wgsl` is the same function; f32, f64 and every device therefore drop the same units.
pub fn counter_based(column: u32, row: u32, step: u32, key: u32) -> u32 {
    let mut v = [column, row, step, key].map(|x| x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: &mut [u32; 4]| {
        v[0] = v[0].wrapping_add(v[1].wrapping_mul(v[3]));
        v[1] = v[1].wrapping_add(v[2].wrapping_mul(v[0]));
        v[2] = v[2].wrapping_add(v[0].wrapping_mul(v[1]));
        v[3] = v[3].wrapping_add(v[1].wrapping_mul(v[2]));
    };
    mix(&mut v);
    v.iter_mut().for_each(|x| *x ^= *x >> 16);
    mix(&mut v);
    v[0]
}

/// The key of one dropout layer of one run.
pub fn dropout_key(seed: u64, layer: usize) -> u32 {
    counter_based(seed as u32, (seed >> 32) as u32, layer as u32, 0x6472_6f70)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream| generator(seed, stream).next_u64();
        assert_eq!(draw(1, Stream::Weights(0)), draw(1, Stream::Weights(0)));
        assert_ne!(draw(1, Stream::Weights(0)), draw(1, Stream::Weights(1)));
        assert_ne!(draw(1, Stream::Weights(0)), draw(1, Stream::Shuffle(0)));
        assert_ne!(draw(1, Stream::Weights(0)), draw(2, Stream::Weights(0)));
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut generator = generator(7, Stream::Synthetic);
        let draws: Vec<f64> = (0..100_000).map(|_| normal(&mut generator)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_every_place_is_reached() {
        let mut firsts = [0; 8];
        for n in 0..4000 {
            let mut values: Vec<usize> = (0..8).collect();
            shuffle(&mut values, &mut generator(3, Stream::Shuffle(n)));
            firsts[values[0]] += 1;
            values.sort_unstable();
            assert_eq!(values, (0..8).collect::<Vec<_>>());
        }
        assert!(firsts.iter().all(|&count| (420..580).contains(&count)), "{firsts:?}");
    }

    #[test]
    fn a_shuffle_of_any_length_is_that_of_the_definition() {
        for length in [0, 1, 2, 15, 16, 17, 18, 32, 33, 34, 1000] {
            let (mut values, mut wanted): (Vec<usize>, Vec<usize>) = ((0..length).collect(), (0..length).collect());
            let [ours, theirs] = &mut [0, 0].map(|_| generator(5, Stream::Shuffle(length as u32)));
            shuffle(&mut values, ours);
            for i in (1..length).rev() {
                wanted.swap(i, below(i + 1, theirs));
            }
            assert_eq!((values, ours.next_u64()), (wanted, theirs.next_u64()));
        }
    }

    /// Draws the given numbers.
    struct Fixed<'a>(std::slice::Iter<'a, u64>);

    impl rand::TryRng for Fixed<'_> {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            unreachable!("64 bits are drawn")
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(*self.0.next().expect("drawn too often"))
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
            unreachable!("64 bits are drawn")
        }
    }

    #[test]
    fn draws_that_would_favour_some_places_are_rejected() {
        // 2⁶⁴ leaves 4 over when it is divided by 6, so products whose lower half is below 4 are too many.
        let draw = |numbers: &[u64]| below(6, &mut Fixed(numbers.iter()));
        let first = |place: u64| (u128::from(place) << 64).div_ceil(6) as u64;
        assert_eq!(draw(&[first(0), u64::MAX]), 5, "a lower half of 0 is drawn again");
        assert_eq!(draw(&[first(3), first(4), 7]), 0, "of 0 and of 2 too");
        assert_eq!([draw(&[first(2)]), draw(&[first(5)])], [2, 5], "of 4 it stands");
        assert_eq!([draw(&[1]), draw(&[first(1) + 1])], [0, 1]);
    }

    #[test]
    fn dropped_shares_match_the_rate_along_every_axis() {
        let key = dropout_key(42, 1);
        let threshold = (0.2 * 4_294_967_296.0) as u32;
        let share = |f: &dyn Fn(u32) -> u32| (0..20_000).filter(|&i| f(i) < threshold).count() as f64 / 20_000.0;
        for share in [
            share(&|i| counter_based(i, 0, 0, key)),
            share(&|i| counter_based(0, i, 0, key)),
            share(&|i| counter_based(0, 0, i, key)),
            share(&|i| counter_based(5, 9, 7, i)),
        ] {
            assert!((share - 0.2).abs() < 0.012, "{share}");
        }
    }
}
