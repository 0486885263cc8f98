//! How workgroups become a grid, and steps become submits that no watchdog ends. Plain arithmetic: it needs no device.

use std::ops::Range;

/// Workgroups a dispatch may have along one dimension.
const MAX_GROUPS: u64 = 65_535;

/// Work of one submit: about 50 ms on a slow GPU of 500 GFLOP/s, a second on a software adapter.
pub const SUBMIT_FLOPS: u64 = 25_000_000_000;

/// Dispatches of one submit, so that recording runs ahead of the device and not far ahead: a software adapter holds
/// about 0.8 kB for each until it has run, and how many wait varies with what else the machine does.
const SUBMIT_DISPATCHES: usize = 128;

/// Work of one workgroup in one dispatch: a GPU runs a hundred such workgroups at a time and more, and this one waits for
/// memory most of the time.
const JOINED_FLOPS: u64 = SUBMIT_FLOPS / 1000;

/// Batches of one dispatch, each described to it by a record in a buffer.
const JOINED_BATCHES: u64 = 2048;

/// Batches of one dispatch whose only workgroup runs all steps of each, if those take so many floating-point operations.
pub fn joined(flops: u64) -> usize {
    (JOINED_FLOPS / flops.max(1)).clamp(1, JOINED_BATCHES) as usize
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
/// into ranges of workgroups of at most `limit` operations, or of one workgroup.
pub fn pieces(runs: &[(u64, u64)], limit: u64) -> Vec<Range<u64>> {
    let mut pieces = Vec::new();
    let mut first = 0;
    for &(groups, flops) in runs {
        let most = (u128::from(limit) * u128::from(groups) / u128::from(flops.max(1))).clamp(1, u64::MAX.into()) as u64;
        let end = first + groups;
        while first < end {
            let next = end.min(first.saturating_add(most));
            pieces.push(first..next);
            first = next;
        }
    }
    pieces
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
        assert_eq!((joined(0), joined(1000), joined(100_000), joined(u64::MAX)), (2048, 2048, 250, 1));
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
        assert_eq!(pieces(&[(10, 100)], 35), vec![0..3, 3..6, 6..9, 9..10]);
        // Few workgroups with much to do each, behind many with little.
        assert_eq!(pieces(&[(8, 80), (2, 80)], 40), vec![0..4, 4..8, 8..9, 9..10]);
        assert_eq!(pieces(&[(3, 300)], 1), vec![0..1, 1..2, 2..3]);
    }
}
