//! report.html as a browser shows it, and events/ as TensorBoard reads it: real runs, headless Chromium, the real
//! `tensorboard` package. Knows the program by its command line and the files it leaves.

#[path = "support/require.rs"]
mod require;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A browser takes several processes by itself.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let no_browser = browser().is_none().then(|| "there is no Chromium".to_owned());
    let no_tensorboard = python("import tensorboard.backend.event_processing.event_accumulator").err();
    type Test = fn() -> Result<(), Failed>;
    let in_browser: [(&str, Test); 5] = [
        ("browser::digits_show_curves_confusions_and_mistakes_as_images", digits),
        ("browser::a_regression_shows_residuals_and_importance", regression),
        ("browser::a_tiny_hostile_table_of_one_epoch_is_shown", tiny),
        ("browser::no_page_is_wider_than_a_phone", phone),
        ("browser::a_planted_fault_is_caught", planted_faults),
    ];
    let browsed = in_browser
        .into_iter()
        .map(|(name, test)| require::trial_where("TEST_REQUIRE_CHROMIUM", name, no_browser.clone(), test));
    let read = require::trial_where(
        "TEST_REQUIRE_PYTHON",
        "tensorboard::every_epoch_is_read_once_also_after_resuming",
        no_tensorboard.map(|error| format!("there is no tensorboard: {}", error.message().unwrap_or_default())),
        events,
    );
    let trials: Vec<Trial> = browsed.chain([read]).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A folder for a test's files, empty.
fn folder(test: &str) -> Result<PathBuf, Failed> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join(test);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

fn wgrad(folder: &Path, arguments: &[&str]) -> Result<(), Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD_")) {
        command.env_remove(name);
    }
    let output = command.args(arguments).args(["--device", "cpu"]).current_dir(folder).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{arguments:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// `TEST_CHROMIUM`, or what is installed.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("TEST_CHROMIUM").filter(|name| !name.is_empty()).map(PathBuf::from);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let installed = || {
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let paths = std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name)));
        { paths }.find(|path| path.is_file())
    };
    named.or_else(installed)
}

/// The document after everything in it has run, and what the console said.
fn open(page: &Path, arguments: &[&str]) -> Result<(String, Vec<String>), Failed> {
    let browser = browser().ok_or("there is no Chromium")?;
    let profile = page.with_extension("profile");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .args(arguments)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .output()?;
    let _ = std::fs::remove_dir_all(profile);
    let document = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || !document.contains("</html>") {
        return Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    let console = String::from_utf8_lossy(&output.stderr);
    Ok((document, console.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()))
}

/// What a page must not do: complain, or ask for anything beside itself.
fn faults(document: &str, console: &[String]) -> Vec<String> {
    let mut found: Vec<String> = console.to_vec();
    // Inside tags only: text of users may look like an attribute.
    for tag in document.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        for attribute in [" src=", " href=", " data=", " action=", " srcset=", " onerror=", " onload="] {
            let Some((_, rest)) = tag.split_once(attribute) else { continue };
            let value = rest.trim_start_matches(['"', '\'']);
            if attribute.starts_with(" on") || !(value.starts_with("data:") || value.starts_with('#')) {
                found.push(tag.chars().take(80).collect());
            }
        }
    }
    let outside = ["url(", "@import", "<script", "<iframe"];
    found.extend(outside.iter().filter(|word| document.contains(**word)).map(|word| (*word).to_owned()));
    found
}

/// Opens a run's page and insists on its charts.
fn check(page: &Path, charts: &[&str]) -> Result<String, Failed> {
    let (document, console) = open(page, &[])?;
    let faults = faults(&document, &console);
    if !faults.is_empty() {
        return Err(format!("{}: {faults:?}", page.display()).into());
    }
    for chart in charts {
        let Some(at) = document.find(&format!("id=\"{chart}\"")) else {
            return Err(format!("{}: {chart} is not there", page.display()).into());
        };
        // Its element, to where the next chart begins.
        let from = document[..at].rfind('<').unwrap_or(at);
        let rest = &document[at + 4..];
        let to = rest.find(" id=\"chart-").map_or(document.len(), |next| at + 4 + next);
        let is_drawn = ["<svg", "<table", "<img"].iter().any(|what| document[from..to].contains(what));
        if !is_drawn {
            return Err(format!("{}: {chart} is empty", page.display()).into());
        }
    }
    Ok(document)
}

/// How often something is there.
fn count(document: &str, what: &str) -> usize {
    document.matches(what).count()
}

fn insist(holds: bool, what: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(what.into()) }
}

fn digits() -> Result<(), Failed> {
    let place = folder("digits")?;
    wgrad(&place, &["train", "digits", "--epochs", "3", "--verify", "--out", "run"])?;
    let charts = ["chart-loss", "chart-accuracy", "chart-f1", "chart-learning-rate", "chart-confusion", "chart-steps"];
    let document = check(&place.join("run/report.html"), &[&charts[..], &["chart-verification"]].concat())?;
    insist(count(&document, "<svg class=\"chart\"") == 4, "four line charts")?;
    let metrics: Value = serde_json::from_slice(&std::fs::read(place.join("run/metrics.json"))?)?;
    let confusion = metrics["test"]["confusion"].as_array().ok_or("no confusion matrix")?;
    let mut wrong = 0;
    for (actual, row) in confusion.iter().enumerate() {
        for (predicted, rows) in row.as_array().ok_or("no row")?.iter().enumerate() {
            wrong += if actual == predicted { 0 } else { rows.as_u64().unwrap_or(0) };
        }
    }
    insist(wrong > 0, "three epochs make mistakes")?;
    let images = count(&document, "src=\"data:image/png;base64,");
    insist(images as u64 == wrong.min(24), &format!("{images} images of {wrong} mistakes"))?;
    insist(document.contains("✓ verified") && !document.contains("id=\"importance\""), "verified; no columns")
}

fn regression() -> Result<(), Failed> {
    let place = folder("regression")?;
    let mut table = "area,rooms,noise,price,tax\n".to_owned();
    for i in 0..300 {
        let (area, rooms, noise) = (40 + i * 37 % 160, 1 + i * 7 % 6, i * 53 % 97);
        table += &format!("{area},{rooms},{noise},{},{}\n", 3000 * area + 9000 * rooms, 2 * area);
    }
    std::fs::write(place.join("houses.csv"), table)?;
    let flags = ["--target", "price,tax", "--epochs", "20", "--lr", "0.01", "--out", "run"];
    wgrad(&place, &[&["train", "houses.csv"], &flags[..]].concat())?;
    let charts = ["chart-loss", "chart-rmse", "chart-mae", "chart-r2", "chart-importance", "chart-learning-rate"];
    let targets = ["chart-predictions-0", "chart-residuals-0", "chart-predictions-1", "chart-residuals-1"];
    let document = check(&place.join("run/report.html"), &[&charts[..], &targets[..]].concat())?;
    insist(count(&document, "<svg class=\"chart\"") == 9, "nine charts")?;
    insist(document.contains("wgrad train --verify"), "how to get it verified")
}

/// Names that would be markup, one epoch, no validation rows.
const TINY: &str =
    "a,<script>console.error(1)</script>,\"<img src=x onerror=alert(1)>\"\n1,2,3.5\n2,3,4\n3,5,6.25\n4,4,8\n";

fn tiny() -> Result<(), Failed> {
    let place = folder("tiny")?;
    std::fs::write(place.join("tiny.csv"), TINY)?;
    let flags = ["train", "tiny.csv", "--epochs", "1", "--set", "data.split=[1,0,0]", "--out", "run"];
    wgrad(&place, &flags)?;
    let charts = ["chart-loss", "chart-predictions-0", "chart-residuals-0", "chart-importance", "chart-steps"];
    let document = check(&place.join("run/report.html"), &charts)?;
    insist(document.contains("&lt;script&gt;console.error(1)&lt;/script&gt;"), "the column is named")?;
    insist(!document.contains("<img"), "no column is an element")
}

/// The browser cannot be asked how wide a document is, unless a script of the document tells: here one is let in.
fn phone() -> Result<(), Failed> {
    let place = folder("phone")?;
    wgrad(&place, &["train", "digits", "--epochs", "2", "--verify", "--out", "run"])?;
    let page = std::fs::read_to_string(place.join("run/report.html"))?;
    let told = "<script>document.title = 'overhang ' + \
                (document.documentElement.scrollWidth - document.documentElement.clientWidth)</script></body>";
    let page = page.replace("default-src 'none'", "default-src 'unsafe-inline'").replace("</body>", told);
    let path = place.join("measured.html");
    std::fs::write(&path, page)?;
    for width in [400, 800, 1300] {
        let (document, _) = open(&path, &[&format!("--window-size={width},900")])?;
        insist(document.contains("overhang 0<"), &format!("at a width of {width} the page is wider than its window"))?;
    }
    Ok(())
}

fn planted_faults() -> Result<(), Failed> {
    let place = folder("planted")?;
    let page = |body: &str| format!("<!DOCTYPE html><html><head><title>x</title></head><body>{body}</body></html>");
    let planted = [
        "<script>console.error('broken')</script>",
        "<script>throw new Error('broken')</script>",
        "<img src=\"https://example.invalid/x.png\">",
        "<link rel=\"stylesheet\" href=\"style.css\">",
        "<style>@import 'x.css';</style>",
        "<p>fine</p><svg onload=\"go()\"></svg>",
    ];
    for (number, body) in planted.into_iter().enumerate() {
        let path = place.join(format!("{number}.html"));
        std::fs::write(&path, page(body))?;
        let (document, console) = open(&path, &[])?;
        insist(!faults(&document, &console).is_empty(), &format!("{body} was not caught"))?;
        insist(number > 1 || console.iter().any(|line| line.contains("broken")), "the console was not heard")?;
    }
    let path = place.join("sound.html");
    std::fs::write(&path, page("<a href=\"#top\">up</a>"))?;
    let (document, console) = open(&path, &[])?;
    insist(faults(&document, &console).is_empty(), "a sound page is blamed")?;
    insist(check(&path, &["chart-loss"]).is_err(), "a chart that is not there was not missed")
}

/// Runs a script in the Python that `TEST_PYTHON` names (else the one that tests/run.sh made).
fn python(script: &str) -> Result<String, Failed> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let python = std::env::var_os("TEST_PYTHON").map_or(own, PathBuf::from);
    let output = Command::new(&python).args(["-W", "ignore", "-c", script]).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(error.lines().last().unwrap_or("it said nothing").to_owned().into())
}

fn events() -> Result<(), Failed> {
    let place = folder("events")?;
    wgrad(&place, &["train", "digits", "--epochs", "3", "--set", "early_stopping.patience=0", "--out", "run"])?;
    wgrad(&place, &["train", "--resume", "run", "--epochs", "5"])?;
    let script = format!(
        "import json\n\
         from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n\
         events = EventAccumulator({:?}, size_guidance={{'scalars': 0}})\n\
         events.Reload()\n\
         print(json.dumps({{tag: [[s.step, s.value, s.wall_time] for s in events.Scalars(tag)]\n\
         \x20   for tag in events.Tags()['scalars']}}))",
        place.join("run/events").display().to_string()
    );
    let scalars: Value = serde_json::from_str(&python(&script)?)?;
    let mut history = csv::Reader::from_path(place.join("run/history.csv"))?;
    let columns: Vec<String> = history.headers()?.iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = history.records().collect::<Result<_, _>>()?;
    insist(rows.len() == 5, &format!("{} epochs", rows.len()))?;
    let tags = [
        ("loss/train", "train_loss"),
        ("loss/validation", "validation_loss"),
        ("learning_rate", "learning_rate"),
        ("accuracy/train", "train_accuracy"),
        ("accuracy/validation", "validation_accuracy"),
        ("f1/validation", "validation_f1"),
    ];
    insist(scalars.as_object().is_some_and(|map| map.len() == tags.len()), &format!("{scalars}"))?;
    for (tag, column) in tags {
        let place = columns.iter().position(|own| own == column).ok_or(column)?;
        let read = scalars[tag].as_array().ok_or(tag)?;
        insist(read.len() == rows.len(), &format!("{tag}: {read:?}"))?;
        let mut before = 0.0;
        for (number, (read, row)) in read.iter().zip(&rows).enumerate() {
            let (value, time) = (read[1].as_f64().unwrap_or(f64::NAN), read[2].as_f64().unwrap_or(f64::NAN));
            let wanted: f64 = row[place].parse()?;
            insist(read[0] == number as u64 + 1, &format!("{tag}: {read}"))?;
            insist((value - wanted).abs() <= 1e-6 * wanted.abs(), &format!("{tag}: {value} for {wanted}"))?;
            insist(time > before, &format!("{tag}: time stands still at {time}"))?;
            before = time;
        }
    }
    Ok(())
}
