//! Networks that really have the faults that textbooks teach: `wgrad train` has to name each, in words, in metrics.json
//! and among the events. Knows the program by its command line and the files it leaves, as a user does.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wgrad-advice-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A table of `rows` rows with the columns a, b, c between -1 and 1 and the answer y.
    fn table(&self, rows: usize, mut answer: impl FnMut([f64; 3], f64) -> String) -> PathBuf {
        let mut text = "a,b,c,y\n".to_owned();
        let mut state = 1u64;
        // Knuth's generator: the table is the same everywhere, and good enough for looking random.
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 23) - 1.0
        };
        for _ in 0..rows {
            let (x, chance) = ([draw(), draw(), draw()], draw());
            text += &format!("{:.4},{:.4},{:.4},{}\n", x[0], x[1], x[2], answer(x, chance));
        }
        let path = self.0.join("table.csv");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Something smooth that a small network learns well.
    fn smooth(&self) -> PathBuf {
        self.table(400, |[a, b, c], _| format!("{:.4}", (2.0 * a).sin() + b * b - c))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Trains on the CPU and returns the symptoms that are named, the same in all three places.
fn advice(folder: &Folder, data: &PathBuf, flags: &[&str]) -> Vec<String> {
    let out = folder.0.join("run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.arg("train").arg(data).args(["--device", "cpu", "--json", "--out"]).arg(&out).args(flags);
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD_")) {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{command:?}\n{words}");
    let metrics: Value = serde_json::from_slice(&std::fs::read(out.join("metrics.json")).unwrap()).unwrap();
    let kept = metrics["advice"].as_array().expect("a list of advice").clone();
    let events: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "advice")
        .collect();
    assert_eq!(events.len(), kept.len());
    for (event, kept) in events.iter().zip(&kept) {
        assert_eq!(event["symptom"], kept["symptom"]);
        let finding = kept["finding"].as_str().unwrap();
        assert!(words.contains(finding), "{finding:?} is not in {words}");
    }
    kept.iter().map(|one| one["symptom"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_training_that_goes_well_gets_no_advice() {
    let folder = Folder::new("healthy");
    assert_eq!(advice(&folder, &folder.smooth(), &[]), [""; 0]);
}

#[test]
fn a_huge_learning_rate_kills_relu_units() {
    let folder = Folder::new("dead");
    let named = advice(&folder, &folder.smooth(), &["--lr", "1"]);
    assert_eq!(named[0], "dead_relu", "{named:?}");
    let folder = Folder::new("alive");
    let named = advice(&folder, &folder.smooth(), &["--lr", "1", "--activation", "leaky_relu"]);
    assert!(!named.contains(&"dead_relu".to_owned()), "{named:?}");
}

#[test]
fn deep_sigmoid_networks_lose_their_gradients() {
    let folder = Folder::new("vanishing");
    let deep = ["--hidden", "16,16,16,16,16,16,16,16", "--epochs", "20"];
    let named = advice(&folder, &folder.smooth(), &[&deep[..], &["--activation", "sigmoid"]].concat());
    assert_eq!(named, ["vanishing_gradients"]);
    let folder = Folder::new("deep-relu");
    let named = advice(&folder, &folder.smooth(), &deep);
    assert!(!named.contains(&"vanishing_gradients".to_owned()), "{named:?}");
}

#[test]
fn large_start_weights_make_gradients_explode() {
    let folder = Folder::new("exploding");
    let layer = r#"{type="dense",units=32,activation="relu",init="normal",scale=3.0}"#;
    let layers = format!(r#"model.layers=[{layer},{layer},{layer},{{type="dense"}}]"#);
    // So small a step that the weights stay what they are.
    let named = advice(&folder, &folder.smooth(), &["--optimizer", "sgd", "--lr", "1e-8", "--set", &layers]);
    assert!(named.contains(&"exploding_gradients".to_owned()), "{named:?}");
}

#[test]
fn a_learning_rate_too_high_makes_the_loss_jump() {
    let folder = Folder::new("high");
    let flags = ["--lr", "0.3", "--activation", "tanh"];
    let named = advice(&folder, &folder.smooth(), &flags);
    assert!(named.contains(&"learning_rate_too_high".to_owned()), "{named:?}");
}

#[test]
fn a_learning_rate_too_low_leaves_a_straight_line() {
    let folder = Folder::new("low");
    assert_eq!(advice(&folder, &folder.smooth(), &["--lr", "1e-6"]), ["learning_rate_too_low"]);
}

#[test]
fn two_epochs_are_not_enough() {
    let folder = Folder::new("two");
    assert_eq!(advice(&folder, &folder.smooth(), &["--epochs", "2"]), ["not_converged"]);
}

#[test]
fn a_large_network_learns_a_few_rows_of_noise_by_heart() {
    let folder = Folder::new("heart");
    let noise = folder.table(40, |_, chance| if chance > 0.0 { "yes".into() } else { "no".into() });
    let flags = ["--epochs", "300", "--set", "early_stopping.patience=0"];
    assert_eq!(advice(&folder, &noise, &flags), ["overfitting"]);
}

#[test]
fn a_linear_model_cannot_learn_what_is_not_linear() {
    let folder = Folder::new("linear");
    let table = folder.table(400, |[a, b, _], _| if a * b > 0.0 { "yes".into() } else { "no".into() });
    let flags = ["--set", r#"model.layers=[{type="dense"}]"#, "--lr", "0.05"];
    assert_eq!(advice(&folder, &table, &flags), ["underfitting"]);
    let folder = Folder::new("hidden");
    let table = folder.table(400, |[a, b, _], _| if a * b > 0.0 { "yes".into() } else { "no".into() });
    assert_eq!(advice(&folder, &table, &[]), [""; 0], "with hidden layers it can");
}
