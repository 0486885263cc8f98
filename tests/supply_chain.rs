//! What comes into the build, held to deny.toml without network: licences, sources, bans, two versions of one crate,
//! and the oldest compiler that every dependency takes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The facts of deny.toml that are looked at here.
struct Rules {
    licences: Vec<String>,
    registries: Vec<String>,
    banned: Vec<String>,
    twice: Vec<String>,
    rust: Vec<u64>,
}

/// One package of the build.
#[derive(Debug, Clone)]
struct Package {
    name: String,
    licence: Option<String>,
    /// None for wgrad itself.
    source: Option<String>,
    rust: Option<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> toml::Table {
    let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A list of names, or of tables with a name.
fn names(list: &toml::Value) -> Vec<String> {
    let name = |value: &toml::Value| value.as_str().or_else(|| value.get("name")?.as_str()).map(str::to_owned);
    list.as_array().expect("a list").iter().map(|value| name(value).expect("a name")).collect()
}

fn rules() -> Rules {
    let (deny, cargo) = (read("deny.toml"), read("Cargo.toml"));
    for (section, key) in [("bans", "multiple-versions"), ("sources", "unknown-registry"), ("sources", "unknown-git")] {
        assert_eq!(deny[section][key].as_str(), Some("deny"), "{section}.{key}");
    }
    assert!(names(&deny["sources"]["allow-git"]).is_empty());
    Rules {
        licences: names(&deny["licenses"]["allow"]),
        registries: names(&deny["sources"]["allow-registry"]),
        banned: names(&deny["bans"]["deny"]),
        twice: names(&deny["bans"]["skip"]),
        rust: version(cargo["package"]["rust-version"].as_str().expect("a version")),
    }
}

fn version(text: &str) -> Vec<u64> {
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().expect("a number")).collect();
    parts.resize(3, 0);
    parts
}

/// All packages of the lock file; without network those of this platform, which had to be there to build this.
fn packages() -> Vec<Package> {
    let cargo = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["metadata", "--format-version", "1", "--locked"]).args(flags).current_dir(root());
        command.output().expect("cargo starts")
    };
    let host = || {
        let output = Command::new("rustc").arg("-vV").output().expect("rustc starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned)).expect("rustc names its host")
    };
    let mut output = cargo(&["--offline"]);
    if !output.status.success() {
        output = cargo(&["--offline", "--filter-platform", &host()]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let package = |value: &Value| Package {
        name: text(&value["name"]).expect("a name"),
        licence: text(&value["license"]),
        source: text(&value["source"]),
        rust: text(&value["rust_version"]),
    };
    metadata["packages"].as_array().expect("a list").iter().map(package).collect()
}

/// Whether an SPDX expression can be met by allowed licences alone. Older ones write `/` for OR.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, allowed);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed);
    }
    met
}

fn all(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = licence(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= licence(words, at, allowed);
    }
    met
}

fn licence(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += usize::from(closed);
        return met && closed;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name += &format!(" WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&name)
}

/// Everything about the packages that the rules forbid, as sentences.
fn violations(packages: &[Package], rules: &Rules) -> Vec<String> {
    let mut found = Vec::new();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in packages {
        let name = &package.name;
        *versions.entry(name).or_default() += 1;
        match &package.licence {
            None => found.push(format!("{name} names no licence")),
            Some(licence) if !is_allowed(licence, &rules.licences) => found.push(format!("{name} is under {licence}")),
            Some(_) => {}
        }
        if let Some(source) = &package.source
            && !rules.registries.iter().any(|registry| *source == format!("registry+{registry}"))
        {
            found.push(format!("{name} comes from {source}"));
        }
        if rules.banned.contains(name) {
            found.push(format!("{name} is banned"));
        }
        if package.rust.as_deref().is_some_and(|rust| version(rust) > rules.rust) {
            found.push(format!("{name} needs Rust {}", package.rust.as_deref().unwrap_or_default()));
        }
    }
    let twice = versions.iter().filter(|(name, count)| **count > 1 && !rules.twice.iter().any(|skip| skip == *name));
    found.extend(twice.map(|(name, count)| format!("{name} is there in {count} versions")));
    found
}

#[test]
fn every_dependency_keeps_the_rules_of_deny_toml() {
    let packages = packages();
    assert!(packages.len() > 50, "only {} packages", packages.len());
    let found = violations(&packages, &rules());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The lock file knows the packages of every platform, whatever was downloaded.
#[test]
fn the_lock_file_names_allowed_sources_and_a_checksum_for_each() {
    let (lock, rules) = (read("Cargo.lock"), rules());
    let packages = lock["package"].as_array().expect("a list");
    assert!(packages.len() > 50, "only {} packages", packages.len());
    for package in packages {
        let (name, source) = (&package["name"], package.get("source").and_then(toml::Value::as_str));
        match source {
            None => assert_eq!(name.as_str(), Some("wgrad"), "{package}"),
            Some(source) => {
                let allowed = rules.registries.iter().any(|registry| source == format!("registry+{registry}"));
                assert!(allowed, "{package}");
                assert!(package.get("checksum").is_some_and(toml::Value::is_str), "{package}");
            }
        }
    }
}

#[test]
fn planted_packages_are_caught() {
    let rules = rules();
    let good = Package {
        name: "good".into(),
        licence: Some("MIT OR Apache-2.0".into()),
        source: Some("registry+https://github.com/rust-lang/crates.io-index".into()),
        rust: Some("1.60".into()),
    };
    assert_eq!(violations(std::slice::from_ref(&good), &rules), Vec::<String>::new());
    let bad = [
        Package { licence: Some("GPL-3.0-only".into()), ..good.clone() },
        Package { licence: None, ..good.clone() },
        Package { source: Some("git+https://example.org/x".into()), ..good.clone() },
        Package { rust: Some("1.999".into()), ..good.clone() },
        Package { name: "openssl-sys".into(), ..good.clone() },
    ];
    for package in bad {
        assert_eq!(violations(std::slice::from_ref(&package), &rules).len(), 1, "{package:?}");
    }
    assert_eq!(violations(&[good.clone(), good], &rules), ["good is there in 2 versions"]);
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"].map(str::to_owned);
    for good in
        ["MIT", "GPL-2.0 OR MIT", "MIT/GPL-2.0", "(MIT OR GPL-2.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-2.0", "MIT AND GPL-2.0", "Apache-2.0", "(MIT", "MIT MIT", "MIT AND (GPL-2.0 OR LGPL-2.1)"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
