//! Pages of hostile, empty and huge runs, and what is gathered from a trained network.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::*;
use crate::bench::ProfileRow;
use crate::config::{self, Config, Target};
use crate::cpu::CpuExecutor;
use crate::data::{self, Dataset};
use crate::layers;
use crate::train::{Trainer, setup};

const HOSTILE: &str = "</pre><script>alert('x')</script>\"&\u{7}";

fn epoch(number: usize, loss: f64) -> Epoch {
    Epoch {
        epoch: number,
        learning_rate: 1e-3,
        train_loss: loss,
        validation_loss: Some(loss),
        metrics: vec![("train_accuracy".into(), 0.5), ("validation_accuracy".into(), f64::NAN)],
        seconds: number as f64,
        is_best: false,
    }
}

fn classes(confusion: Vec<Vec<usize>>) -> Metrics {
    let rows: usize = confusion.iter().flatten().sum();
    let right: usize = (0..confusion.len()).map(|class| confusion[class][class]).sum();
    let accuracy = right as f64 / rows.max(1) as f64;
    Metrics::Classes { accuracy, precision: 0.5, recall: 0.5, f1: 0.5, roc_auc: None, confusion }
}

fn evidence(answers: Answers) -> Evidence {
    let column = ColumnImportance { name: HOSTILE.into(), drop: f64::NAN, deviation: -1.0 };
    Evidence {
        set: Set::Test,
        rows: 4,
        answers: Ok(answers),
        importance: Some(Ok(Importance {
            metric: "accuracy",
            score: 0.5,
            rows: 4,
            of_rows: 4,
            repeats: 5,
            columns: vec![column],
            left_out: 3,
        })),
        profile: Ok(vec![ProfileRow {
            step: HOSTILE.into(),
            ms: 0.1,
            wall_ms: 0.1,
            device_ms: None,
            bytes: 9,
            gflops: 1.0,
            share: 1.0,
        }]),
    }
}

fn mistake() -> Mistake {
    Mistake {
        row: 7,
        actual: HOSTILE.into(),
        predicted: "b".into(),
        probability: 0.9,
        actual_probability: f64::NAN,
        image: None,
        columns: vec![(HOSTILE.into(), HOSTILE.into())],
    }
}

/// A report in which every text is hostile.
fn hostile<'a>(
    history: &'a [Epoch],
    sets: &'a [(Set, f64, Metrics, Metrics)],
    evidence: &'a Evidence,
    words: &'a [String],
    environment: &'a [(String, String)],
) -> Report<'a> {
    Report {
        name: HOSTILE,
        task: if words.is_empty() { Task::Regression } else { Task::Classification },
        targets: words,
        classes: words,
        rows: [3, 0, 1],
        features: 1,
        notes: words,
        model: HOSTILE,
        history,
        best_epoch: Some(1),
        end: End::StoppedEarly,
        sets,
        advice: words,
        evidence,
        verification: None,
        config: HOSTILE,
        environment,
    }
}

/// What must be true of every page.
fn check(page: &str) {
    for forbidden in ["<script", "http://", "https://", " onload", " onerror", "NaN%", "inf%"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let drawn = page.split("d=\"M").skip(1).filter_map(|rest| rest.split('"').next());
    assert!(drawn.clone().all(|path| !path.contains("NaN") && !path.contains("inf")), "a path of no numbers");
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let different: BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "an id is there twice: {ids:?}");
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.contains(&link), "{link} leads nowhere");
    }
}

#[test]
fn no_name_from_data_or_flags_becomes_markup() {
    let words = [HOSTILE.to_owned(), "b".to_owned()];
    let history = [epoch(1, 2.0), epoch(2, f64::INFINITY)];
    let sets = [(Set::Test, 0.5, classes(vec![vec![1, 1], vec![0, 2]]), classes(vec![vec![0, 2], vec![0, 2]]))];
    let evidence = evidence(Answers::Classes { wrong: 1, mistakes: vec![mistake()] });
    let environment = [(HOSTILE.to_owned(), HOSTILE.to_owned())];
    let page = html(&hostile(&history, &sets, &evidence, &words, &environment));
    check(&page);
    assert!(page.contains("&lt;script&gt;") && !page.contains('\u{7}'));
    for chart in ["chart-loss", "chart-accuracy", "chart-learning-rate", "chart-confusion", "chart-importance"] {
        assert!(page.contains(&format!("id=\"{chart}\"")), "{chart}");
    }
    assert!(page.contains("wgrad train --verify"), "how to get the verification table");
}

#[test]
fn a_page_without_epochs_rows_or_measurements_still_is_one() {
    let failed = Evidence {
        set: Set::Train,
        rows: 0,
        answers: Err(HOSTILE.into()),
        importance: Some(Err(HOSTILE.into())),
        profile: Err(HOSTILE.into()),
    };
    check(&html(&hostile(&[], &[], &failed, &[], &[])));
    let empty = evidence(Answers::Regression { targets: Vec::new(), left_out: 2 });
    check(&html(&hostile(&[epoch(1, f64::NAN)], &[], &empty, &[], &[])));
    let numbers = Metrics::Regression { rmse: f64::INFINITY, mae: f64::NAN, r2: -3e300 };
    let residuals = Residuals {
        target: HOSTILE.into(),
        points: vec![(1.0, f64::NAN), (f64::INFINITY, 1.0)],
        errors: vec![f64::NAN, f64::INFINITY],
        worst: vec![Miss { row: 1, actual: f64::NAN, predicted: 1.0, columns: Vec::new() }],
    };
    let wild = evidence(Answers::Regression { targets: vec![residuals], left_out: 0 });
    let page = html(&hostile(&[epoch(1, 1.0)], &[(Set::Train, 1.0, numbers.clone(), numbers)], &wild, &[], &[]));
    check(&page);
    assert!(page.contains("there is no finite prediction to show") && page.contains("judged by its training rows"));
}

#[test]
fn a_thousand_classes_and_fifty_thousand_rows_fit_into_a_small_page() {
    let words: Vec<String> = (0..1000).map(|class| format!("class number {class}")).collect();
    let mut confusion = vec![vec![0; 1000]; 1000];
    for row in 0..50_000_usize {
        confusion[row % 1000][(row % 1000 + usize::from(row % 7 == 0) * row % 900) % 1000] += 1;
    }
    let history: Vec<Epoch> = (1..=20_000).map(|number| epoch(number, 1.0 / number as f64)).collect();
    let sets = [(Set::Test, 0.5, classes(confusion.clone()), classes(confusion))];
    let image = picture::of_shares(&vec![vec![0.5; 96]; 96], [1, 2, 3]);
    let mistakes = vec![Mistake { image, ..mistake() }; 24];
    let found = evidence(Answers::Classes { wrong: 7143, mistakes });
    let page = html(&hostile(&history, &sets, &found, &words, &[]));
    check(&page);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    let points: Vec<(f64, f64)> = (0..2000).map(|i| (f64::from(i), f64::from(i) * 1.01)).collect();
    let errors = vec![0.25; 50_000];
    let residuals = Residuals { target: "y".into(), points, errors, worst: Vec::new() };
    let six = evidence(Answers::Regression { targets: vec![residuals; 6], left_out: 94 });
    let page = html(&hostile(&history, &[], &six, &[], &[]));
    check(&page);
    assert!(page.len() < 1_500_000 && page.contains("94 targets more not shown"), "{} bytes", page.len());
}

#[test]
fn a_small_lead_on_few_rows_is_not_called_better() {
    let badge = |right: usize, rows: usize, base: f64| {
        let baseline = Metrics::Classes {
            accuracy: base,
            precision: 0.0,
            recall: 0.0,
            f1: 0.0,
            roc_auc: None,
            confusion: vec![vec![rows]],
        };
        let sets = [(Set::Test, 0.1, classes(vec![vec![right, rows - right], vec![0, 0]]), baseline)];
        let found = evidence(Answers::Classes { wrong: 0, mistakes: Vec::new() });
        let words = ["a".to_owned(), "b".to_owned()];
        let page = html(&hostile(&[epoch(1, 1.0)], &sets, &found, &words, &[]));
        page.split("class=\"badge ").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    };
    assert_eq!(badge(900, 1000, 0.5), "good");
    assert_eq!(badge(6, 10, 0.5), "unclear");
    assert_eq!(badge(5, 10, 0.5), "bad");
}

/// y = 10a + 3·(0, 1 or 2 by the word c); b is noise.
fn table(rows: usize) -> String {
    let mut text = "a,b,c,y\n".to_owned();
    for i in 0..rows {
        let (a, b, word) = ((i * 37 % 101) as f64 / 10.0, (i * 53 % 97) as f64, i % 3);
        text += &format!("{a},{b},{},{}\n", ["red", "green", "blue"][word], 10.0 * a + 3.0 * word as f64);
    }
    text
}

fn project(name: &str, rows: usize) -> (Config, Dataset) {
    let path = std::env::temp_dir().join(format!("wgrad-report-{}-{name}.csv", std::process::id()));
    std::fs::write(&path, table(rows)).unwrap();
    let mut config = Config::default();
    config.data = config::Data {
        source: Some(path.to_string_lossy().into_owned()),
        target: Some(Target::One(config::Column::Name("y".into()))),
        ..config.data
    };
    config.train.epochs = 40;
    config.optimizer.learning_rate = 0.01;
    let data = data::load(&config.data, config.seed).unwrap();
    std::fs::remove_file(path).unwrap();
    (config, data)
}

#[test]
fn the_column_that_the_target_is_made_of_matters_and_noise_does_not() {
    let (config, data) = project("importance", 400);
    let gathered = || {
        let plan = Arc::new(layers::compile(&config, setup::shape(&data), u64::MAX).map_err(|(_, e)| e).unwrap());
        let executor = Box::new(CpuExecutor::<f32>::new(plan, 1).unwrap());
        let mut trainer = Trainer::new(&config, &data, executor).map_err(|(_, error)| error).unwrap();
        trainer.fit(&mut |_| ControlFlow::Continue(())).unwrap();
        let score = trainer.evaluate(Set::Test).unwrap().unwrap().metrics.headline();
        (score, gather(trainer, &config, &data))
    };
    let (score, found) = gathered();
    let importance = found.importance.as_ref().unwrap().as_ref().unwrap();
    // The score without any permutation is that of the test rows: all of them were measured.
    assert_eq!((importance.metric, importance.rows, importance.left_out), (score.0, 60, 0));
    assert!((importance.score - score.1).abs() <= 1e-6, "{} {}", importance.score, score.1);
    let drops: Vec<(&str, f64)> = importance.columns.iter().map(|c| (c.name.as_str(), c.drop)).collect();
    assert_eq!((drops[0].0, drops.len()), ("a", 3), "{drops:?}");
    // Shuffled a, R² falls by about 2·share of its variance.
    assert!((1.2..2.6).contains(&drops[0].1), "{drops:?}");
    let drop = |name: &str| drops.iter().find(|(own, _)| *own == name).unwrap().1;
    assert!(drop("b").abs() <= 0.05 && drop("c") > drop("b"), "{drops:?}");
    let Ok(Answers::Regression { targets, left_out: 0 }) = &found.answers else { panic!("{:?}", found.answers) };
    assert_eq!((targets.len(), targets[0].points.len(), targets[0].errors.len()), (1, 60, 60));
    let errors: Vec<f64> = targets[0].worst.iter().map(|miss| (miss.predicted - miss.actual).abs()).collect();
    assert!(errors.is_sorted_by(|a, b| a >= b) && errors.len() == 12);
    // A row's values are told as they are in the table.
    for miss in &targets[0].worst {
        let row = table(400).lines().nth(miss.row).unwrap().to_owned();
        let cells: Vec<&str> = row.split(',').collect();
        let told = |name: &str| miss.columns.iter().find(|(own, _)| own == name).unwrap().1.clone();
        assert_eq!([told("a"), told("b"), told("c")], [cells[0], cells[1], cells[2]].map(str::to_owned), "{row}");
        assert!((miss.actual - cells[3].parse::<f64>().unwrap()).abs() <= 1e-3, "{row}");
    }
    assert_eq!(found.profile.as_ref().unwrap().len(), 8, "a row a dispatch");
    assert_eq!(gathered().1.importance, found.importance, "the same run has the same importances");
}

#[test]
fn importance_takes_fewer_rows_and_columns_where_the_work_would_be_too_much() {
    let (mut config, data) = project("bounded", 2000);
    config.model.layers[0].units = Some(20_000);
    config.model.layers[1].units = Some(2);
    let plan = Arc::new(layers::compile(&config, setup::shape(&data), u64::MAX).map_err(|(_, e)| e).unwrap());
    let mut executor = CpuExecutor::<f32>::new(plan, 1).unwrap();
    let weights = setup::RowWeights::new(&config, &data).unwrap();
    setup::load_data(&mut executor, &data, &weights).unwrap();
    let start = setup::start_weights(crate::plan::Executor::plan(&executor), &config).unwrap();
    setup::write_weights(&mut executor, &start).unwrap();
    let data::Inputs::Columns(columns) = &data.preprocessing.inputs else { panic!("a table") };
    let rows = &data.split.test;
    let found = importance::measure(&mut executor, columns, &data, rows, 1).unwrap();
    assert_eq!((rows.len(), found.rows, found.columns.len(), found.left_out), (300, 300, 3, 0));
    let rows = &data.split.train;
    let found = importance::measure(&mut executor, columns, &data, rows, 1).unwrap();
    assert!(found.rows < 1000 && found.rows >= 200 && found.of_rows == 1400, "{found:?}");
}
