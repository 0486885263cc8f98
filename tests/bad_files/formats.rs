//! The formats that wgrad reads, a row each: good files to damage, words of the format, and its reader. The tests here
//! and the targets in `fuzz/` share it.

use std::path::Path;
use std::sync::OnceLock;

use wgrad::config::{self, Config, Data, Missing, Task};
use wgrad::data::{self, Dataset, Features};
use wgrad::error::{Error, Result};
use wgrad::layers::{self, DataShape};
use wgrad::ops::input::Encoding;
use wgrad::plan::Plan;
use wgrad::train::checkpoint::{self, Checkpoint};
use wgrad::train::{Epoch, Open, State, weights};
use wgrad::trained::TrainedModel;

use crate::files::{gzip, idx, npy, npz};

/// One row.
#[derive(Clone, Copy)]
pub struct Format {
    pub name: &'static str,
    /// Of the errors that its reader answers.
    pub exit_code: u8,
    pub seeds: fn() -> Vec<Vec<u8>>,
    pub tokens: &'static [&'static [u8]],
    /// Reads the bytes from a file of its own in the folder; the number chooses among options.
    pub read: fn(&Path, &[u8], u64) -> Result<()>,
}

const TABLE_TOKENS: &[&[u8]] = &[
    b",",
    b";",
    b"\t",
    b"|",
    b"\"",
    b"\"\"",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"NA",
    b"nan",
    b"inf",
    b"-",
    b"?",
    b"true",
    b"1e400",
    b"1e-400",
    b"-0",
    b"0.1",
    b"1,5",
    b"\xc3\xa9",
    b" ",
    b"a,b,y\n",
    b",,,,",
];

const NPY_TOKENS: &[&[u8]] = &[
    b"'descr'",
    b"'shape'",
    b"'fortran_order'",
    b": ",
    b"True",
    b"False",
    b"(",
    b")",
    b",",
    b"'<f4'",
    b"'<f8'",
    b"'|u1'",
    b"'>i8'",
    b"'|O'",
    b"(0,)",
    b"(1, 1)",
    b"(6, 2, 2)",
    b"\x93NUMPY\x01\x00",
    b"\x93NUMPY\x03\x00",
    b"\n",
];

pub const FORMATS: &[Format] = &[
    Format {
        name: "csv",
        exit_code: 3,
        seeds: tables,
        tokens: TABLE_TOKENS,
        read: |at, b, n| table(at, "t.csv", b, n),
    },
    Format {
        name: "csv gz",
        exit_code: 3,
        seeds: || tables().iter().map(|table| gzip(table)).collect(),
        tokens: &[b"\x1f\x8b", b"\x08", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x1f\x8b\x08\x04"],
        read: |at, bytes, n| table(at, "t.csv.gz", bytes, n),
    },
    Format {
        name: "idx",
        exit_code: 3,
        seeds: || {
            let body: Vec<u8> = (0..24).collect();
            let plain = idx(0x0803, &[6, 2, 2], &body);
            vec![gzip(&plain), plain, idx(0x0803, &[6, 4, 1], &body)]
        },
        tokens: &[b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x0d\x03", b"\x1f\x8b", b"\0\0\0\0", b"\xff\xff\xff\xff"],
        read: |at, bytes, n| images(at, "train-images-idx3-ubyte", bytes, n),
    },
    Format {
        name: "npz",
        exit_code: 3,
        seeds: || {
            let (x, y) = arrays();
            let bytes: Vec<u8> = (0..24).collect();
            let image = npy("|u1", "(6, 2, 2)", &bytes);
            vec![
                npz(&[("x.npy", x.clone()), ("y.npy", y.clone())], false),
                npz(&[("x.npy", x), ("y.npy", y.clone())], true),
                npz(&[("x.npy", image), ("y.npy", y)], true),
            ]
        },
        tokens: &[
            b"PK\x01\x02",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"PK\x06\x07",
            b"x.npy",
            b"\x01\0\x10\0",
            b"\xff\xff",
        ],
        read: |at, bytes, n| load(at, "t.npz", bytes, n),
    },
    // Damage inside an archive whose checksums are right.
    Format {
        name: "npy",
        exit_code: 3,
        seeds: || {
            let ints: Vec<u8> = (0..12_i32).flat_map(|i| (i % 4).to_le_bytes()).collect();
            let fortran = npy("<i4", "(6, 2)", &ints);
            let text = String::from_utf8_lossy(&fortran).contains("False");
            assert!(text, "the header says its order");
            let at = fortran.windows(5).position(|piece| piece == b"False").unwrap_or(0);
            let fortran = [&fortran[..at], b"True ", &fortran[at + 5..]].concat();
            vec![arrays().0, npy("|u1", "(6, 4)", &(0..24).collect::<Vec<u8>>()), fortran]
        },
        tokens: NPY_TOKENS,
        read: |at, bytes, n| {
            let archive = npz(&[("x.npy", bytes.to_vec()), ("y.npy", arrays().1)], false);
            load(at, "t.npz", &archive, n)
        },
    },
    Format {
        name: "toml",
        exit_code: 3,
        seeds: || {
            vec![include_bytes!("../config/full.toml").to_vec(), include_bytes!("../config/example.toml").to_vec()]
        },
        tokens: &[
            b"[",
            b"]",
            b"[[",
            b"]]",
            b"{",
            b"}",
            b"=",
            b".",
            b"\"",
            b"'''",
            b"\"\"\"",
            b"\n",
            b"#",
            b"inf",
            b"nan",
            b"true",
            b"1979-05-27T07:32:00Z",
            b"\\u0000",
            b"\\U0010ffff",
            b"layers",
            b"units = 16777216",
            b"[model]\n",
            b"type = \"dense\"",
            b"\xef\xbb\xbf",
            b"0x7fffffffffffffff",
            b"-",
            b"1e400",
            b"softmax",
            b"one_cycle",
            b"balanced",
            b"batch_norm",
        ],
        read: run_file,
    },
    Format {
        name: "safetensors",
        exit_code: 6,
        seeds: || vec![model(), model_f64()],
        tokens: &[
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"dtype\"",
            b"\"F32\"",
            b"\"F64\"",
            b"\"BF16\"",
            b"\"shape\"",
            b"\"data_offsets\"",
            b"\"layers.0.weight\"",
            b"\"__metadata__\"",
            b":",
            b",",
            b"[0,0]",
            b"[1000000,1000000]",
            b"\0\0\0\0\0\0\0\0",
            b"\0\0\xc0\x7f",
            b"\0\0\x80\xff",
            b"null",
        ],
        read: |at, bytes, _| {
            let path = at.join("start.safetensors");
            write(&path, bytes);
            let found = weights::read(&path, plan())?;
            assert!(found.iter().all(|(_, values)| values.iter().all(|value| value.is_finite())));
            Ok(())
        },
    },
    Format {
        name: "model",
        exit_code: 6,
        seeds: || vec![whole_model()],
        tokens: JSON_TOKENS,
        read: |at, bytes, _| {
            let path = at.join("model.safetensors");
            write(&path, bytes);
            TrainedModel::load(&path).map(drop)
        },
    },
    Format {
        name: "checkpoint",
        exit_code: 6,
        seeds: || vec![checkpoint()],
        tokens: JSON_TOKENS,
        read: |at, bytes, _| {
            write(&at.join(checkpoint::FILE), bytes);
            let read = Checkpoint::read(at)?;
            assert!(read.state.weights.iter().flatten().all(|value| value.is_finite()));
            Ok(())
        },
    },
];

const JSON_TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e400",
    b"1e-400",
    b"9999999999999999999",
    b"\"dense\"",
    b"\"units\"",
    b"\"dropout\"",
    b"\"F32\"",
    b"\"F64\"",
    b"[0,0]",
    b"[1000000,1000000]",
    b"\0\0\0\0\0\0\0\0",
    b"\0\0\xc0\x7f",
];

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a temporary file can be written");
}

fn tables() -> Vec<Vec<u8>> {
    [
        "a,b,c,y\n1,x,true,0\n2,\"y, z\",false,1\n,x,true,0\n4.5,w,,1\n5,x,true,0\n1e3,y,false,1\n",
        "\u{feff}a;\"b \"\"c\"\"\";y\r\n1,5;NA;2,5\r\n-3;?;4\r\n1e-3;7;1,25\r\n2,25;8;0\r\n",
        "n\td\ty\n1\t2020-01-31\tcat\n2\t2020-02-01\tdog\n3\t2020-02-01\tcat\n4\t2020-01-31\tdog\n",
        ",0,1,y\n0,0.5,\"two\nlines\",1.5\n1,0.25,one,2.5\n2,0.75,one,9007199254740993\n3,1,\u{e9},0\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn arrays() -> (Vec<u8>, Vec<u8>) {
    let x: Vec<u8> = (0..12).flat_map(|i| f64::from(i * i).to_le_bytes()).collect();
    let y: Vec<u8> = (0..6_i32).flat_map(|i| (i % 2).to_le_bytes()).collect();
    (npy("<f8", "(6, 2)", &x), npy("<i4", "(6,)", &y))
}

/// Loads a data set, with other options for other numbers.
fn load(at: &Path, file: &str, bytes: &[u8], number: u64) -> Result<()> {
    let path = at.join(file);
    write(&path, bytes);
    check(&path, number)
}

fn check(path: &Path, number: u64) -> Result<()> {
    let source = path.to_str().expect("the folder's name is text");
    let options = Data {
        source: Some(source.to_owned()),
        missing: [Missing::Impute, Missing::Impute, Missing::Drop, Missing::Error][number as usize % 4],
        standardize: number % 8 < 6,
        task: [None, None, None, None, Some(Task::Regression), Some(Task::Classification)][number as usize % 6],
        ..Data::default()
    };
    let dataset = data::load(&options, number)?;
    whole(&dataset);
    let applied = dataset.preprocessing.apply(source, true)?;
    assert_eq!(applied.targets.map(|targets| targets.len()), Some(applied.rows * dataset.target_columns()));
    Ok(())
}

/// What was accepted must be whole and finite.
fn whole(dataset: &Dataset) {
    assert_eq!(dataset.targets.len(), dataset.rows * dataset.target_columns());
    assert!(dataset.targets.iter().all(|value| value.is_finite()));
    if let Features::F32 { values, columns } = &dataset.features {
        assert_eq!(values.len(), dataset.rows * columns);
        assert!(values.iter().all(|value| value.is_finite()));
    }
}

/// A table, and what a model of a sound table makes of it.
fn table(at: &Path, file: &str, bytes: &[u8], number: u64) -> Result<()> {
    load(at, file, bytes, number)?;
    static SOUND: OnceLock<Dataset> = OnceLock::new();
    let sound = SOUND.get_or_init(|| {
        let folder = at.join("sound.csv");
        write(&folder, &tables()[0]);
        let source = folder.to_str().map(str::to_owned);
        data::load(&Data { source, ..Data::default() }, 1).expect("a sound table")
    });
    let path = at.join(file);
    // Most damaged tables lack a column, which is an error in good form.
    match sound.preprocessing.apply(&path.to_string_lossy(), number.is_multiple_of(2)) {
        Err(error) if error.exit_code() != 3 => Err(error),
        _ => Ok(()),
    }
}

fn images(at: &Path, file: &str, bytes: &[u8], number: u64) -> Result<()> {
    write(&at.join(file), bytes);
    write(&at.join("train-labels-idx1-ubyte"), &idx(0x0801, &[6], &[0, 1, 0, 1, 0, 1]));
    check(at, number)
}

fn shape() -> DataShape {
    DataShape {
        rows: 100,
        features: 5,
        encoding: Encoding::F32,
        task: Task::Classification,
        target_columns: 1,
        outputs: 3,
        train_rows: 70,
        largest_set: 70,
    }
}

/// Reads a run file and compiles its network.
fn run_file(at: &Path, bytes: &[u8], _: u64) -> Result<()> {
    let path = at.join("run.toml");
    write(&path, bytes);
    let loaded = config::load(Some(&path), &[])?;
    // As text: NaN, which may stand in [search], equals nothing.
    let written = loaded.config.to_toml();
    let again: Result<Config, _> = toml::from_str(&written);
    assert_eq!(again.map(|again| again.to_toml()), Ok(written), "what is written is read back");
    match layers::compile(&loaded.config, shape(), 1 << 27) {
        Ok(plan) => drop(plan.to_string()),
        Err((key, error)) => {
            let error = loaded.locate(&key, error);
            // A network beyond memory is the device's matter.
            if !matches!(error, Error::Data(_) | Error::Usage(_) | Error::Device(_)) {
                return Err(error);
            }
        }
    }
    Ok(())
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let mut config = Config::default();
        config.model.layers[0].units = Some(4);
        config.model.layers.remove(1);
        layers::compile(&config, shape(), 1 << 27).unwrap_or_else(|(key, error)| panic!("{key}: {error}"))
    })
}

fn model() -> Vec<u8> {
    let plan = plan();
    let numbers = |id: wgrad::ops::TensorId| (0..plan.tensor(id).elements()).map(|i| i as f32 / 8.0).collect();
    let values: Vec<Vec<f32>> = plan.model_tensors().into_iter().map(numbers).collect();
    weights::to_bytes(plan, &values, &serde_json::json!({"note": "a model"})).expect("a model's file can be made")
}

/// With all that predicting takes.
fn whole_model() -> Vec<u8> {
    let preprocessing = {
        let folder = std::env::temp_dir().join(format!("wgrad-model-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let path = folder.join("table.csv");
        write(&path, tables()[0].as_slice());
        let options = Data { source: Some(path.display().to_string()), ..Data::default() };
        let data = data::load(&options, 1).expect("the table is good");
        std::fs::remove_dir_all(&folder).expect("it was just made");
        data.preprocessing
    };
    let mut config = Config::default();
    config.model.layers[0].units = Some(3);
    config.model.layers.remove(1);
    config.model.layers[1].units = Some(1);
    let shape = DataShape {
        rows: 4,
        features: preprocessing.feature_columns(),
        encoding: Encoding::F32,
        task: preprocessing.task,
        target_columns: 1,
        outputs: 1,
        train_rows: 4,
        largest_set: 4,
    };
    let plan = layers::compile(&config, shape, 1 << 27).unwrap_or_else(|(key, error)| panic!("{key}: {error}"));
    let numbers = |id: wgrad::ops::TensorId| (0..plan.tensor(id).elements()).map(|i| i as f32 / 8.0).collect();
    let values: Vec<Vec<f32>> = plan.model_tensors().into_iter().map(numbers).collect();
    let loss = serde_json::json!({"name": "binary_cross_entropy"});
    let description = serde_json::json!({"model": config.model, "loss": loss, "preprocessing": preprocessing});
    weights::to_bytes(&plan, &values, &description).expect("a model's file can be made")
}

/// A training in the middle of its second epoch.
fn checkpoint() -> Vec<u8> {
    let plan = plan();
    let numbers = |id: wgrad::ops::TensorId| (0..plan.tensor(id).elements()).map(|i| i as f32 / 8.0).collect();
    let weights: Vec<Vec<f32>> = plan.model_tensors().into_iter().map(numbers).collect();
    let epoch = Epoch {
        epoch: 1,
        learning_rate: 1e-3,
        train_loss: 0.5,
        validation_loss: Some(0.25),
        metrics: vec![("train_accuracy".into(), 0.75)],
        seconds: 0.125,
        is_best: true,
    };
    let state = State {
        step: 7,
        epochs: vec![epoch],
        open: Open { steps: 2, loss: 1.5, correct: 3.0, rows: 8 },
        start_loss: Some(0.75),
        slots: weights.clone(),
        best: Some((1, weights.clone())),
        weights,
        stopping: (Some(-0.25), 0),
        plateau: Default::default(),
        seconds: 0.25,
    };
    let checkpoint = Checkpoint {
        config: Config::default(),
        data_sha256: "00".into(),
        device: "auto".into(),
        adapter: "a".into(),
        state,
    };
    checkpoint.to_bytes().expect("a checkpoint can be made")
}

/// The same in double precision, as other programs may write it.
fn model_f64() -> Vec<u8> {
    let single = model();
    let file = safetensors::SafeTensors::deserialize(&single).expect("it was just written");
    let wide: Vec<(String, Vec<usize>, Vec<u8>)> = (file.tensors().into_iter())
        .map(|(name, view)| (name, view.shape().to_vec(), vec![0; 2 * view.data().len()]))
        .collect();
    let views = wide.iter().map(|(name, shape, data)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F64, shape.clone(), data);
        (name.as_str(), view.expect("the sizes fit"))
    });
    safetensors::serialize(views, None).expect("it can be written")
}
