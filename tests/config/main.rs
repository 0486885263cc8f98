//! The run file as its users meet it: what loads, what wins, and what no damage may do.

mod mistakes;

use std::path::{Path, PathBuf};

use wgrad::config::{ClassWeights, Column, Config, Loaded, Override, Target, load};
use wgrad::error::Error;

/// Every key that a run file can have.
const FULL: &str = include_str!("full.toml");

/// The run file that the interface shows.
const EXAMPLE: &str = include_str!("example.toml");

/// A folder of its own for each test: they run at the same time.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config").join(test);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

fn write(test: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder(test).join("run.toml");
    std::fs::write(&path, text).expect("the target folder is writable");
    path
}

fn sets(texts: &[&str]) -> Vec<Override> {
    texts.iter().map(|text| Override::parse_set(text).expect("a good --set")).collect()
}

fn loaded(test: &str, text: &str, overrides: &[&str]) -> Loaded {
    load(Some(&write(test, text)), &sets(overrides)).expect("a good run file")
}

#[test]
fn an_empty_run_file_and_none_at_all_are_the_defaults() {
    assert_eq!(load(None, &[]).expect("no file").config, Config::default());
    assert_eq!(loaded("empty", "", &[]).config, Config::default());
    assert_eq!(loaded("empty", "[train]\n[data]\n", &[]).config, Config::default());
}

#[test]
fn the_example_of_the_interface_loads() {
    let config = loaded("example", EXAMPLE, &[]).config;
    assert_eq!(config.data.target, Some(Target::One(Column::Name("price".into()))));
    assert_eq!(config.model.layers.len(), 4);
    assert_eq!(config.model.layers[1].epsilon, Some(1e-5));
    assert_eq!(config.loss.class_weights, Some(ClassWeights::Named("balanced".into())));
    assert_eq!((config.schedule.every, config.schedule.factor), (Some(10), Some(0.5)));
    assert!(config.search.contains_key("optimizer.learning_rate"));
}

#[test]
fn every_golden_run_file_loads() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden");
    // They come beside a checkout, not inside it.
    let Ok(cases) = std::fs::read_dir(&golden) else { return };
    let files: Vec<PathBuf> = cases.flatten().map(|case| case.path().join("run.toml")).filter(|f| f.exists()).collect();
    assert!(!files.is_empty(), "{} holds no case", golden.display());
    for file in files {
        let config = load(Some(&file), &[]).unwrap_or_else(|error| panic!("{error}")).config;
        let source = PathBuf::from(config.data.source.expect("each golden run names its data"));
        assert!(source.is_absolute() && source.exists(), "{}", source.display());
        assert_eq!(config.data.split, [1.0, 0.0, 0.0]);
    }
}

#[test]
fn whole_numbers_do_where_numbers_are_asked_for() {
    let text = "[data]\nsplit = [1, 0, 0]\n[optimizer]\nlearning_rate = 1\n[loss]\nclass_weights = [1, 2.5]";
    let config = loaded("whole", text, &["regularization.l2=3"]).config;
    assert_eq!(config.data.split, [1.0, 0.0, 0.0]);
    assert_eq!(config.optimizer.learning_rate, 1.0);
    assert_eq!(config.loss.class_weights, Some(ClassWeights::List(vec![1.0, 2.5])));
    assert_eq!(config.regularization.l2, 3.0);
}

#[test]
fn columns_are_names_or_indexes_alone_or_in_a_list() {
    let text = "[data]\ntarget = [\"a\", 2]\nfeatures = [0, \"b\"]";
    let data = loaded("columns", text, &["data.ignore=[\"c\"]"]).config.data;
    let (a, b) = (Column::Name("a".into()), Column::Name("b".into()));
    assert_eq!(data.target, Some(Target::Many(vec![a, Column::Index(2)])));
    assert_eq!(data.features, Some(vec![Column::Index(0), b]));
    assert_eq!(data.ignore, [Column::Name("c".into())]);
    let data = load(None, &sets(&["data.target=2"])).expect("an index").config.data;
    assert_eq!(data.target, Some(Target::One(Column::Index(2))));
}

#[test]
fn a_later_override_beats_an_earlier_one_the_file_and_the_default() {
    let epochs = |text: &str, set: &[&str]| loaded("precedence", text, set).config.train.epochs;
    assert_eq!(epochs("", &[]), 50);
    assert_eq!(epochs("[train]\nepochs = 3", &[]), 3);
    assert_eq!(epochs("[train]\nepochs = 3", &["train.epochs=4"]), 4);
    assert_eq!(epochs("[train]\nepochs = 3", &["train.epochs=4", "train.epochs=5"]), 5);
    assert_eq!(epochs("", &["train.epochs = 6"]), 6);
    // The rest of the section stays as the file has it.
    let config = loaded("precedence", "[train]\nepochs = 3\nbatch_size = 7", &["train.epochs=4"]).config;
    assert_eq!(config.train.batch_size, 7);
}

#[test]
fn the_value_of_a_set_is_toml_and_a_bare_word_is_a_string() {
    let value = |set: &str| Override::parse_set(set).expect(set).value;
    assert_eq!(value("a=0.1"), toml::Value::Float(0.1));
    assert_eq!(value("a=true"), toml::Value::Boolean(true));
    assert_eq!(value("a=[1,2]").as_array().map(Vec::len), Some(2));
    assert_eq!(value("a={ b = 1 }").get("b"), Some(&toml::Value::Integer(1)));
    assert_eq!(value("a=\"x y\""), toml::Value::String("x y".into()));
    assert_eq!(value("a=relu"), toml::Value::String("relu".into()));
    assert_eq!(value("a = b=c.csv "), toml::Value::String("b=c.csv".into()));
    assert_eq!(Override::parse_set("train.epochs=1").expect("good").origin, "--set train.epochs");
}

#[test]
fn a_set_reaches_layers_by_either_spelling_and_default_layers_too() {
    let text = "[model]\nlayers = [{ type = \"dense\", units = 8 }, { type = \"dense\" }]";
    let config = loaded("layers", text, &["model.layers.0.units=32", "model.layers[1].activation=tanh"]).config;
    assert_eq!(config.model.layers[0].units, Some(32));
    assert_eq!(config.model.layers[1].activation.as_deref(), Some("tanh"));
    let config = load(None, &sets(&["model.layers[1].units=9"])).expect("the default layers").config;
    let units: Vec<_> = config.model.layers.iter().map(|layer| layer.units).collect();
    assert_eq!(units, [Some(128), Some(9), None]);
    let config = load(None, &sets(&["search.\"train.batch_size\"={ choice = [1, 2] }"])).expect("a quoted key").config;
    assert!(config.search.contains_key("train.batch_size"));
}

#[test]
fn every_bound_holds_on_both_sides() {
    let layer = |fields: &str| format!("model.layers=[{{ {fields} }}, {{ type = \"dense\" }}]");
    let sections = [
        ("data.split=[0.5, 0.5, 1e-10]", "data.split=[0.5, 0.5, 1e-8]"),
        ("data.split=[0, 0, 1]", "data.split=[1.5, -0.5, 0]"),
        ("train.epochs=1", "train.epochs=0"),
        ("train.batch_size=1", "train.batch_size=0"),
        ("train.checkpoint_minutes=0", "train.checkpoint_minutes=-0.1"),
        ("optimizer.learning_rate=1e-9", "optimizer.learning_rate=-1"),
        ("optimizer.momentum=0", "optimizer.momentum=1.0"),
        ("optimizer.alpha=0.99", "optimizer.alpha=1"),
        ("optimizer.beta1=0", "optimizer.beta1=-0.1"),
        ("optimizer.beta2=0.999", "optimizer.beta2=1"),
        ("optimizer.epsilon=1e-10", "optimizer.epsilon=0"),
        ("optimizer.epsilon=1.18e-38", "optimizer.epsilon=1.17e-38"),
        ("optimizer.weight_decay=0.0", "optimizer.weight_decay=1e-46"),
        ("regularization.clip_norm=3.4e38", "regularization.clip_norm=3.41e38"),
        ("regularization.clip_value=10", "regularization.clip_value=1e39"),
        ("optimizer.weight_decay=0", "optimizer.weight_decay=-1"),
        ("loss.delta=0.1", "loss.delta=0"),
        ("loss.class_weights=[0.1, 1]", "loss.class_weights=[inf]"),
        ("loss.class_weights=balanced", "loss.class_weights=[]"),
        ("regularization.l1=0", "regularization.l1=-1"),
        ("regularization.l2=0", "regularization.l2=-1"),
        ("regularization.clip_norm=0.1", "regularization.clip_norm=0"),
        ("regularization.clip_value=0.1", "regularization.clip_value=0"),
        ("schedule.factor=2", "schedule.factor=0"),
        ("schedule.every=1", "schedule.every=0"),
        ("early_stopping.min_delta=0", "early_stopping.min_delta=-1"),
        ("early_stopping.patience=0", "early_stopping.patience=-1"),
    ];
    let layers = [
        ("type = \"dense\", units = 1", "type = \"dense\", units = 0"),
        ("type = \"dense\", units = 1, scale = 0.1", "type = \"dense\", units = 1, scale = 0"),
        ("type = \"dropout\", rate = 0", "type = \"dropout\", rate = 1"),
        ("type = \"batch_norm\", momentum = 1", "type = \"batch_norm\", momentum = 0"),
        ("type = \"batch_norm\", epsilon = 1e-9", "type = \"batch_norm\", epsilon = 0"),
    ];
    let sections = sections.iter().map(|(good, bad)| (good.to_string(), bad.to_string()));
    let all: Vec<_> = sections.chain(layers.iter().map(|(good, bad)| (layer(good), layer(bad)))).collect();
    for (good, bad) in &all {
        assert!(load(None, &sets(&[good])).is_ok(), "{good}");
        assert!(matches!(load(None, &sets(&[bad])), Err(Error::Usage(_))), "{bad}");
    }
}

#[test]
fn a_mistake_in_the_file_is_the_files_even_beside_a_flag() {
    let path = write("both", "[train]\nepochs = 0");
    let error = load(Some(&path), &sets(&["train.batch_size=3"])).expect_err("no epochs");
    assert_eq!(error.exit_code(), 3);
    let flag = Override { key: "train.epochs".into(), value: toml::Value::Integer(0), origin: "--epochs".into() };
    let error = load(None, &[flag]).expect_err("no epochs");
    assert_eq!((error.exit_code(), error.fault().place.as_deref()), (2, Some("--epochs")));
    let nameless = Override { key: "a..b".into(), value: toml::Value::Integer(0), origin: "WGRAD_AB".into() };
    let error = load(None, &[nameless]).expect_err("no key");
    assert_eq!(
        error.to_string(),
        "WGRAD_AB: \"a..b\" is no key of a run file; write path.to.key, for example train.epochs or \
         model.layers[0].units"
    );
}

#[test]
fn a_later_error_is_placed_where_its_key_came_from() {
    let text = "[loss]\nname = \"hubber\"\n[model]\nlayers = [\n  { type = \"dense\", units = 3, activation = \"rellu\" \
                },\n  { type = \"dense\" },\n]";
    let file = write("locate", text);
    let loaded = load(Some(&file), &sets(&["optimizer.name=adan", "model.layers[1].activation=x"])).expect("good");
    let placed = |key: &str| {
        let error = loaded.locate(key, Error::usage("unknown").remedy("look"));
        (error.exit_code(), error.to_string().replace(&file.display().to_string(), "run.toml"))
    };
    assert_eq!(placed("loss.name"), (3, "run.toml:2:1: unknown; look".into()));
    assert_eq!(placed("model.layers[0].activation"), (3, "run.toml:5:32: unknown; look".into()));
    assert_eq!(placed("model.layers.0.bias"), (3, "run.toml:5:3: unknown; look".into()));
    assert_eq!(placed("optimizer.name"), (2, "--set optimizer.name: unknown; look".into()));
    assert_eq!(placed("model.layers[1].activation"), (2, "--set model.layers[1].activation: unknown; look".into()));
    assert_eq!(placed("schedule.name"), (2, "schedule.name: unknown; look".into()));
    let elsewhere = Error::device("lost").at("gpu");
    assert_eq!(loaded.locate("loss.name", elsewhere.clone()), elsewhere);
}

#[test]
fn paths_start_at_the_run_file_and_those_of_overrides_at_the_current_folder() {
    let text = "init_weights = \"w.safetensors\"\n[data]\nsource = \"sub/a.csv\"";
    let config = loaded("paths", text, &[]).config;
    let source = folder("paths").join("sub/a.csv");
    assert_eq!(config.data.source.as_deref(), source.to_str());
    assert_eq!(config.init_weights, Some(folder("paths").join("w.safetensors")));

    let here = std::env::current_dir().expect("a current folder");
    let config = loaded("paths", text, &["data.source=b.csv", "init_weights=./v.safetensors"]).config;
    assert_eq!(config.data.source.as_deref(), here.join("b.csv").to_str());
    assert_eq!(config.init_weights, Some(here.join("v.safetensors")));

    let config = loaded("paths", text, &["data={ source = \"c.csv\" }"]).config;
    assert_eq!(config.data.source.as_deref(), here.join("c.csv").to_str());
    for name in ["digits", "-"] {
        let config = loaded("paths", &format!("[data]\nsource = \"{name}\""), &[]).config;
        assert_eq!(config.data.source.as_deref(), Some(name));
        let config = loaded("paths", text, &[&format!("data.source={name}")]).config;
        assert_eq!(config.data.source.as_deref(), Some(name));
    }
}

#[test]
fn a_resolved_run_file_loads_back_to_an_equal_configuration() {
    for (i, text) in ["", EXAMPLE, FULL].into_iter().enumerate() {
        let config = loaded("round_trip", text, &[]).config;
        let again = loaded("round_trip", &config.to_toml(), &[]).config;
        assert_eq!(again, config, "text {i}:\n{}", config.to_toml());
    }
    // From another folder too, for the paths in it are absolute.
    let config = loaded("round_trip", EXAMPLE, &[]).config;
    assert_eq!(loaded("round_trip/elsewhere", &config.to_toml(), &[]).config, config);
}

#[test]
fn a_resolved_run_file_spells_out_the_defaults_with_a_line_for_each_layer() {
    let text = Config::default().to_toml();
    assert!(text.starts_with("seed = 42\n\n[data]\nsplit = [0.7, 0.15, 0.15]\n"), "{text}");
    assert!(text.contains("layers = [\n  { type = \"dense\", units = 128, activation = \"relu\" },\n"), "{text}");
    assert!(text.contains("\n[train]\nepochs = 50\nbatch_size = 64\n"), "{text}");
}

#[test]
fn a_configuration_that_no_run_file_can_hold_is_still_shown() {
    let config = Config { seed: u64::MAX, ..Config::default() };
    assert!(config.to_toml().contains("seed = 18446744073709551615"));
}

/// The schema and the types name the same keys: every key of the types is in the full file (or it would not be
/// written back), and every key of the full file is in the schema (or it would not load).
#[test]
fn the_full_run_file_leaves_no_key_out() {
    let config = loaded("full", FULL, &[]).config;
    let debug = format!("{config:?}");
    let layers = debug.find("layers: [").expect("layers")..debug.find("loss: ").expect("loss");
    let outside_layers = format!("{}{}", &debug[..layers.start], &debug[layers.end..]);
    assert!(!outside_layers.contains(": None"), "{outside_layers}");
    assert!(!outside_layers.contains(": []") && !config.search.is_empty());
    let table = toml::Table::try_from(&config.model).expect("plain values");
    let mut fields: Vec<&String> = table["layers"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|layer| layer.as_table())
        .flat_map(|layer| layer.keys())
        .collect();
    fields.sort();
    fields.dedup();
    let layer_fields = format!("{:?}", wgrad::config::Layer::default()).matches(": ").count();
    assert_eq!(fields.len(), layer_fields, "{fields:?}");
}

/// A small generator of its own (xorshift): the same mutations on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn no_damage_to_a_run_file_panics_or_is_called_a_defect_of_the_program() {
    const ALPHABET: &[u8] = b"\"'[]{}=.,#-+_ \n\t0189ae\\\xff\xc3\x00";
    let mut dice = Dice(0x5eed);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..5000 {
        let mut bytes = FULL.as_bytes().to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, ALPHABET[dice.below(ALPHABET.len())]),
                2 => bytes[at] = ALPHABET[dice.below(ALPHABET.len())],
                _ => bytes.swap(at, dice.below(FULL.len() - 8)),
            }
        }
        match load(Some(&write("damage", &bytes)), &[]) {
            Ok(loaded) => {
                good += 1;
                let again = load(Some(&write("damage", loaded.config.to_toml())), &[]).expect("it loaded before");
                assert_eq!(again.config, loaded.config, "{}", String::from_utf8_lossy(&bytes));
            }
            Err(error) => {
                bad += 1;
                assert!(matches!(error, Error::Data(_)), "{error:?}");
                let place = error.fault().place.clone().unwrap_or_default();
                assert!(place.contains("run.toml"), "{error}");
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    // Both ways were taken often enough to mean something.
    assert!(good > 200 && bad > 1000, "{good} loaded, {bad} refused");
}

#[test]
fn no_damage_to_a_set_panics_or_is_called_a_defect_of_the_program() {
    let sets =
        ["model.layers[0].units=32", "data.split=[0.5, 0.25, 0.25]", "loss.class_weights=[1, 2]", "a.b={ c = 1 }"];
    let alphabet: Vec<char> = "\"'[]{}=.,-_ 019aeé\u{0}".chars().collect();
    let mut dice = Dice(0x5e7);
    let mut refused = 0;
    for round in 0..5000 {
        let mut text: Vec<char> = sets[round % sets.len()].chars().collect();
        for _ in 0..=dice.below(3) {
            let at = dice.below(text.len());
            text[at] = alphabet[dice.below(alphabet.len())];
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = Override::parse_set(&text).and_then(|change| load(None, &[change])) {
            refused += 1;
            assert!(matches!(error, Error::Usage(_)), "{text}: {error:?}");
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn the_ranges_of_a_search_are_read_in_their_order_and_a_trial_has_their_values() {
    use wgrad::config::Range;
    let text = "[loss]\nname = \"huber\"\n[early_stopping]\nmetric = \"validation_rmse\"\n[search]\n\
                \"train.batch_size\" = { int = [16, 32] }\n\"optimizer.learning_rate\" = { log = [1e-4, 1] }\n\
                \"loss.delta\" = { uniform = [0.5, 2] }\n\"model.layers[0].activation\" = { choice = [\"relu\", \"tanh\"] }\n";
    let config = loaded("ranges", text, &[]).config;
    let ranges = config.search_ranges().expect("they are good");
    let expected = [
        ("train.batch_size", Range::Int([16, 32])),
        ("optimizer.learning_rate", Range::Log([1e-4, 1.0])),
        ("loss.delta", Range::Uniform([0.5, 2.0])),
        ("model.layers[0].activation", Range::Choice(vec!["relu".into(), "tanh".into()])),
    ];
    assert_eq!(ranges, expected.map(|(key, range)| (key.to_owned(), range)));
    let values = [("train.batch_size", 20.into()), ("model.layers[0].activation", "tanh".into())];
    let trial = config.with_values(&values.map(|(key, value): (&str, toml::Value)| (key.to_owned(), value)));
    let mut wanted = config.clone();
    (wanted.train.batch_size, wanted.search) = (20, toml::Table::new());
    wanted.model.layers[0].activation = Some("tanh".into());
    assert_eq!(trial, Ok(wanted));
    // What was written is read back.
    assert_eq!(Config::from_toml(&config.to_toml()), Ok(config));
}
