//! A model file may come from anywhere: whatever is in it, opening it ends in a model or in one sentence, and takes
//! memory for what is there, not for what is claimed.

use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use wgrad::trained::TrainedModel;

/// Description and tensors of a model with all that a model can have: numbers, words, batch norm, dropout, classes.
fn good() -> (Value, Vec<(&'static str, Vec<usize>)>) {
    let number = json!({"kind": "number", "mean": 1.0, "deviation": 2.0, "fill": 1.0});
    let text = json!({"kind": "text", "categories": ["a", "b"], "fill": "a"});
    let description = json!({
        "model": {"init": "auto", "layers": [
            {"type": "dense", "units": 4, "activation": "relu"},
            {"type": "batch_norm"},
            {"type": "dropout", "rate": 0.5},
            {"type": "dense"},
        ]},
        "loss": {"name": "cross_entropy", "class_weights": [1.0, 2.0, 1.0]},
        "preprocessing": {
            "task": "classification",
            "missing": "impute",
            "inputs": {"columns": [{"name": "n", "coding": number}, {"name": "t", "coding": text}]},
            "targets": [{"name": "y", "words": true, "mean": 0.0, "deviation": 1.0}],
            "classes": ["p", "q", "r"],
        },
    });
    let mut tensors = vec![("layers.0.weight", vec![4, 3]), ("layers.0.bias", vec![4])];
    tensors.extend(["weight", "bias", "running_mean", "running_var"].map(|field| match field {
        "weight" => ("layers.1.weight", vec![4]),
        "bias" => ("layers.1.bias", vec![4]),
        "running_mean" => ("layers.1.running_mean", vec![4]),
        _ => ("layers.1.running_var", vec![4]),
    }));
    tensors.extend([("layers.3.weight", vec![3, 4]), ("layers.3.bias", vec![3])]);
    (description, tensors)
}

fn file(description: &Value, tensors: &[(&str, Vec<usize>)], value: f32) -> Vec<u8> {
    described(description.to_string(), tensors, value)
}

fn described(text: String, tensors: &[(&str, Vec<usize>)], value: f32) -> Vec<u8> {
    let raw: Vec<Vec<u8>> =
        tensors.iter().map(|(_, shape)| value.to_le_bytes().repeat(shape.iter().product())).collect();
    let views = tensors.iter().zip(&raw).map(|((name, shape), raw)| {
        (name.to_string(), TensorView::new(Dtype::F32, shape.clone(), raw).expect("the sizes fit"))
    });
    let metadata = HashMap::from([("wgrad".to_owned(), text)]);
    safetensors::serialize(views.collect::<Vec<_>>(), Some(metadata)).expect("it fits")
}

/// Opens it; a refusal has exit code 6 and a remedy.
fn open(bytes: &[u8]) -> Result<TrainedModel, String> {
    TrainedModel::from_bytes(bytes).map_err(|error| {
        assert_eq!(error.exit_code(), 6, "{error}");
        assert!(error.fault().remedy.is_some(), "{error}");
        error.to_string()
    })
}

fn refused(change: impl FnOnce(&mut Value), expected: &str) {
    let (mut description, tensors) = good();
    change(&mut description);
    match open(&file(&description, &tensors, 0.5)) {
        Ok(_) => panic!("opened, expected: {expected}"),
        Err(error) => assert!(error.contains(expected), "expected: {expected}\n{error}"),
    }
}

#[test]
fn a_good_file_opens_and_each_of_its_tensors_is_needed() {
    let (description, tensors) = good();
    let model = open(&file(&description, &tensors, 0.5)).expect("it is good");
    assert_eq!((model.outputs(), model.weight("layers.0.weight").map(<[f32]>::len)), (3, Some(12)));
    for (i, (name, _)) in tensors.iter().enumerate() {
        let mut fewer = tensors.clone();
        fewer.remove(i);
        let error = open(&file(&description, &fewer, 0.5)).expect_err("a tensor is missing");
        // Without its bias a layer would be another layer.
        assert!(error.contains(&format!("lacks the tensor `{name}`")), "{error}");
        let mut other = tensors.clone();
        other[i].1[0] += 1;
        let error = open(&file(&description, &other, 0.5)).expect_err("a tensor has another shape");
        assert!(error.contains(&format!("has `{name}` as ")), "{error}");
    }
    let mut more = tensors.clone();
    more.push(("layers.7.weight", vec![1]));
    assert!(
        open(&file(&description, &more, 0.5)).expect_err("one too many").contains("has the tensor `layers.7.weight`")
    );
    for bad in [f32::NAN, f32::INFINITY] {
        assert!(open(&file(&description, &tensors, bad)).expect_err("no number").contains("has a NaN or infinity"));
    }
    assert!(open(&file(&description, &tensors, -0.5)).expect_err("no variance").contains("has the variance -0.5"));
}

#[test]
fn claims_that_nothing_backs_are_refused() {
    let layer = |units: Value| move |d: &mut Value| d["model"]["layers"][0]["units"] = units;
    refused(layer(json!(5)), "has `layers.0.weight` as [4, 3], this model needs [5, 3]");
    refused(layer(json!(16_777_216)), "this model needs [16777216, 3]");
    refused(layer(json!(1_000_000_000_000_u64)), "units");
    refused(layer(json!(u64::MAX)), "cannot be");
    refused(layer(json!(-4)), "does not understand");
    refused(layer(json!(0)), "units");
    let image = |height: u64, width: u64| json!({"image": {"height": height, "width": width, "mean": 0.0, "deviation": 1.0, "scale": 1.0, "shift": 0.0}});
    let inputs = |inputs: Value| move |d: &mut Value| d["preprocessing"]["inputs"] = inputs;
    refused(inputs(image(1 << 40, 1 << 40)), "claims more features than can be counted");
    refused(inputs(image(1 << 20, 1 << 20)), "claims more features than can be counted");
    refused(inputs(image(1 << 12, 1 << 10)), "claims 4194304 features, for which it has no weights");
    refused(inputs(image(0, 8)), "claims 0 features");
    refused(inputs(json!({"columns": []})), "claims 0 features");
    refused(
        |d| d["model"]["layers"] = vec![json!({"type": "dense", "units": 4}); 1001].into(),
        "a model of 1001 layers",
    );
    refused(|d| d["model"]["layers"] = json!([]), "a model of 0 layers");
}

#[test]
fn descriptions_that_do_not_hold_together_are_refused() {
    let at = |path: &'static str, value: Value| move |d: &mut Value| *d.pointer_mut(path).expect("it is there") = value;
    refused(at("/preprocessing/classes", json!(["p", "q"])), "has 3 class weights for 2 classes");
    refused(at("/preprocessing/classes", json!(["p", "q", "q"])), "has 3 classes and 1 targets");
    refused(at("/preprocessing/classes", json!([])), "has 3 class weights for 0 classes");
    refused(at("/preprocessing/task", json!("binary")), "has 3 classes");
    refused(at("/preprocessing/task", json!("regression")), "which its task cannot have");
    refused(at("/preprocessing/task", json!("guess")), "does not understand");
    refused(at("/preprocessing/targets", json!([])), "has no target");
    refused(at("/preprocessing/targets/0/deviation", json!(0.0)), "scales the target \"y\"");
    refused(at("/preprocessing/targets/0/mean", json!(null)), "does not understand");
    refused(at("/preprocessing/inputs/columns/0/coding/deviation", json!(0.0)), "scales the column \"n\"");
    refused(at("/preprocessing/inputs/columns/0/coding/deviation", json!(-1.0)), "scales the column \"n\"");
    refused(at("/preprocessing/inputs/columns/1/name", json!("n")), "has two columns \"n\"");
    refused(
        at("/preprocessing/inputs/columns/1/coding/categories", json!(["a", "a"])),
        "a category of the column \"t\" twice",
    );
    refused(at("/model/layers/0/activation", json!("rm -rf")), "the activation `rm -rf`, which is not built in");
    refused(at("/model/layers/2", json!({"type": "conv"})), "unknown `type`");
    refused(at("/model/layers/2/rate", json!(1.5)), "rate");
    refused(at("/model/layers/3", json!({"type": "dropout", "rate": 0.1})), "the last layer must be dense");
    refused(at("/loss/name", json!("binary_cross_entropy")), "binary_cross_entropy needs a target of two classes");
    refused(at("/loss/name", json!("none")), "loss.name");
    refused(
        |d| {
            at("/preprocessing/classes", json!(["p", "q"]))(d);
            at("/loss/class_weights", json!("balanced"))(d);
        },
        "has `layers.3.weight` as [3, 4], this model needs [2, 4]",
    );
    refused(at("/loss/class_weights", json!([1.0])), "has 1 class weights for 3 classes");
    refused(at("/loss/class_weights", json!([1.0, -1.0, 1.0])), "class_weights");
    refused(|d| *d = json!("text"), "does not understand");
    refused(|d| *d = json!({}), "missing field");
    for text in ["[".repeat(100_000), "{\"model\":".repeat(100_000), String::new()] {
        let error = open(&described(text, &good().1, 0.5)).expect_err("it is no description");
        assert!(error.contains("does not understand"), "{error}");
    }
}

#[test]
fn files_of_others_and_pieces_of_files_are_refused() {
    let (description, tensors) = good();
    let whole = file(&description, &tensors, 0.5);
    for length in 0..whole.len() {
        assert!(open(&whole[..length]).is_err(), "the first {length} bytes");
    }
    let weights = [1_u8; 16];
    let view = TensorView::new(Dtype::F32, vec![2, 2], &weights).expect("it fits");
    let bare = safetensors::serialize([("layers.0.weight", view)], None).expect("it fits");
    let error = open(&bare).expect_err("it has no description");
    assert!(error.starts_with("holds weights but no description of wgrad; "), "{error}");
    // A header that claims to be longer than anything.
    for claim in [u64::MAX, 1 << 40, 1 << 26] {
        let mut huge = whole.clone();
        huge[..8].copy_from_slice(&claim.to_le_bytes());
        assert!(open(&huge).is_err(), "{claim}");
    }
}

#[test]
fn changed_bytes_never_end_in_a_panic() {
    let (description, tensors) = good();
    let whole = file(&description, &tensors, 0.5);
    let head = 8 + SafeTensors::read_metadata(&whole).expect("it is good").0;
    let generator = &mut ChaCha8Rng::seed_from_u64(5);
    let mut draw = |below: usize| generator.next_u64() as usize % below;
    let (mut opened, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + draw(3) {
            // The head is what can say something wrong; digits and signs are what makes it.
            let at = draw(if round % 8 == 0 { bytes.len() } else { head });
            match draw(4) {
                0 => bytes[at] = draw(256) as u8,
                1 => bytes[at] = b"0123456789-.e\"[]{},:null"[draw(24)],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"0123456789"[draw(10)]),
            }
        }
        let length = bytes.len() as u64;
        if round % 4 == 0 && length > 8 {
            // Keeps the header's length in step, so that what is in it gets read.
            let shift = length as i64 - whole.len() as i64;
            bytes[..8].copy_from_slice(&((head as i64 - 8 + shift) as u64).to_le_bytes());
        }
        match open(&bytes) {
            Ok(_) => opened += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(opened > 100 && refused > 10_000, "{opened} opened, {refused} refused");
}
