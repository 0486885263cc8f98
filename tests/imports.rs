//! Imports point one way. This reads every `crate::` path in `src/` and holds the direction, keeps `wgpu` and `naga`
//! inside `src/gpu` and printing inside the command line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module and what it may name of the rest.
const RULES: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("compute", &[]),
    ("config", &["error"]),
    ("data", &["compute", "config", "error"]),
    ("model", &["compute", "config", "error"]),
    ("ops", &["model", "compute", "config", "error"]),
    ("plan", &["ops", "model", "config", "error"]),
    ("layers", &["plan", "ops", "model", "config", "error"]),
    ("host", &["plan", "error"]),
    ("cpu", &["host", "plan", "ops", "model", "compute", "error"]),
    ("gpu", &["host", "plan", "ops", "model", "error"]),
];

/// Modules that drive executors by their trait and cannot tell which device it is.
const DEVICE_BLIND: &[&str] = &["train", "trained", "verify", "report", "events"];

/// Modules that open devices, or are built on some that do.
const DEVICES: &[&str] = &["cpu", "gpu", "device", "predictor", "sequential", "cli"];

/// Everything wrong with one file, as sentences.
fn violations(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    let text = without_tests(text);
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let mut complain = |what: String| found.push(format!("{path}:{}: {what}", number + 1));
        for named in named_modules(code) {
            if named != module && !may_name(module, &named) {
                complain(format!("`{module}` must not name `{named}`"));
            }
        }
        if ["cpu", "gpu"].contains(&module) && names_concrete_op(code) {
            complain(format!("`{module}` must not name a concrete op"));
        }
        for library in ["wgpu", "naga"] {
            let named = code.contains(&format!("{library}::")) || code.contains(&format!("use {library}"));
            if named && module != "gpu" {
                complain(format!("only `gpu` may name {library}"));
            }
        }
        if ["println!", "print!", "dbg!"].iter().any(|print| code.contains(print)) && !["cli", "main"].contains(&module)
        {
            complain("only `cli` prints".to_owned());
        }
    }
    found
}

/// `src/gpu/kernel.rs` belongs to `gpu`, `src/error.rs` to `error`.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn may_name(module: &str, named: &str) -> bool {
    // `crate::Error` and the like: what the root re-exports of `error`.
    if named.starts_with(char::is_uppercase) {
        return true;
    }
    match RULES.iter().find(|(name, _)| *name == module) {
        Some((_, allowed)) => allowed.contains(&named),
        None if DEVICE_BLIND.contains(&module) => !DEVICES.contains(&named),
        None => ["cli", "main", "lib"].contains(&module) || named != "cli",
    }
}

/// Top-level modules in `crate::a::b`, `use crate::{a, b::c}` (on one line) and `wgrad::a`.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for root in ["crate::", "wgrad::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(list) => named.extend(top_level(list).into_iter().map(|item| first_word(&item))),
                None => {
                    named.insert(first_word(rest));
                }
            }
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

/// The items of a brace list without those of inner lists.
fn top_level(list: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            c if depth == 0 => items.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    items
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// `ops::dense` and `ops::{dense, …}`, but not `ops::{Batch, Op}` or what is no op: `ops::edge`, `ops::input`, `ops::tensors`.
fn names_concrete_op(code: &str) -> bool {
    let support = ["edge", "input", "tensors"];
    let is_op =
        |name: String| name.starts_with(char::is_lowercase) && !support.contains(&name.as_str()) && name != "pitch";
    code.match_indices("ops::").any(|(at, root)| {
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            Some(list) => top_level(list).into_iter().any(|item| is_op(first_word(&item))),
            None => is_op(first_word(rest)),
        }
    })
}

/// The text with `#[cfg(test)]` items blanked: tests may name what they like.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut skipping = false;
    for line in text.lines() {
        if line == "#[cfg(test)]" {
            skipping = true;
        }
        kept.push_str(if skipping { "" } else { line });
        kept.push('\n');
        // rustfmt puts the end of a top-level item at the start of a line.
        if skipping && (line == "}" || (line.ends_with(';') && !line.starts_with(' '))) {
            skipping = false;
        }
    }
    kept
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// A file that only a `#[cfg(test)] mod tests;` brings in.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[test]
fn imports_point_one_way_and_only_the_command_line_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut read) = (Vec::new(), 0);
    for file in rust_files(&root.join("src")) {
        let path = file.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        if !is_test_file(&path) {
            found.extend(violations(&path, &fs::read_to_string(&file).expect("a source file can be read")));
            read += 1;
        }
    }
    assert!(read > 30, "only {read} files were read");
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn planted_violations_are_caught_and_lawful_lines_are_not() {
    let planted = [
        ("src/gpu/executor.rs", "use crate::cpu::CpuExecutor;"),
        ("src/gpu/executor.rs", "use crate::ops::dense::Dense;"),
        ("src/cpu/mod.rs", "use crate::ops::{Batch, loss::Loss};"),
        ("src/cpu/mod.rs", "    let plan = crate::layers::compile(config);"),
        ("src/ops/dense.rs", "use crate::plan::Plan;"),
        ("src/model/losses.rs", "use crate::{config::Task, ops::{Op, Batch}};"),
        ("src/train/trainer.rs", "use crate::gpu::GpuExecutor;"),
        ("src/verify.rs", "use crate::cpu;"),
        ("src/trained/mod.rs", "use crate::device::Device;"),
        ("src/device.rs", "use crate::cli::run;"),
        ("src/error.rs", "use crate::config::Config;"),
        ("src/plan/mod.rs", "use wgpu::Buffer;"),
        ("src/ops/mod.rs", "    let module = naga::front::wgsl::parse_str(source);"),
        ("src/train/mod.rs", "    eprintln!(\"epoch\");"),
        ("src/bench.rs", "use crate::cli::run;"),
    ];
    for (path, line) in planted {
        assert_eq!(violations(path, line).len(), 1, "{path}: {line}");
    }
    let lawful = [
        ("src/gpu/executor.rs", "use crate::ops::{Batch, Op, pitch};"),
        ("src/gpu/kernel.rs", "use naga::front::wgsl;"),
        ("src/layers/dense.rs", "use crate::ops::dense::Dense;"),
        ("src/train/mod.rs", "use crate::plan::{Executor, Plan};"),
        ("src/sequential.rs", "use crate::device::{Chosen, Device};"),
        ("src/train/mod.rs", "// println!(\"crate::gpu\")"),
        ("src/cli/mod.rs", "    println!(\"{}\", wgrad::gpu::adapters());"),
        ("src/plan/check.rs", "#[cfg(test)]\nmod tests {\n    use crate::layers::tests::plan;\n}\n"),
    ];
    for (path, line) in lawful {
        assert_eq!(violations(path, line), Vec::<String>::new(), "{path}: {line}");
    }
}
