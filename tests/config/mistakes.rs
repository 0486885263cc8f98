//! The exact words that each kind of mistake is answered with, place included.

use std::path::Path;

use wgrad::config::{Override, load};
use wgrad::error::Error;

use crate::{folder, write};

/// Each text is refused, as an error about data, in exactly these words.
fn each_is_refused(test: &str, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let path = write(test, text);
        let error = load(Some(&path), &[]).expect_err(text);
        assert!(matches!(error, Error::Data(_)), "{text}: {error:?}");
        let said = error.to_string().replace(&format!("{}", path.display()), "run.toml");
        assert_eq!(said, *expected, "{text}");
    }
}

/// Each `--set` on top of the run file is refused, as an error of usage, in exactly these words.
fn each_set_is_refused(test: &str, text: &str, cases: &[(&str, &str)]) {
    let path = write(test, text);
    load(Some(&path), &[]).expect("the run file itself is good");
    for (set, expected) in cases {
        let error = Override::parse_set(set).and_then(|change| load(Some(&path), &[change])).expect_err(set);
        assert!(matches!(error, Error::Usage(_)), "{set}: {error:?}");
        assert_eq!(error.to_string(), *expected, "{set}");
    }
}

#[test]
fn unknown_keys_are_answered_with_the_nearest_one_or_the_right_place() {
    each_is_refused(
        "unknown",
        &[
            (
                "[optimizer]\n  learning_rat = 1",
                "run.toml:2:3: unknown key `learning_rat` in [optimizer]; did you mean `learning_rate`?",
            ),
            ("sed = 1", "run.toml:1:1: unknown key `sed` in the run file; did you mean `seed`?"),
            ("\u{feff}sed = 1", "run.toml:1:1: unknown key `sed` in the run file; did you mean `seed`?"),
            ("[optimiser]\nname = 1", "run.toml:1:2: unknown section [optimiser]; did you mean [optimizer]?"),
            (
                "[banana]\nx = 1",
                "run.toml:1:2: unknown section [banana]; the sections are data, model, loss, optimizer, \
                 regularization, schedule, train, early_stopping, search",
            ),
            (
                "[loss]\ndelta = 2\nfoo = 1",
                "run.toml:3:1: unknown key `foo` in [loss]; the keys there are name, delta, class_weights",
            ),
            ("batch_size = 3", "run.toml:1:1: unknown key `batch_size` in the run file; it belongs to [train]"),
            (
                "[data]\nseed = 3",
                "run.toml:2:1: unknown key `seed` in [data]; it belongs to the top of the file, above the first \
                 [section]",
            ),
            (
                "[train]\npatience = 3",
                "run.toml:2:1: unknown key `patience` in [train]; it belongs to [schedule] or [early_stopping]",
            ),
            (
                "[model]\nunits = 3",
                "run.toml:2:1: unknown key `units` in [model]; it belongs to a layer, in model.layers",
            ),
            (
                "[model]\nlayers = [\n  { type = \"dense\", unit = 3 },\n]",
                "run.toml:3:21: unknown key `unit` in model.layers[0]; did you mean `units`?",
            ),
        ],
    );
}

#[test]
fn a_wrong_type_is_answered_with_what_was_expected_and_found() {
    each_is_refused(
        "types",
        &[
            (
                "[train]\nepochs = \"50\"",
                "run.toml:2:1: train.epochs must be a whole number of at least 1, not the text \"50\"; write 50 \
                 without the quotes",
            ),
            (
                "[train]\nbatch_size = \"many\"",
                "run.toml:2:1: train.batch_size must be a whole number of at least 1, not the text \"many\"; the \
                 default is 64",
            ),
            ("seed = -3", "run.toml:1:1: seed must be a whole number of at least 0, not -3; the default is 42"),
            (
                "[train]\nepochs = 1.5",
                "run.toml:2:1: train.epochs must be a whole number of at least 1, not 1.5; the default is 50",
            ),
            ("[train]\nshuffle = 1", "run.toml:2:1: train.shuffle must be true or false, not 1; the default is true"),
            (
                "seed = 99999999999999999999",
                "run.toml:1:1: seed is 99999999999999999999, which is no 64-bit integer; the largest is \
                 9223372036854775807",
            ),
            (
                "optimizer = \"adam\"",
                "run.toml:1:1: optimizer must be a section, not the text \"adam\"; write optimizer.name = \"adam\"",
            ),
            (
                "search = 3",
                "run.toml:1:1: search must be a section, not 3; write [search] on a line of its own, and its keys below",
            ),
            (
                "train = 3",
                "run.toml:1:1: train must be a section, not 3; write [train] on a line of its own, and its keys below",
            ),
            (
                "[loss]\nname = 3",
                "run.toml:2:1: loss.name must be a name in quotes, not 3; leave it out for its default",
            ),
            (
                "[data]\ntarget = -1",
                "run.toml:2:1: data.target must be a column's name or 0-based index, or a list of them, not -1; for \
                 example target = \"price\"",
            ),
            (
                "[data]\ntarget = [\"é\", 1.5]",
                "run.toml:2:16: data.target[1] must be a column's name or 0-based index, not 1.5; for example \"area\", \
                 or 2",
            ),
            (
                "[data]\nfeatures = \"a\"",
                "run.toml:2:1: data.features must be a list of columns (names or 0-based indexes), not the text \"a\"; \
                 for example features = [\"area\", \"rooms\"]",
            ),
            (
                "[data]\nsource = \"\"",
                "run.toml:2:1: data.source must be a path in quotes, not the text \"\"; for example source = \
                 \"housing.csv\"",
            ),
            (
                "[model]\nlayers = \"dense\"",
                "run.toml:2:1: model.layers must be a list of layers, not the text \"dense\"; write layers = [{ type = \
                 \"dense\" }]",
            ),
        ],
    );
}

#[test]
fn a_value_out_of_its_range_is_answered_with_the_range() {
    each_is_refused(
        "ranges",
        &[
            (
                "[train]\nepochs = 0",
                "run.toml:2:1: train.epochs must be a whole number of at least 1, not 0; the default is 50",
            ),
            (
                "[optimizer]\nlearning_rate = 0",
                "run.toml:2:1: optimizer.learning_rate must be a finite number above 0, not 0; the default is 0.001",
            ),
            (
                "[optimizer]\nlearning_rate = nan",
                "run.toml:2:1: optimizer.learning_rate must be a finite number above 0, not nan; the default is 0.001",
            ),
            (
                "[optimizer]\nlearning_rate = 1e999",
                "run.toml:2:1: optimizer.learning_rate must be a finite number above 0, not inf; the default is 0.001",
            ),
            (
                "[optimizer]\nmomentum = 1",
                "run.toml:2:1: optimizer.momentum must be a finite number of at least 0 and below 1, not 1; leave it \
                 out for its default",
            ),
            (
                "[optimizer]\nepsilon = 1e-46",
                "run.toml:2:1: optimizer.epsilon must be a finite number above 0, not 1e-46, which 32-bit floats do not \
                 hold: they are 0 or go from 1.2e-38 to 3.4e38; leave it out for its default",
            ),
            (
                "[data]\nsplit = [0.5, 0.5, 0.05]",
                "run.toml:2:1: data.split must be three numbers of at least 0 that sum to 1, not [0.5, 0.5, 0.05], \
                 whose sum is 1.05; the default is [0.7, 0.15, 0.15]",
            ),
            (
                "[data]\nsplit = [0.5, 0.5]",
                "run.toml:2:1: data.split must be three numbers of at least 0 that sum to 1, not [0.5, 0.5]; the \
                 default is [0.7, 0.15, 0.15]",
            ),
            (
                "[data]\ntask = \"regresion\"",
                "run.toml:2:1: data.task must be \"regression\", \"binary\" or \"classification\", not the text \
                 \"regresion\"; did you mean \"regression\"?",
            ),
            (
                "[loss]\nclass_weights = \"balance\"",
                "run.toml:2:1: loss.class_weights must be \"balanced\" or a list of numbers above 0, not the text \
                 \"balance\"; did you mean \"balanced\"?",
            ),
            (
                "[loss]\nclass_weights = [1, 0]",
                "run.toml:2:21: loss.class_weights[1] must be a finite number above 0, not 0; correct it, or leave the \
                 list out for its default",
            ),
            (
                "[model]\nlayers = [{ type = \"dropout\", rate = 1.0 }, { type = \"dense\" }]",
                "run.toml:2:31: model.layers[0].rate must be a finite number of at least 0 and below 1, not 1.0; for \
                 example rate = 0.2",
            ),
        ],
    );
}

#[test]
fn layers_are_held_to_their_types() {
    each_is_refused(
        "layer_types",
        &[
            ("[model]\nlayers = []", "run.toml:2:1: model.layers has no layer; write layers = [{ type = \"dense\" }]"),
            (
                "[model]\nlayers = [{ type = \"dense\", rate = 0.5 }]",
                "run.toml:2:29: model.layers[0] is a dense layer, and `rate` belongs to dropout; the keys of dense are \
                 type, units, activation, bias, init, scale, bias_init",
            ),
            (
                "[model]\nlayers = [{ type = \"dence\" }]",
                "run.toml:2:13: model.layers[0] has an unknown `type`: the text \"dence\"; did you mean \"dense\"?",
            ),
            (
                "[model]\nlayers = [{ type = \"conv2d\" }]",
                "run.toml:2:13: model.layers[0] has an unknown `type`: the text \"conv2d\"; the types are dense, \
                 batch_norm, dropout",
            ),
            (
                "[model]\nlayers = [{ units = 3 }]",
                "run.toml:2:11: model.layers[0] has no `type`; add type = \"dense\", \"batch_norm\" or \"dropout\"",
            ),
            (
                "[model]\nlayers = [\"dense\"]",
                "run.toml:2:11: model.layers[0] must be a table such as { type = \"dense\", units = 64 }, not the text \
                 \"dense\"; correct it, or leave the list out for its default",
            ),
            (
                "[[model.layers]]\ntype = \"dropout\"\n\n[[model.layers]]\ntype = \"dense\"",
                "run.toml:1:1: model.layers[0] is a dropout layer without `rate`; add rate = 0.2, or what suits",
            ),
            (
                "[model]\nlayers = [{ type = \"dense\" }, { type = \"dense\" }]",
                "run.toml:2:11: model.layers[0] is a dense layer without `units`; add units = 64, or what suits",
            ),
            (
                "[model]\nlayers = [{ type = \"dense\" }, { type = \"dropout\", rate = 0.1 }]",
                "run.toml:2:31: the last layer must be dense, not dropout; add { type = \"dense\" } as the last layer",
            ),
        ],
    );
}

#[test]
fn text_that_is_no_toml_is_answered_with_its_place_on_one_line() {
    each_is_refused(
        "syntax",
        &[
            (
                "seed = 1\nseed = 2",
                "run.toml:2:1: this is not TOML: duplicate key; a line is key = value or [section], and text stands in quotes",
            ),
            (
                "[train\nepochs = 1",
                "run.toml:1:7: this is not TOML: unclosed table, expected `]`; a line is key = value or [section], and text stands in quotes",
            ),
            (
                "x = \"é",
                "run.toml:1:7: this is not TOML: invalid basic string, expected `\"`; a line is key = value or [section], and text stands in quotes",
            ),
            (
                "seed 4",
                "run.toml:1:6: this is not TOML: key with no value, expected `=`; a line is key = value or [section], and text stands in quotes",
            ),
        ],
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let here = folder("unreadable");
    let said = |path: &Path| {
        let error = load(Some(path), &[]).expect_err("no run file");
        assert_eq!(error.exit_code(), 3);
        error.to_string().replace(&here.display().to_string(), "here")
    };
    assert_eq!(
        said(&here.join("none.toml")),
        "here/none.toml: there is no such run file; check the path, which starts at the current folder"
    );
    assert_eq!(said(&here), "here: this is a folder, not a run file; give the file in it, for example its config.toml");
    let latin = write("unreadable", b"seed = 1\n# \xc3\xa9 \xff");
    assert_eq!(said(&latin), "here/run.toml:2:5: the run file is not UTF-8 from here on; save it as UTF-8 text");
}

#[test]
fn a_bad_set_is_an_error_of_usage_at_its_flag() {
    let text = "[train]\nepochs = 3\n[model]\nlayers = [{ type = \"dense\", units = 3 }, { type = \"dropout\", \
                rate = 0.1 }, { type = \"dense\" }]";
    let form = "write --set path.to.key=VALUE, for example --set train.epochs=10";
    each_set_is_refused(
        "sets",
        text,
        &[
            ("train.epochs", &format!("--set train.epochs: there is no `=`; {form}")),
            ("=3", &format!("--set =3: there is no key before the `=`; {form}")),
            ("a b=3", &format!("--set a b=3: \"a b\" is no key of a run file; {form}")),
            (
                "train.epochs=x",
                "--set train.epochs: train.epochs must be a whole number of at least 1, not the text \"x\"; the \
                 default is 50",
            ),
            ("train.epoch=3", "--set train.epoch: unknown key `epoch` in [train]; did you mean `epochs`?"),
            ("trian.epochs=3", "--set trian.epochs: unknown section [trian]; did you mean [train]?"),
            (
                "train.epochs.x=3",
                "--set train.epochs.x: train.epochs is a value and has no train.epochs.x; set train.epochs",
            ),
            ("train[0]=3", "--set train[0]: train is a section, not a list; name one of its keys"),
            (
                "model.layers.units=3",
                "--set model.layers.units: model.layers is a list and has no `units`; say which element, for example \
                 model.layers[0].units",
            ),
            (
                "model.layers.7.units=3",
                "--set model.layers.7.units: model.layers has 3 elements, so there is no model.layers[7]; the last is \
                 model.layers[2]",
            ),
            (
                "data.features[0]=a",
                "--set data.features[0]: data.features has 0 elements, so there is no data.features[0]; set \
                 data.features as a whole",
            ),
            (
                "data.split[0]=0.5",
                "--set data.split[0]: data.split must be three numbers of at least 0 that sum to 1, not [0.5, 0.15, \
                 0.15], whose sum is 0.8; the default is [0.7, 0.15, 0.15]",
            ),
            (
                "data.split=[1,2",
                "--set data.split: [1,2 is no TOML value: unclosed array, expected `]`; close it, or quote it for your \
                 shell",
            ),
            (
                "train.epochs=99999999999999999999",
                "--set train.epochs: train.epochs is 99999999999999999999, which is no 64-bit integer; the largest is \
                 9223372036854775807",
            ),
            // The old `rate` stands in the file, but it is the new type that makes it wrong.
            (
                "model.layers[1].type=dense",
                "--set model.layers[1].type: model.layers[1] is a dense layer, and `rate` belongs to dropout; the keys \
                 of dense are type, units, activation, bias, init, scale, bias_init",
            ),
        ],
    );
}

#[test]
fn ranges_of_a_search_are_held_to_the_keys_that_they_are_for() {
    let search = |line: &str| format!("[search]\n{line}");
    let forms = "{ log = [a, b] }, { uniform = [a, b] }, { int = [a, b] } or { choice = [a, b, c] }";
    let example = "for example \"optimizer.learning_rate\" = { log = [1e-4, 1e-1] }";
    let cases = [
        ("\"train.batch_size\" = [1, 2]", format!("2:1: search.\"train.batch_size\" must be {forms}, not [1, 2]; {example}")),
        ("\"train.batch_size\" = { lag = 3 }", format!("2:1: search.\"train.batch_size\" must be {forms}, not a table; {example}")),
        ("\"train.batch_size\" = { int = [1, 2], choice = [1] }", format!("2:1: search.\"train.batch_size\" must be {forms}, not a table; {example}")),
        ("optimizer.learning_rate = { log = [1e-4, 1e-1] }", format!("2:1: search.optimizer must be {forms}, not a table; write the whole key in quotes: \"optimizer.learning_rate\"")),
        ("\"optimizer.learning_rate\" = { log = [0.1, 0.01] }", "2:31: search.\"optimizer.learning_rate\".log must be two numbers above 0, the smaller one first, not [0.1, 0.01]; write [smallest, largest]".into()),
        ("\"optimizer.learning_rate\" = { log = [0, 0.01] }", "2:31: search.\"optimizer.learning_rate\".log must be two numbers above 0, the smaller one first, not [0, 0.01]; write [smallest, largest]".into()),
        ("\"optimizer.learning_rate\" = { log = [1e-3] }", "2:31: search.\"optimizer.learning_rate\".log must be two numbers above 0, the smaller one first, not [0.001]; write [smallest, largest]".into()),
        ("\"regularization.l1\" = { uniform = [0, inf] }", "2:25: search.\"regularization.l1\".uniform must be two numbers, the smaller one first, not [0, inf]; write [smallest, largest]".into()),
        ("\"train.batch_size\" = { int = [16, 32.5] }", "2:24: search.\"train.batch_size\".int must be two whole numbers, the smaller one first, not [16, 32.5]; write [smallest, largest]".into()),
        ("\"train.batch_size\" = { choice = [] }", "2:24: search.\"train.batch_size\".choice must be a list of at least one value, not []; write for example choice = [32, 64, 128]".into()),
        // Each value is held to its own key, and a mistake stands where the value does.
        ("\"train.batch_size\" = { choice = [16, 0] }", "2:38: train.batch_size must be a whole number of at least 1, not 0; the default is 64".into()),
        ("\"train.batch_size\" = { uniform = [16, 32] }", "2:35: train.batch_size must be a whole number of at least 1, not 16.0; the default is 64".into()),
        ("\"optimizer.learning_rat\" = { log = [1, 2] }", "2:37: unknown key `learning_rat` in [optimizer]; did you mean `learning_rate`?".into()),
        ("\"model.layers[9].units\" = { int = [1, 2] }", "2:36: model.layers has 3 elements, so there is no model.layers[9]; the last is model.layers[2]".into()),
        ("\"model.layers\" = { choice = [[{ type = \"dense\" }], [{ type = \"danse\" }]] }", "2:52: model.layers[0] has an unknown `type`: the text \"danse\"; did you mean \"dense\"?".into()),
        // What trials may not differ in.
        ("\"seed\" = { int = [1, 9] }", "2:1: seed is no single key that could be searched; name one such as \"optimizer.learning_rate\" or \"model.layers[0].units\"".into()),
        ("\"data.standardize\" = { choice = [true, false] }", "2:1: data.standardize cannot be searched: trials are compared on the same data by the same measure; remove it".into()),
        ("\"train.epochs\" = { int = [1, 9] }", "2:1: train.epochs cannot be searched: the rungs of the search decide how many epochs a trial gets; remove it".into()),
        ("\"loss.delta\" = { uniform = [1, 9] }", "2:1: loss.delta cannot be searched by validation_loss, which it changes the meaning of; set early_stopping.metric to another, such as \"validation_rmse\" or \"validation_f1\"".into()),
        ("\"model.layers[0].units\" = { int = [1, 9] }\n\"model.layers\" = { choice = [[{ type = \"dense\" }]] }", "3:1: model.layers and model.layers[0].units cannot both be searched: one lies within the other; remove one of them".into()),
    ];
    let cases: Vec<(String, String)> =
        cases.into_iter().map(|(line, expected)| (search(line), format!("run.toml:{expected}"))).collect();
    let borrowed: Vec<(&str, &str)> = cases.iter().map(|(text, expected)| (text.as_str(), expected.as_str())).collect();
    each_is_refused("search", &borrowed);
}
