//! Unsafe code stands only in the places named here, and says there why it is sound.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files and how often they say `unsafe`.
const PLACES: &[(&str, usize)] = &[
    // The environment is changed before anything else runs.
    ("src/main.rs", 1),
    // Kernels without the device's own bounds checks.
    ("src/gpu/kernel.rs", 1),
    // Vector instructions, and slices that threads share without overlap.
    ("src/compute/simd.rs", 7),
    ("src/compute/simd/x86.rs", 22),
    ("src/compute/simd/x86_sparse.rs", 13),
    ("src/compute/sparse.rs", 1),
    ("src/compute/team.rs", 4),
    // Allocators that count.
    ("tests/allocations.rs", 5),
    // An allocator that counts.
    ("tests/bad_files/memory.rs", 9),
];

/// The code of a line, without comment and without the text of strings.
fn code(line: &str) -> String {
    let (mut kept, mut quoted, mut escaped) = (String::new(), false, false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if !quoted && c == '/' && rest.peek() == Some(&'/') {
            break;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        } else if !quoted {
            kept.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    kept
}

/// How often the keyword stands in each line of code.
fn keywords(line: &str) -> usize {
    let code = code(line);
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == "unsafe").count()
}

/// Everything wrong with a file, as sentences.
fn violations(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let count: usize = lines.iter().map(|line| keywords(line)).sum();
    let allowed = PLACES.iter().find(|(place, _)| *place == path).map_or(0, |(_, count)| *count);
    let mut found = Vec::new();
    if count != allowed {
        found.push(format!("{path}: `unsafe` stands {count} times, {allowed} are named in tests/unsafe_code.rs"));
    }
    for (number, line) in lines.iter().enumerate() {
        // A method of an unsafe trait has the trait's contract; its body gives its own reasons.
        if keywords(line) == 0 || code(line).contains("unsafe fn") {
            continue;
        }
        let reason = lines[..number].iter().rev().take_while(|line| line.trim_start().starts_with("//"));
        if !reason.into_iter().any(|line| line.trim_start().starts_with("// SAFETY: ")) {
            found.push(format!("{path}:{}: `unsafe` without a `// SAFETY:` above it", number + 1));
        }
    }
    found
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the sources can be read").path();
        // What a build leaves is not the project's.
        if path.ends_with("target") {
            continue;
        }
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn unsafe_code_stands_only_where_it_is_named_and_says_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "fuzz/fuzz_targets"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 80, "only {} files were read", files.len());
    let mut texts = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        texts.insert(path, fs::read_to_string(&file).expect("a source file can be read"));
    }
    for (place, _) in PLACES {
        assert!(texts.contains_key(*place), "{place} is named and not there");
    }
    let found: Vec<String> = texts.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn planted_unsafe_code_is_caught() {
    let block = ["let x = uns", "afe { y };"].concat();
    assert_eq!(violations("src/data/csv.rs", &block).len(), 2, "not named, no reason");
    let reason = format!("// SAFETY: y is there.\n{block}");
    assert_eq!(violations("src/main.rs", &reason), Vec::<String>::new());
    assert_eq!(violations("src/main.rs", &block).len(), 1, "no reason");
    assert_eq!(violations("src/main.rs", &format!("{reason}\n{reason}")).len(), 1, "one too many");
    let harmless = ["// uns", "afe\nlet text = \"uns", "afe { }\"; // uns", "afe"].concat();
    assert_eq!(violations("src/data/csv.rs", &harmless), Vec::<String>::new());
}
