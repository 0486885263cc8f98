//! How workgroups become a grid, and steps become submits that no watchdog ends. Plain arithmetic: it needs no device.

use std::ops::Range;
use std::time::Duration;

/// Workgroups a dispatch may have along one dimension.
const MAX_GROUPS: u64 = 65_535;

/// Work of one submit before anything is known of the device: about 50 ms on a slow GPU of 500 GFLOP/s, a second on a
/// software adapter.
pub const SUBMIT_FLOPS: u64 = 25_000_000_000;

/// A submit waits for up to three others. While all four are done within this time, each may be larger; when one by itself
/// takes as long, it is too large: a desktop stutters, and watchdogs end what takes seconds.
const SHORT: Duration = Duration::from_millis(100);

/// Dispatches of one submit, so that recording runs ahead of the device and not far ahead: a software adapter holds
/// about 0.8 kB for each until it has run, and how many wait varies with what else the machine does.
const SUBMIT_DISPATCHES: usize = 128;

/// Work of one workgroup in one dispatch: a GPU runs a hundred such workgroups at a time and more, and this one waits for
/// memory most of the time.
const JOINED_FLOPS: u64 = SUBMIT_FLOPS / 1000;

/// Batches of one dispatch, each described to it by a record in a buffer: training asks for no more at a time.
const JOINED_BATCHES: u64 = 256;

/// Iterations of all loops of an invocation that are safe: llvmpipe, Mesa's device that runs shaders on the processor,
/// ends every loop of an invocation with the 65,535th without an error (`LP_MAX_TGSI_LOOP_ITERATIONS` in its
/// lp_bld_limits.h, counted down over all of them), and what a kernel has computed then is wrong.
pub const ITERATIONS: u64 = 65_534;

/// Iterations of one dispatch of joined steps beside those of its batches: to end the loop over the batches, which goes
/// through all others once.
const LAST_ITERATIONS: u64 = 134;

/// Batches of one dispatch whose only workgroup runs all steps of each, if those take so many floating-point operations
/// and so many iterations of its loops; 0 if one is too much.
pub fn joined(flops: u64, iterations: u64) -> usize {
    let most = (JOINED_FLOPS / flops.max(1)).clamp(1, JOINED_BATCHES);
    most.min((ITERATIONS - LAST_ITERATIONS) / iterations.max(1)) as usize
}

/// The grid of so many workgroups, folded into two dimensions; None for none and for more than two dimensions hold.
pub fn grid(groups: u64) -> Option<(u32, u32)> {
    let (x, y) = (groups.min(MAX_GROUPS), groups.div_ceil(MAX_GROUPS));
    (groups > 0 && y <= MAX_GROUPS).then_some((x as u32, y as u32))
}

/// What goes into one submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// All steps of so many batches at a time.
    Batches(usize),
    /// The steps of one batch in several submits: these ranges, one after the other.
    Steps(Vec<Range<usize>>),
}

/// Cuts batches whose steps take so many floating-point operations each into submits of at most `limit`. A step that
/// alone is beyond it is a range of its own, for `pieces`.
pub fn cut(flops: &[u64], limit: u64) -> Cut {
    let all: u64 = flops.iter().sum();
    if all <= limit {
        let most = (limit / all.max(1)).min((SUBMIT_DISPATCHES / flops.len().max(1)) as u64);
        return Cut::Batches(most.max(1) as usize);
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut sum = 0;
    for (step, &flops) in flops.iter().enumerate() {
        match ranges.last_mut() {
            Some(range) if sum + flops <= limit => range.end = step + 1,
            _ => {
                ranges.push(step..step + 1);
                sum = 0;
            }
        }
        sum += flops;
    }
    Cut::Steps(ranges)
}

/// Cuts a dispatch whose workgroups come in runs of equals (how many, with how many floating-point operations in all)
/// into ranges of workgroups of at most `limit` operations, or of one workgroup. The ranges of a run are as long as each
/// other, give or take one: a short one at the end would leave most of a GPU idle.
pub fn pieces(runs: &[(u64, u64)], limit: u64) -> Vec<Range<u64>> {
    let all = |of: fn(&(u64, u64)) -> u64| runs.iter().map(of).sum::<u64>();
    if all(|&(_, flops)| flops) <= limit {
        return (!runs.is_empty()).then(|| 0..all(|&(groups, _)| groups)).into_iter().collect();
    }
    let mut pieces = Vec::new();
    let mut first = 0;
    for &(groups, flops) in runs {
        let most = (u128::from(limit) * u128::from(groups) / u128::from(flops.max(1))).clamp(1, u64::MAX.into()) as u64;
        let count = groups.div_ceil(most);
        let place = |i: u64| first + (u128::from(groups) * u128::from(i) / u128::from(count)) as u64;
        pieces.extend((0..count).map(|i| place(i)..place(i + 1)));
        first += groups;
    }
    pieces
}

/// How much work one submit takes, learnt from how long submits took: what is little for a fast GPU, cut small, leaves
/// most of it idle at the end of each piece. Results do not depend on it.
#[derive(Debug)]
pub struct Pace {
    /// Floating-point operations of one submit.
    pub flops: u64,
}

impl Pace {
    /// Of a device that nothing is known of.
    pub fn new() -> Self {
        Pace { flops: SUBMIT_FLOPS }
    }

    /// A submit of so many floating-point operations was done within `time` of being handed over, and waited for: that is
    /// how long the device took for it, or less, since the host may have been away. Small ones tell little.
    pub fn note(&mut self, flops: u64, time: Duration, waited: Duration) {
        if flops >= self.flops / 2 && time <= SHORT {
            self.flops = self.flops.saturating_mul(2);
        } else if waited > SHORT {
            self.flops = (self.flops / 2).max(SUBMIT_FLOPS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_covers_its_workgroups_within_65535_a_dimension() {
        for groups in [1, 65_535, 65_536, 131_071, 65_535 * 65_535] {
            let (x, y) = grid(groups).expect("two dimensions hold it");
            assert!(u64::from(x) * u64::from(y) >= groups && x <= 65_535 && y <= 65_535, "{groups}: {x} × {y}");
        }
        assert_eq!((grid(0), grid(65_535 * 65_535 + 1)), (None, None));
    }

    #[test]
    fn one_workgroup_gets_a_thousandth_of_a_submits_work() {
        let batches = |flops| joined(flops, 1);
        assert_eq!([0, 1000, 100_000, u64::MAX].map(batches), [256, 256, 250, 1]);
        assert_eq!([0, 255, 256, 654, 65_400, 65_401].map(|loops| joined(1000, loops)), [256, 256, 255, 100, 1, 0]);
    }

    #[test]
    fn small_batches_share_a_submit_and_large_ones_take_several() {
        assert_eq!(cut(&[1000, 2000], SUBMIT_FLOPS), Cut::Batches(64));
        assert_eq!(cut(&[4_000_000_000, 6_000_000_000], SUBMIT_FLOPS), Cut::Batches(2));
        assert_eq!(cut(&[], SUBMIT_FLOPS), Cut::Batches(128));
        let large = [20_000_000_000, 4_000_000_000, 4_000_000_000, 90_000_000_000, 1, 2];
        assert_eq!(cut(&large, SUBMIT_FLOPS), Cut::Steps(vec![0..2, 2..3, 3..4, 4..6]));
    }

    #[test]
    fn the_pieces_of_a_dispatch_cover_it_and_none_is_beyond_the_limit() {
        assert_eq!(pieces(&[(10, 100)], 1000), vec![0..10]);
        assert_eq!(pieces(&[(10, 100)], 35), vec![0..2, 2..5, 5..7, 7..10]);
        // Few workgroups with much to do each, behind many with little; whole where both together are within the limit.
        assert_eq!(pieces(&[(8, 80), (2, 80)], 40), vec![0..4, 4..8, 8..9, 9..10]);
        assert_eq!(pieces(&[(8, 80), (2, 80)], 160), vec![0..10]);
        assert_eq!(pieces(&[(3, 300)], 1), vec![0..1, 1..2, 2..3]);
        assert_eq!(pieces(&[], 1), vec![]);
    }

    #[test]
    fn submits_grow_while_they_are_short_and_shrink_while_they_are_long() {
        let mut pace = Pace::new();
        let quick = Duration::from_millis(12);
        pace.note(SUBMIT_FLOPS / 3, quick, quick);
        assert_eq!(pace.flops, SUBMIT_FLOPS, "a small one tells little");
        pace.note(SUBMIT_FLOPS, quick, quick);
        pace.note(2 * SUBMIT_FLOPS, quick, quick);
        assert_eq!(pace.flops, 4 * SUBMIT_FLOPS);
        pace.note(4 * SUBMIT_FLOPS, Duration::from_secs(9), quick);
        assert_eq!(pace.flops, 4 * SUBMIT_FLOPS, "the host was away");
        for _ in 0..5 {
            pace.note(1, Duration::from_secs(1), Duration::from_millis(150));
        }
        assert_eq!(pace.flops, SUBMIT_FLOPS);
    }
}
