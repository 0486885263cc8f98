//! The ops that copy rows: gather and dropout.

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::ops::Batch;
use wgrad::ops::dropout::Dropout;
use wgrad::ops::edge::Drop;
use wgrad::ops::gather::Gather;
use wgrad::ops::input::Encoding;
use wgrad::plan::Role;

use crate::bench::{Bench, Content, batch};
use crate::dense::DROP;
use crate::device::Test;
use crate::one_tile;

pub const TESTS: &[(&str, Test)] = &[
    ("gather_copies_the_rows_of_its_block_and_leaves_the_others", gather),
    ("dropout_drops_the_units_that_its_twin_drops", dropout),
];

fn sizes() -> Vec<(usize, usize)> {
    let features = [1, 2, 3, 4, 5, 255, 256, 257];
    [1, 2, 3, 63, 64, 65].iter().flat_map(|&count| features.iter().map(move |&features| (count, features))).collect()
}

fn gather(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(51);
        for (count, features) in size.choose(sizes()) {
            for bytes in [false, true] {
                // The middle block of a data set of 30 rows.
                let (block, data_rows, first, rows) = (10..22, 30, 3, count + 2);
                let length = block.len() * features;
                let (content, encoding) = if bytes {
                    let bytes = bench.whole(length, 256).into_iter().map(|byte| byte as u8).collect();
                    (Content::U8(bytes), Encoding::U8 { scale: 1.0 / 255.0, shift: -0.5 })
                } else {
                    (Content::F32(bench.numbers(length, -1.0..1.0)), Encoding::F32)
                };
                let data = bench.tensor(Role::Features, block.len(), features, content);
                let order = bench.order(first + rows, data_rows);
                // What other blocks have brought stays.
                let others = bench.numbers(rows * features, -1.0..1.0);
                let output = bench.input(rows, features, others);
                let op = Gather { data, encoding, order, output, features, rows: block };
                bench.step(op, Batch { first: first as u32, ..batch(count) }, count * features);
            }
        }
        bench
    })
}

fn dropout(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(52);
        for (count, features) in size.choose(sizes()) {
            for drop in [DROP, Drop { rate: 0.9, key: 3 }, Drop { rate: 0.001, key: 4 }] {
                let rows = count + 2;
                let input = bench.batch_input(rows, features, count, -150.0..150.0);
                let output = bench.output(rows, features);
                bench.step(Dropout { input, output, features, drop }, batch(count), count * features);
            }
        }
        bench
    })
}
