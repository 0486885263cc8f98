//! Products on the CPU: every instruction set this processor has, all kinds of operands and shapes, against the bounds
//! that verification holds devices to; and the same bits on any number of threads.

use wgrad::bench::{Subject, first_batch};
use wgrad::compute::product::{Share, product};
use wgrad::compute::{Operand, Packed, Simd, Team};
use wgrad::cpu::CpuExecutor;
use wgrad::model::real::Real;
use wgrad::model::tracked::Tracked;
use wgrad::plan::{Executor, Phase, Role};
use wgrad::train::setup::{self, RowWeights};

/// Numbers in (-0.5, 0.5).
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

/// How the operands of a product lie in memory: those of the forward pass, of the weights' and the input's gradients.
#[derive(Debug, Clone, Copy)]
enum Form {
    Forward,
    ForwardListed,
    Weights,
    WeightsListed,
    Input,
}

const FORMS: [Form; 5] = [Form::Forward, Form::ForwardListed, Form::Weights, Form::WeightsListed, Form::Input];

/// A product's operands in f32 and a plain copy of each, row-major.
struct Case {
    sizes: [usize; 3],
    form: Form,
    a: Vec<f32>,
    b: Vec<f32>,
    order: Vec<u32>,
}

impl Case {
    fn new(sizes: [usize; 3], form: Form) -> Self {
        let [m, k, n] = sizes;
        // Twice as many rows as are listed.
        let listed = if matches!(form, Form::WeightsListed) { k } else { m };
        let order = (0..listed).map(|i| ((i * 7 + 3) % (2 * listed)) as u32).collect();
        Case { sizes, form, a: numbers(2 * m * k, 1), b: numbers(2 * k * n, 2), order }
    }

    fn operands(&self) -> (Operand<'_, f32>, Operand<'_, f32>) {
        let [m, k, n] = self.sizes;
        let (a, b) = (&self.a[..m * k], &self.b[..k * n]);
        match self.form {
            Form::Forward => (Operand::rows(a, k), Operand::transposed(b, k)),
            Form::ForwardListed => (Operand::listed(&self.a, k, &self.order), Operand::transposed(b, k)),
            Form::Weights => (Operand::transposed(a, m), Operand::rows(b, n)),
            Form::WeightsListed => (Operand::transposed(a, m), Operand::listed(&self.b, n, &self.order)),
            Form::Input => (Operand::rows(a, k), Operand::rows(b, n)),
        }
    }

    /// The product with bounds of its errors.
    fn bounded(&self) -> Vec<Tracked> {
        let [m, k, n] = self.sizes;
        let (a, b) = self.operands();
        let plain = |operand: Operand<f32>, rows: usize, columns: usize| -> Vec<Tracked> {
            let at = |row: usize, column: usize| {
                let row = operand.order.map_or(row, |order| order[row] as usize);
                operand.values[row * operand.strides.row + column * operand.strides.column]
            };
            (0..rows * columns).map(|i| Tracked::from_f32(at(i / columns, i % columns))).collect()
        };
        let (a, b) = (plain(a, m, k), plain(b, k, n));
        let mut c = vec![Tracked::zero(); m * n];
        Tracked::matmul(m, k, n, Operand::rows(&a, k), Operand::rows(&b, n), &mut c);
        c
    }

    /// The product on a poisoned destination, between canaries.
    fn run(&self, simd: Simd, team: &Team) -> Vec<f32> {
        let [m, k, n] = self.sizes;
        let (a, b) = self.operands();
        const CANARY: f32 = 12345.0;
        let mut c = vec![CANARY; m * n + 128];
        c[64..64 + m * n].fill(f32::NAN);
        // What another product left in the room for packed operands is not read.
        let (mut packed, nan) = (Packed::default(), vec![f32::NAN; k * n + 1]);
        product(
            simd,
            team,
            &mut packed,
            [1, k, n],
            Operand::rows(&nan, k),
            Operand::rows(&nan, n),
            &mut vec![0.0; n],
            &|_, _| {},
        );
        product(simd, team, &mut packed, self.sizes, a, b, &mut c[64..64 + m * n], &|_, _| {});
        assert!(c[..64].iter().chain(&c[64 + m * n..]).all(|&c| c == CANARY), "written beyond {:?}", self.sizes);
        c[64..64 + m * n].to_vec()
    }
}

/// Elements outside their bounds.
fn outside(c: &[f32], bounded: &[Tracked]) -> usize {
    assert_eq!(c.len(), bounded.len());
    c.iter().zip(bounded).filter(|(c, b)| !((f64::from(**c) - b.value).abs() <= b.error)).count()
}

const SIZES: [[usize; 3]; 26] = [
    [1, 1, 1],
    [2, 3, 1],
    [7, 8, 15],
    [8, 7, 16],
    [9, 9, 17],
    [8, 16, 31],
    [8, 16, 32],
    [5, 33, 47],
    [16, 17, 48],
    [17, 64, 49],
    [64, 175, 10],
    [64, 176, 64],
    [65, 177, 63],
    [15, 353, 97],
    [3, 784, 128],
    [127, 20, 255],
    [128, 31, 256],
    [129, 200, 257],
    [130, 3, 400],
    [257, 90, 96],
    [300, 64, 300],
    [33, 1025, 270],
    // Too low for a block of rows for each of three threads.
    [1, 1100, 500],
    [10, 256, 512],
    [10, 256, 271],
    [17, 177, 193],
];

#[test]
fn products_of_all_shapes_are_within_the_bounds_of_verification() {
    let team = Team::new(3).unwrap();
    let (mut products, mut sets) = (0, 0);
    for simd in Simd::available() {
        sets += 1;
        for sizes in SIZES {
            for form in FORMS {
                let case = Case::new(sizes, form);
                let c = case.run(simd, &team);
                assert_eq!(outside(&c, &case.bounded()), 0, "{simd:?} {sizes:?} {form:?}");
                products += 1;
            }
        }
    }
    assert_eq!(products, sets * SIZES.len() * FORMS.len());
}

/// Every depth in the largest block that packs its left operand, and any other shapes: nothing is outside its room, and
/// all is there.
#[test]
fn products_of_every_depth_and_of_random_shapes_are_whole() {
    let Some(simd) = Simd::detect() else { return };
    let every_depth = (1..=1100).map(|k| [128, k, 256]);
    let (sides, side) = (numbers(900, 6), |x: f32| 1 + ((x + 0.5) * 600.0) as usize);
    let random = sides.chunks(3).map(|x| [side(x[0]), side(x[1]), side(x[2])]);
    let teams = [Team::new(1).unwrap(), Team::new(3).unwrap()];
    for (i, [m, k, n]) in every_depth.chain(random).enumerate() {
        // The largest block is one thread's.
        let team = &teams[if n == 256 { 0 } else { i % 2 }];
        let (a, b, mut c) = (numbers(m * k, 3), numbers(k * n, 4), vec![f32::NAN; m * n]);
        let (left, right) = (Operand::rows(&a, k), Operand::rows(&b, n));
        product(simd, team, &mut Packed::default(), [m, k, n], left, right, &mut c, &|_, _| {});
        assert!(c.iter().all(|c| c.is_finite()), "{m} x {k} x {n}");
        for (i, j) in [(0, 0), (m / 2, n / 3), (m - 1, n - 1)] {
            let terms = (0..k).map(|p| Tracked::from_f32(a[i * k + p]) * Tracked::from_f32(b[p * n + j]));
            assert_eq!(outside(&[c[i * n + j]], &[Tracked::sum(terms)]), 0, "{m} x {k} x {n}, element ({i}, {j})");
        }
    }
}

#[test]
fn a_product_that_misses_one_term_or_one_element_is_outside_its_bounds() {
    let Some(simd) = Simd::detect() else { return };
    let team = Team::new(1).unwrap();
    let case = Case::new([65, 177, 63], Form::Forward);
    let bounded = case.bounded();
    let mut c = case.run(simd, &team);
    c[777] += case.a[12 * 177] * case.b[21 * 177];
    assert_eq!(outside(&c, &bounded), 1);
    c[778] = f32::NAN;
    assert_eq!(outside(&c, &bounded), 2);
    let mut other = Case::new([65, 177, 63], Form::Forward);
    other.b[62 * 177 + 176] += 0.25;
    // One weight, one column of the product.
    assert_eq!(outside(&other.run(simd, &team), &bounded), 65);
}

#[test]
fn a_product_has_the_same_bits_on_any_number_of_threads_and_finishes_each_element_once() {
    for simd in Simd::available() {
        for sizes in [[64, 784, 128], [257, 300, 257], [1000, 176, 48], [10, 300, 271], [200, 300, 700]] {
            for form in FORMS {
                let share = if sizes[0] % 2 == 0 { 0.5 } else { 0.0 };
                let case = with_zeros(sizes, form, share);
                let one = case.run(simd, &Team::new(1).unwrap());
                for threads in [1, 2, 3, 8, 16] {
                    let team = Team::new(threads).unwrap();
                    let many = case.run(simd, &team);
                    assert!(one.iter().zip(&many).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} {sizes:?}");
                    let [m, _, n] = sizes;
                    let (a, b) = case.operands();
                    let mut c = vec![0.0; m * n];
                    product(simd, &team, &mut Packed::default(), sizes, a, b, &mut c, &|first, run| {
                        run.iter_mut().enumerate().for_each(|(i, c)| *c += (first + i) as f32);
                    });
                    let right = c.iter().zip(&one).enumerate().all(|(i, (c, o))| *c == o + i as f32);
                    assert!(right, "{threads} {sizes:?} {form:?}");
                }
            }
        }
    }
}

/// A case whose left operand has this share of zeros, here and there.
fn with_zeros(sizes: [usize; 3], form: Form, share: f32) -> Case {
    let mut case = Case::new(sizes, form);
    let keep = numbers(case.a.len(), 9);
    case.a.iter_mut().zip(keep).for_each(|(a, keep)| *a = if keep + 0.5 < share { 0.0 } else { *a });
    case
}

#[test]
fn zeros_of_the_left_operand_change_no_bit_and_stay_within_the_bounds() {
    // Products of few columns multiply everything, those of many leave zeros out. On one thread blocks have 128 rows.
    const NARROW: usize = 96;
    let teams = [Team::new(1).unwrap(), Team::new(3).unwrap()];
    let (mut products, mut sets) = (0, 0);
    for simd in Simd::available() {
        sets += 1;
        for sizes in [[64, 256, 256], [129, 200, 257], [300, 1025, 400], [8, 784, 1030], [1, 64, 500], [257, 177, 784]]
        {
            for form in FORMS {
                for (team, share) in [(&teams[0], 0.5), (&teams[1], 0.5), (&teams[0], 0.97), (&teams[1], 1.0)] {
                    let case = with_zeros(sizes, form, share);
                    let c = case.run(simd, team);
                    assert_eq!(outside(&c, &case.bounded()), 0, "{simd:?} {sizes:?} {form:?} {share}");
                    let [m, k, n] = sizes;
                    let (a, b) = case.operands();
                    for first in (0..n).step_by(NARROW) {
                        let columns = NARROW.min(n - first);
                        let part = Operand { values: &b.values[first * b.strides.column..], ..b };
                        let (mut packed, mut narrow) = (Packed::default(), vec![f32::NAN; m * columns]);
                        product(simd, team, &mut packed, [m, k, columns], a, part, &mut narrow, &|_, _| {});
                        for (row, narrow) in narrow.chunks(columns).enumerate() {
                            let wide = &c[row * n + first..][..columns];
                            let equal =
                                wide.iter().zip(narrow).all(|(wide, narrow)| wide.to_bits() == narrow.to_bits());
                            assert!(equal, "{simd:?} {sizes:?} {form:?} {share}, row {row}, columns from {first}");
                        }
                    }
                    products += 1;
                }
            }
        }
    }
    assert_eq!(products, sets * 6 * FORMS.len() * 4);
}

#[test]
fn no_product_has_a_negative_zero_with_or_without_zeros_left_out() {
    // Tiny negative products round to -0, which a zero that follows makes +0 in a chain, and one that is left out does not.
    let [m, k, n] = [128, 200, 300];
    let a: Vec<f32> = (0..m * k).map(|i| if i % 3 == 0 { 1e-44 } else { 0.0 }).collect();
    let b = vec![-1e-10f32; k * n];
    assert!((a[0] * b[0]).to_bits() == (-0.0f32).to_bits());
    let team = Team::new(1).unwrap();
    for simd in Simd::available() {
        for columns in [96, n] {
            for whole in [a.clone(), a.iter().map(|a| a.max(1e-44)).collect()] {
                let (left, right) = (Operand::rows(&whole, k), Operand::rows(&b, n));
                let mut c = vec![f32::NAN; m * columns];
                product(simd, &team, &mut Packed::default(), [m, k, columns], left, right, &mut c, &|_, _| {});
                assert!(c.iter().all(|c| c.to_bits() == 0), "{simd:?}, {columns} columns");
            }
        }
    }
}

#[test]
fn zero_times_what_is_not_finite_is_not_a_number_in_wide_products_too() {
    for simd in Simd::available() {
        for (threads, sizes) in [(1, [64, 300, 300]), (2, [512, 300, 784])] {
            let team = Team::new(threads).unwrap();
            for planted in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                for form in FORMS {
                    let mut case = with_zeros(sizes, form, 0.6);
                    let [m, k, n] = sizes;
                    // Element (201, 123) of b, in whichever row it is read from.
                    let (p, j) = (201, 123);
                    let row = if matches!(form, Form::WeightsListed) { case.order[p] as usize } else { p };
                    let strides = case.operands().1.strides;
                    case.b[row * strides.row + j * strides.column] = planted;
                    let c = case.run(simd, &team);
                    let (a, _) = case.operands();
                    let start = |i: usize| a.order.map_or(i, |order| order[i] as usize) * a.strides.row;
                    for i in 0..m {
                        let zero = a.values[start(i) + p * a.strides.column] == 0.0;
                        let value = c[i * n + j];
                        let right = if zero || planted.is_nan() { value.is_nan() } else { value.is_infinite() };
                        assert!(right, "{simd:?} {sizes:?} {form:?} {planted}: row {i} is {value}");
                    }
                    assert_eq!(c.iter().filter(|c| !c.is_finite()).count(), m, "{k}");
                }
            }
        }
    }
}

#[test]
fn large_products_give_every_one_of_sixteen_threads_a_block() {
    for m in [256, 1024, 4096] {
        let rows = wgrad::compute::product::block_rows(m, 16);
        assert!(m.div_ceil(rows) >= 16, "{m} rows in blocks of {rows}");
    }
}

#[test]
fn products_too_low_for_every_thread_are_cut_by_columns() {
    let parts = |sizes: [usize; 3], threads: usize| match Share::of(sizes, threads) {
        Share::Rows(rows) => (false, sizes[0].div_ceil(rows)),
        Share::Columns(width) => (true, sizes[2].div_ceil(width)),
    };
    // Weights of an output layer: 10 rows. Small batches on many threads. Neither where it is not worth it.
    assert_eq!(parts([10, 256, 512], 1), (true, 1));
    assert_eq!(parts([10, 256, 512], 2), (true, 4));
    assert_eq!(parts([10, 1024, 1024], 16), (true, 22));
    assert_eq!(parts([32, 784, 512], 16), (true, 11));
    assert_eq!(parts([64, 784, 128], 16), (false, 4));
    assert_eq!(parts([64, 784, 128], 2), (false, 4));
    assert_eq!(parts([256, 784, 512], 16), (false, 16));
    // 17 parts in two rounds, 15 blocks in one.
    assert_eq!(parts([240, 300, 816], 16), (false, 15));
    assert_eq!(parts([2, 8, 512], 16), (true, 1));
}

#[test]
fn column_sums_are_those_of_one_row_after_the_other_on_any_number_of_threads() {
    for [rows, columns] in [[700, 101], [300, 1030], [30, 1030], [66_000, 1], [3, 5]] {
        let values = numbers(rows * columns, 5);
        let column = |j: usize| values.iter().skip(j).step_by(columns).fold(0.0f32, |sum, value| sum + value);
        let one_by_one: Vec<f32> = (0..columns).map(column).collect();
        for threads in [1, 3, 16] {
            let mut sums = vec![f32::NAN; columns];
            f32::column_sums(&Team::new(threads).unwrap(), &values, &mut sums);
            assert!(sums == one_by_one, "{rows} x {columns} on {threads} threads");
        }
    }
}

/// The bits of all parameters and slots after some steps.
fn trained(layers: &str, batch_size: usize, threads: usize) -> Vec<u32> {
    let subject = Subject::parse(layers, batch_size, 3).unwrap();
    let data = subject.data().unwrap();
    let plan = subject.plan(&data, 1 << 30).unwrap();
    let mut executor = CpuExecutor::<f32>::new(plan.clone(), threads).unwrap();
    let config = subject.config();
    setup::load_data(&mut executor, &data, &RowWeights::new(&config, &data).unwrap()).unwrap();
    let start = setup::start_weights(&plan, &config).unwrap();
    setup::write_weights(&mut executor, &start).unwrap();
    executor.run(Phase::Train, &[first_batch(&subject); 5]).unwrap();
    let kept = |role| matches!(role, Role::Parameter | Role::Slot(_));
    let ids: Vec<_> = plan.ids().filter(|&id| kept(plan.tensor(id).role)).collect();
    ids.into_iter().flat_map(|id| executor.read(id, 0..plan.tensor(id).rows).unwrap()).map(f32::to_bits).collect()
}

#[test]
fn training_gives_the_same_bits_on_any_number_of_threads_and_every_time() {
    for (layers, batch) in [("784-128-64-10", 64), ("300-400-50-7", 137), ("600-500-10", 20), ("2-4-2", 4)] {
        let one = trained(layers, batch, 1);
        assert!(one.len() > 20);
        for threads in [1, 2, 8] {
            assert!(trained(layers, batch, threads) == one, "{layers} on {threads} threads");
        }
    }
}
