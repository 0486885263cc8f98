//! Training, validation and test rows: seeded, stratified for classes. Knows row numbers and classes, no data.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// ChaCha8's stream for the split. Other uses of the same seed take other streams, so they stay independent.
const STREAM: u64 = 1;
/// The streams for the folds of cross-validation, and for the validation rows within each.
const FOLDS: u64 = 2;
const WITHIN_FOLD: u64 = 3;

/// One part of k-fold cross-validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fold {
    /// From 0: which part is tested.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
}

/// Row numbers, ascending in each set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// To train on.
    pub train: Vec<u32>,
    /// To judge epochs by.
    pub validation: Vec<u32>,
    /// To judge the result by.
    pub test: Vec<u32>,
}

/// Refuses shares that are no shares.
pub(super) fn check(shares: [f64; 3]) -> Result<()> {
    let wrong = |problem: String| Err(Error::data(problem).at("data.split").remedy("write e.g. [0.7, 0.15, 0.15]"));
    if let Some(share) = shares.iter().find(|share| !share.is_finite() || **share < 0.0) {
        return wrong(format!("a share is {share}, it must be a number from 0 to 1"));
    }
    let sum: f64 = shares.iter().sum();
    if (sum - 1.0).abs() > 1e-9 {
        return wrong(format!("the shares sum to {sum}, not to 1"));
    }
    if shares[0] == 0.0 {
        return wrong("the training share is 0, so there is nothing to learn from".into());
    }
    Ok(())
}

/// Splits rows `0..rows`. `classes`: the class of each row, to keep their shares equal in all sets. Rows from
/// `test_from` on are the test set, and the first two shares are rescaled to the rest.
pub(super) fn split(
    rows: usize,
    shares: [f64; 3],
    classes: Option<&[u32]>,
    test_from: Option<usize>,
    seed: u64,
) -> Result<Split> {
    check(shares)?;
    let free = test_from.unwrap_or(rows);
    let shares = match test_from {
        Some(_) => [shares[0] / (shares[0] + shares[1]), shares[1] / (shares[0] + shares[1]), 0.0],
        None => shares,
    };
    let mut sets = if shares[0] == 1.0 {
        [(0..free as u32).collect(), Vec::new(), Vec::new()]
    } else {
        deal(&groups(free, classes), shares, free, generator(seed, STREAM))
    };
    sets[2].extend(free as u32..rows as u32);
    if sets[0].is_empty() {
        return Err(Error::data(format!("{free} rows leave none for training"))
            .at("data.split")
            .remedy("give more rows or a larger training share"));
    }
    sets.iter_mut().for_each(|set| set.sort_unstable());
    let [train, validation, test] = sets;
    Ok(Split { train, validation, test })
}

/// As [`split`], but the test set is a fold: over all folds of a seed each row is in it once, and for classes each fold
/// has its share of each. The first two shares are rescaled to the other rows. Rows from `test_from` on are in no set.
pub(super) fn fold(
    rows: usize,
    shares: [f64; 3],
    classes: Option<&[u32]>,
    test_from: Option<usize>,
    Fold { number, of }: Fold,
    seed: u64,
) -> Result<Split> {
    check(shares)?;
    let rows = test_from.unwrap_or(rows);
    if of > rows {
        return Err(Error::usage(format!("{rows} rows cannot be dealt into {of} folds"))
            .at("--folds")
            .remedy(format!("give at most {rows}")));
    }
    let mut random = generator(seed, FOLDS);
    let (mut test, mut rest, mut place) = (Vec::new(), Vec::new(), 0);
    // One class after the other: rows go to the folds in turn, and the next class goes on where the last one ended.
    for mut group in groups(rows, classes) {
        shuffle(&mut group, &mut random);
        let mut others = Vec::new();
        for row in group {
            if place % of == number {
                test.push(row)
            } else {
                others.push(row)
            }
            place += 1;
        }
        others.sort_unstable();
        rest.push(others);
    }
    let (train, validation) = (shares[0] / (shares[0] + shares[1]), shares[1] / (shares[0] + shares[1]));
    let left = rows - test.len();
    let [mut train, mut validation, _] = deal(&rest, [train, validation, 0.0], left, generator(seed, WITHIN_FOLD));
    [&mut train, &mut validation, &mut test].into_iter().for_each(|set| set.sort_unstable());
    Ok(Split { train, validation, test })
}

/// The rows of each class, or all rows as one group.
fn groups(rows: usize, classes: Option<&[u32]>) -> Vec<Vec<u32>> {
    let Some(classes) = classes else { return vec![(0..rows as u32).collect()] };
    let classes = &classes[..rows];
    let mut groups = vec![Vec::new(); classes.iter().max().map_or(0, |&most| most as usize + 1)];
    for (row, &class) in classes.iter().enumerate() {
        groups[class as usize].push(row as u32);
    }
    groups
}

/// Shuffles each group and deals its rows out.
fn deal(groups: &[Vec<u32>], shares: [f64; 3], rows: usize, mut random: ChaCha8Rng) -> [Vec<u32>; 3] {
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    let counts = quotas(&sizes, shares, rows);
    let mut sets = [Vec::new(), Vec::new(), Vec::new()];
    for (group, count) in groups.iter().zip(counts) {
        let mut group = group.clone();
        shuffle(&mut group, &mut random);
        let mut rest = &group[..];
        for (set, count) in sets.iter_mut().zip(count) {
            let (taken, left) = rest.split_at(count);
            set.extend_from_slice(taken);
            rest = left;
        }
    }
    sets
}

fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// How many rows of each group go into each set: first the whole part of each share, then the largest remainders,
/// as long as the group has rows left and the set has room. So sets have their exact sizes, and a group with enough
/// rows for one in each set is in each set.
fn quotas(sizes: &[usize], shares: [f64; 3], rows: usize) -> Vec<[usize; 3]> {
    // A product like 0.15 · 20 may fall just short of the whole number it is.
    let whole = |exact: f64| (exact + 1e-9).floor() as usize;
    let mut counts: Vec<[usize; 3]> =
        sizes.iter().map(|&size| shares.map(|share| whole(size as f64 * share).min(size))).collect();
    let mut room = set_sizes(shares, rows, whole);
    let mut left: Vec<usize> = Vec::with_capacity(sizes.len());
    let mut remainders = Vec::new();
    for (group, (&size, count)) in sizes.iter().zip(&counts).enumerate() {
        left.push(size - count.iter().sum::<usize>());
        for set in 0..3 {
            room[set] = room[set].saturating_sub(count[set]);
            remainders.push((size as f64 * shares[set] - count[set] as f64, group, set));
        }
    }
    remainders.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for &(_, group, set) in &remainders {
        if left[group] > 0 && room[set] > 0 {
            counts[group][set] += 1;
            (left[group], room[set]) = (left[group] - 1, room[set] - 1);
        }
    }
    // What the remainders could not place goes where there is room.
    for (group, left) in left.iter_mut().enumerate() {
        while *left > 0 {
            let set = (0..3).find(|&set| room[set] > 0).unwrap_or(0);
            counts[group][set] += 1;
            (*left, room[set]) = (*left - 1, room[set].saturating_sub(1));
        }
    }
    counts
}

/// The sizes of the three sets, by largest remainder.
fn set_sizes(shares: [f64; 3], rows: usize, whole: impl Fn(f64) -> usize) -> [usize; 3] {
    let mut sizes = shares.map(|share| whole(rows as f64 * share).min(rows));
    let mut order = [0, 1, 2];
    let remainder = |set: usize| rows as f64 * shares[set] - sizes[set] as f64;
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)).then(a.cmp(&b)));
    let left = rows - sizes.iter().sum::<usize>().min(rows);
    order.iter().take(left).for_each(|&set| sizes[set] += 1);
    sizes
}

/// Fisher and Yates, written out so that a new version of a library cannot change a split.
fn shuffle(rows: &mut [u32], random: &mut ChaCha8Rng) {
    for last in (1..rows.len()).rev() {
        let other = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        rows.swap(last, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: [f64; 3] = [0.7, 0.15, 0.15];

    fn all(split: &Split) -> Vec<u32> {
        let mut rows = [&split.train[..], &split.validation, &split.test].concat();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn every_row_is_in_exactly_one_set_and_sizes_are_exact() {
        for rows in [1, 2, 3, 7, 20, 101, 891] {
            let split = split(rows, USUAL, None, None, 42).unwrap();
            assert_eq!(all(&split), (0..rows as u32).collect::<Vec<_>>());
            assert!((split.train.len() as f64 - rows as f64 * 0.7).abs() < 1.0, "{rows}: {}", split.train.len());
        }
        let twenty = split(20, USUAL, None, None, 1).unwrap();
        assert_eq!((twenty.train.len(), twenty.validation.len(), twenty.test.len()), (14, 3, 3));
    }

    #[test]
    fn one_seed_gives_one_split_and_another_seed_another() {
        let of = |seed| split(100, USUAL, None, None, seed).unwrap();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn a_split_of_one_zero_zero_keeps_the_order_of_the_file() {
        let split = split(5, [1.0, 0.0, 0.0], Some(&[1, 0, 1, 0, 1]), None, 42).unwrap();
        assert_eq!(split.train, [0, 1, 2, 3, 4]);
        assert!(split.validation.is_empty() && split.test.is_empty());
    }

    #[test]
    fn every_class_with_enough_rows_is_in_every_set() {
        // Classes of 7, 20, 73 and 1 rows, mixed.
        let classes: Vec<u32> = (0..101)
            .map(|row| if row == 50 { 3 } else { [(0, 7), (1, 27), (2, 101)].iter().find(|c| row < c.1).unwrap().0 })
            .collect();
        for (seed, shares) in [(1, USUAL), (2, [0.65, 0.15, 0.2]), (3, [0.5, 0.25, 0.25])] {
            let split = split(101, shares, Some(&classes), None, seed).unwrap();
            assert_eq!(all(&split).len(), 101);
            for (set, share) in [&split.train, &split.validation, &split.test].into_iter().zip(shares) {
                for class in 0..4 {
                    let size = classes.iter().filter(|&&c| c == class).count();
                    let count = set.iter().filter(|&&row| classes[row as usize] == class).count();
                    let exact = size as f64 * share;
                    assert!(exact < 1.0 || count >= 1, "class {class} is absent");
                    assert!((count as f64 - exact).abs() < 2.0, "class {class}: {count} of {exact}");
                }
                assert!((set.len() as f64 - 101.0 * share).abs() < 1.0);
            }
        }
    }

    #[test]
    fn a_test_set_of_the_source_stays_and_the_shares_are_rescaled() {
        let split = split(100, [0.6, 0.2, 0.2], None, Some(80), 42).unwrap();
        assert_eq!(split.test, (80..100).collect::<Vec<_>>());
        assert_eq!((split.train.len(), split.validation.len()), (60, 20));
        let all = super::split(100, [1.0, 0.0, 0.0], None, Some(80), 42).unwrap();
        assert_eq!(all.train, (0..80).collect::<Vec<_>>());
    }

    #[test]
    fn shares_that_are_no_shares_are_refused() {
        for (shares, word) in [
            ([0.7, 0.2, 0.2], "sum to"),
            ([1.5, -0.5, 0.0], "a share is -0.5"),
            ([f64::NAN, 0.5, 0.5], "a share is NaN"),
            ([0.0, 0.5, 0.5], "training share is 0"),
        ] {
            let error = split(10, shares, None, None, 1).unwrap_err().to_string();
            assert!(error.starts_with("data.split: ") && error.contains(word) && error.contains("0.15"), "{error}");
        }
        assert!(split(1, [0.2, 0.8, 0.0], None, None, 1).unwrap_err().to_string().contains("none for training"));
    }

    #[test]
    fn over_all_folds_every_row_is_tested_once_and_classes_keep_their_shares() {
        let classes: Vec<u32> = (0..103).map(|row| u32::from(row % 10 < 3) + u32::from(row % 10 == 0)).collect();
        for classes in [None, Some(&classes[..])] {
            for of in [2, 5, 10, 103] {
                let mut tested = Vec::new();
                for number in 0..of {
                    let split = fold(103, USUAL, classes, None, Fold { number, of }, 42).unwrap();
                    assert_eq!(all(&split), (0..103).collect::<Vec<_>>(), "fold {number} of {of}");
                    assert!((103 / of..=103 / of + 1).contains(&split.test.len()), "fold {number} of {of}");
                    let share = split.validation.len() as f64 / (split.validation.len() + split.train.len()) as f64;
                    assert!((share - 0.15 / 0.85).abs() < 0.02, "{share}");
                    if let Some(classes) = classes.filter(|_| of == 5) {
                        let of_class = |rows: &[u32]| rows.iter().filter(|&&row| classes[row as usize] == 1).count();
                        let (own, everywhere) = (of_class(&split.test), of_class(&(0..103).collect::<Vec<_>>()));
                        assert!((everywhere / 5..=everywhere / 5 + 1).contains(&own), "{own} of {everywhere}");
                    }
                    tested.extend(split.test);
                }
                tested.sort_unstable();
                assert_eq!(tested, (0..103).collect::<Vec<_>>(), "{of} folds");
            }
        }
    }

    #[test]
    fn folds_follow_the_seed_and_leave_a_test_set_of_its_own_alone() {
        let first = |seed| fold(40, USUAL, None, None, Fold { number: 0, of: 4 }, seed).unwrap();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        let split = fold(40, USUAL, None, Some(30), Fold { number: 1, of: 3 }, 42).unwrap();
        assert_eq!(all(&split), (0..30).collect::<Vec<_>>());
        let error = fold(4, USUAL, None, None, Fold { number: 0, of: 5 }, 42).unwrap_err();
        assert_eq!(error.to_string(), "--folds: 4 rows cannot be dealt into 5 folds; give at most 4");
    }
}
