use super::*;
use crate::config::Layer as LayerConfig;
use crate::ops::Batch;

/// A table of `rows` × `features` numbers with `classes` classes (1: regression).
pub(crate) fn shape(rows: usize, features: usize, classes: usize) -> DataShape {
    DataShape {
        rows,
        features,
        encoding: Encoding::F32,
        task: if classes > 1 { Task::Classification } else { Task::Regression },
        target_columns: 1,
        outputs: classes,
        train_rows: rows,
        largest_set: rows,
    }
}

/// A relu network.
pub(crate) fn config(hidden: &[usize]) -> Config {
    let mut config = Config::default();
    config.model.layers = hidden.iter().map(|&units| LayerConfig::dense(Some(units), "relu")).collect();
    config.model.layers.push(LayerConfig::dense(None, "identity"));
    config.train.batch_size = 64;
    config
}

pub(crate) fn plan(hidden: &[usize], shape: DataShape) -> Plan {
    compile(&config(hidden), shape, 1 << 27).unwrap()
}

#[test]
fn three_dense_layers_are_eight_dispatches_a_step() {
    let plan = plan(&[128, 64], shape(1000, 784, 10));
    let labels: Vec<&str> = plan.train.iter().map(|step| step.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "dense layers.0",
            "dense layers.1",
            "dense layers.2",
            "loss cross_entropy",
            "dense_grad layers.2",
            "dense_grad layers.1",
            "dense_grad layers.0",
            "update adam"
        ]
    );
    assert_eq!(plan.evaluate.len(), 4);
    assert_eq!(plan.parameter_count(), 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10);
}

#[test]
fn a_step_reads_and_writes_the_rows_of_its_batch_and_its_weights_whole() {
    let plan = plan(&[128, 64], shape(1000, 784, 10));
    let batch = Batch { count: 60, ..Batch::default() };
    let bytes: Vec<u64> = plan.train.iter().map(|step| plan.step_bytes(step, &batch)).collect();
    let weights = |features: u64, units: u64| 4 * (features * units + units);
    let rows = |columns: u64| 4 * 60 * columns;
    // Rows of 10 numbers are padded to 12.
    let parameters = weights(784, 128) + weights(128, 64) + 4 * (64 * 10 + 12);
    // Targets are a class and a weight, results a loss and a hit; both rows are padded to four.
    let loss = rows(12) + rows(1) + rows(4) + rows(12) + rows(4);
    assert_eq!(bytes[0], rows(784) + rows(1) + weights(784, 128) + rows(128));
    assert_eq!(bytes[1], rows(128) + weights(128, 64) + rows(64));
    assert_eq!(bytes[3], loss);
    assert_eq!(bytes[5], rows(128) + rows(64) + weights(128, 64) + 4 * 128 * 64 + rows(128) + rows(128));
    // It reads and writes the weights and Adam's two moments, and reads the gradients.
    assert_eq!(bytes[7], 7 * parameters);
}

#[test]
fn clipping_the_norm_adds_one_dispatch_and_batch_norm_two() {
    let mut config = config(&[8]);
    config.regularization.clip_norm = Some(1.0);
    config.model.layers.insert(1, LayerConfig { kind: "batch_norm".into(), ..LayerConfig::default() });
    let plan = compile(&config, shape(100, 5, 1), 1 << 27).unwrap();
    assert_eq!(plan.train.len(), 2 * 2 + 1 + 1 + 1 + 2);
}

#[test]
fn dropout_behind_a_dense_layer_costs_no_dispatch_and_elsewhere_one() {
    let drop = LayerConfig { kind: "dropout".into(), rate: Some(0.2), ..LayerConfig::default() };
    let mut behind = config(&[8]);
    behind.model.layers.insert(1, drop.clone());
    assert_eq!(compile(&behind, shape(100, 5, 1), 1 << 27).unwrap().train.len(), 6);
    let mut first = config(&[8]);
    first.model.layers.insert(0, drop);
    let plan = compile(&first, shape(100, 5, 1), 1 << 27).unwrap();
    assert_eq!(plan.train[..2].iter().map(|s| s.op.name()).collect::<Vec<_>>(), ["gather", "dropout"]);
    assert!(plan.evaluate.iter().all(|step| step.op.name() != "dropout"));
}

#[test]
fn a_data_set_beyond_one_binding_is_gathered_block_by_block() {
    let config = config(&[8]);
    let plan = compile(&config, shape(1000, 5, 1), 16_000).unwrap();
    assert_eq!(plan.features.len(), 2);
    assert_eq!(plan.train.iter().filter(|step| step.op.name() == "gather").count(), 2);
    assert_eq!(plan.tensor(plan.features[1].0).rows + plan.features[1].1, 1000);
}

#[test]
fn a_data_set_beyond_blocks_targets_or_memory_is_streamed() {
    let config = config(&[8]);
    let streamed = |rows, limits| {
        let plan = compile_within(&config, shape(rows, 5, 1), limits).unwrap();
        assert_eq!(plan.features.len(), if plan.is_resident { rows.div_ceil(500) } else { 1 });
        (!plan.is_resident).then(|| plan.data_rows())
    };
    // 32 bytes of features a row, 16 of targets and 4 of the order; 500 rows a block.
    let limits = Limits { binding: 16_000, resident: u64::MAX, window: 52_000 };
    assert_eq!(streamed(1_000, limits), None, "two blocks");
    assert_eq!(streamed(1_001, limits), Some(500), "targets beyond a binding: a window fills one");
    let limits = Limits { resident: 40_000, ..limits };
    assert_eq!(streamed(800, limits), Some(500), "52 bytes a row are more than there is room for");
    assert_eq!(streamed(769, limits), None);
    let limits = Limits { window: 1, ..limits };
    assert_eq!(streamed(800, limits), Some(500), "as many as an evaluation batch has");
    let plan = compile_within(&config, shape(800, 5, 1), limits).unwrap();
    assert!(plan.to_string().contains("the data set is streamed in windows of 500 rows"), "{plan}");
}

#[test]
fn parameters_beyond_one_binding_are_updated_range_by_range() {
    let mut config = config(&[64, 64]);
    config.regularization.clip_norm = Some(1.0);
    let plan =
        compile(&config, DataShape { rows: 10, train_rows: 10, largest_set: 10, ..shape(10, 64, 1) }, 20_000).unwrap();
    let updates = plan.train.iter().filter(|step| step.op.name() == "update").count();
    assert!(updates >= 2, "{updates}");
    assert_eq!(plan.train.iter().filter(|step| step.op.name() == "norm").count(), updates);
}

fn refusal(change: impl Fn(&mut Config), shape: DataShape) -> (String, String) {
    let mut config = config(&[8]);
    change(&mut config);
    let (key, error) = compile(&config, shape, 1 << 27).unwrap_err();
    (key, error.to_string())
}

#[test]
fn what_does_not_fit_is_refused_with_its_key_and_a_remedy() {
    let regression = shape(100, 5, 1);
    let classes = shape(100, 5, 3);
    let expected = [
        (
            refusal(|c| c.model.layers[0].activation = Some("rellu".into()), regression),
            ("model.layers[0].activation", "unknown activation `rellu`; did you mean `relu`?"),
        ),
        (
            refusal(|c| c.model.layers[0].units = None, regression),
            ("model.layers[0].units", "a hidden dense layer needs `units`; add for instance units = 64"),
        ),
        (
            refusal(|c| c.model.layers[1].units = Some(4), classes),
            (
                "model.layers[1].units",
                "the last layer has 4 units, the target needs 3; write units = 3, or leave `units` of the last layer out",
            ),
        ),
        (
            refusal(|c| c.loss.name = Some("cross_entropy".into()), regression),
            ("loss.name", "cross_entropy needs classes; use mse, mae or huber, or task = \"classification\""),
        ),
        (
            refusal(|c| c.loss.name = Some("mean_squared".into()), regression),
            (
                "loss.name",
                "unknown loss `mean_squared`; known are mse, mae, huber, cross_entropy, binary_cross_entropy",
            ),
        ),
        (
            refusal(|c| c.optimizer.name = "adm".into(), regression),
            ("optimizer.name", "unknown optimizer `adm`; did you mean `adam`?"),
        ),
        (
            refusal(|c| c.model.init = "he".into(), regression),
            (
                "model.init",
                "unknown initialiser `he`; known are auto, glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_normal, normal, uniform, zeros",
            ),
        ),
        (
            refusal(
                |c| {
                    c.model.layers.pop();
                    c.model.layers.push(LayerConfig {
                        kind: "dropout".into(),
                        rate: Some(0.5),
                        ..LayerConfig::default()
                    });
                },
                regression,
            ),
            ("model.layers", "the last layer must be dense; end the list with { type = \"dense\" }"),
        ),
    ];
    for ((key, message), (expected_key, expected_message)) in expected {
        assert_eq!((key.as_str(), message.as_str()), (expected_key, expected_message));
    }
}
