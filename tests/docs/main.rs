//! The documentation tried as its reader would: every command of README.md, docs/ and examples/README.md is typed in a
//! folder with small data, its exit code and what it prints are compared, links lead somewhere. See [`blocks`] for how
//! pages mark what is to be typed. Needs a Unix shell.
#![cfg(unix)]

#[path = "../support/files.rs"]
mod files;
#[path = "../support/place.rs"]
#[allow(dead_code, reason = "each test uses some of it")]
mod place;

mod blocks;
mod links;
mod scene;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use blocks::Item;
use place::{Place, Said};

/// What the pages ask to type and this test does not, each with the reason.
const NOT_TYPED: &[(&str, &str)] = &[
    ("cargo run --release", "the tour: what it prints depends on the devices; tests/cli holds what it says"),
    ("cargo install --path .", "builds the program a second time; tried by hand and in the release workflow"),
    ("bash tests/run.sh", "runs this test"),
    ("cargo metadata", "no command of its own there: tests/supply_chain.rs reads what it says"),
    ("cargo deny check", "needs cargo-deny; tests/run.sh runs it where that is installed, and CI does"),
    ("cargo run --release --example quickstart", "tests/library.rs runs every example as a module"),
    ("cargo run --release --example csv [TABLE TARGET]", "tests/library.rs runs every example as a module"),
    ("cargo run --release --example images [FOLDER]", "tests/library.rs runs every example as a module"),
    ("cargo run --release --example early_stopping", "tests/library.rs runs every example as a module"),
    ("cargo run --release --example custom_activation", "tests/library.rs runs every example as a module"),
    ("cargo doc --open", "opens a browser; tests/run.sh builds the documentation"),
];

/// What may be typed: a page that asks for anything else must be listed above.
const PROGRAMS: [&str; 3] = ["wgrad", "cat", "mkdir"];

/// What is said where there is no adapter.
const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 adapter was found";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages, by their paths below the root.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("examples/README.md")];
    for entry in std::fs::read_dir(root().join("docs")).expect("docs is there") {
        let name = entry.expect("it can be read").file_name();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            pages.push(Path::new("docs").join(name));
        }
    }
    pages.sort();
    pages
}

fn text(page: &Path) -> String {
    std::fs::read_to_string(root().join(page)).expect("a page can be read")
}

/// What is wrong with a page's items, and how many commands were typed.
fn try_page(name: &str, page: &str) -> (Vec<String>, usize) {
    let place = scene::set(&name.replace(['/', '.'], "_"));
    let (mut wrong, mut typed) = (Vec::new(), 0);
    for item in blocks::items(page) {
        match item {
            Item::File(file, text) => place.write(&file, text),
            Item::Passage(file, passage) => wrong.extend(misquoted(name, &file, &passage)),
            Item::Command(command) if NOT_TYPED.iter().any(|(text, _)| *text == command.text) => {}
            Item::Command(command) if command.text.starts_with("cargo test ") => {
                wrong.extend(no_such_test(name, &command.text));
            }
            Item::Command(command) if !PROGRAMS.iter().any(|name| command.text.split(' ').next() == Some(*name)) => {
                wrong.push(format!("{name}:{}: {}: neither typed nor listed", command.line, command.text));
            }
            Item::Command(command) => {
                typed += 1;
                if let Err(why) = try_command(&place, &command) {
                    wrong.push(format!("{name}:{}: {}: {why}", command.line, command.text));
                }
            }
        }
    }
    (wrong, typed)
}

fn try_command(place: &Place, command: &blocks::Command) -> Result<(), String> {
    let said = type_in(place, &command.text);
    let needs_adapter = ["--device gpu", "--device cpu,gpu"].iter().any(|flag| command.text.contains(flag));
    if needs_adapter && said.code == 5 && !is_required("WGRAD_REQUIRE_GPU") && said.out.contains(NO_ADAPTER) {
        return Ok(());
    }
    if said.code != command.code {
        return Err(format!("exit code {} instead of {}\n{}", said.code, command.code, said.out));
    }
    let Some(shown) = &command.output else { return Ok(()) };
    blocks::agrees(shown, &said.out).map_err(|why| format!("{why}\n{}", said.out))
}

fn is_required(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "1")
}

/// A line typed in a shell in that folder, which is its home too; what it prints on either stream is `out`.
fn type_in(place: &Place, line: &str) -> Said {
    let binaries = Path::new(env!("CARGO_BIN_EXE_wgrad")).parent().expect("it is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1\n{line}")]).current_dir(place.path("")).env_clear();
    // Where drivers and libraries are.
    shell
        .envs(std::env::vars().filter(|(name, _)| ["VK_", "LD_", "DYLD_"].iter().any(|start| name.starts_with(start))));
    shell.env("PATH", format!("{}:{path}", binaries.display())).env("WGRAD_DEVICE", "cpu");
    shell.env("HOME", place.path("")).env("XDG_RUNTIME_DIR", place.path(""));
    Said::of(&shell.output().expect("a shell starts"))
}

/// A passage must stand in the file that it is said to be from.
fn misquoted(name: &str, file: &str, passage: &str) -> Option<String> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    // What is left out is marked.
    let parts: Vec<String> = passage.split("…").map(words).filter(|part| !part.is_empty()).collect();
    let missing = parts.iter().find(|part| !words(&source).contains(part.as_str()));
    missing.map(|part| format!("{name}: {file} does not hold: {part}"))
}

/// The target that `cargo test --test NAME` names must be there: running it here would build everything again.
fn no_such_test(name: &str, command: &str) -> Option<String> {
    let target = command.split_once("--test ").and_then(|(_, rest)| rest.split_whitespace().next())?;
    let tests = root().join("tests");
    let is_there = tests.join(format!("{target}.rs")).exists() || tests.join(target).join("main.rs").exists();
    (!is_there).then(|| format!("{name}: {command}: there is no such test"))
}

#[test]
fn every_command_of_every_page_does_what_the_page_says() {
    let (wrong, typed) = (Mutex::new(Vec::new()), Mutex::new(0));
    let left = Mutex::new(pages());
    // A page's commands follow each other; pages are independent.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(page) = left.lock().unwrap().pop() else { break };
                    let (found, count) = try_page(&page.to_string_lossy(), &text(&page));
                    wrong.lock().unwrap().extend(found);
                    *typed.lock().unwrap() += count;
                }
            });
        }
    });
    let (wrong, typed) = (wrong.into_inner().unwrap(), typed.into_inner().unwrap());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    assert!(typed >= 60, "only {typed} commands were typed");
}

#[test]
fn what_is_not_typed_stands_on_a_page() {
    let commands: Vec<String> = pages()
        .iter()
        .flat_map(|page| blocks::items(&text(page)))
        .filter_map(|item| if let Item::Command(command) = item { Some(command.text) } else { None })
        .collect();
    for (listed, _) in NOT_TYPED {
        assert!(commands.iter().any(|command| command == listed), "{listed} is on no page");
    }
}

#[test]
fn every_block_that_begins_as_a_command_is_read_as_one() {
    for page in pages() {
        let text = text(&page);
        let commands = blocks::items(&text).iter().filter(|item| matches!(item, Item::Command(_))).count();
        let lines = text.lines().filter(|line| line.starts_with("wgrad ") || line.starts_with("$ ")).count();
        assert!(commands >= lines, "{}: {commands} of {lines}", page.display());
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = text(&page);
        count += links::targets(&text).len();
        let broken = links::broken(&root().join(&page), &text);
        assert!(broken.is_empty(), "{broken:#?}");
    }
    assert!(count >= 20, "only {count} links");
}

#[test]
fn planted_mistakes_of_a_page_are_found() {
    for (number, (page, word)) in [
        ("```sh\nwgrad train houses.csv --targt price\n```\n", "exit code 2"),
        ("Type `wgrad trian digits`.\n", "exit code 2"),
        ("See `wgrad trian`.\n", "exit code 2"),
        ("<!-- exit 3 -->\n```sh\nwgrad plan digits\n```\n", "exit code 0 instead of 3"),
        ("```console\n$ wgrad plan digits\n…\n17,226 parameters, rows of 64 batches, …\n…\n```\n", "is what is shown"),
        (
            "<!-- file a.toml -->\n```toml\nseeed = 1\n```\n```sh\nwgrad plan digits --config a.toml\n```\n",
            "exit code 3",
        ),
        ("<!-- from src/main.rs -->\n```rust\nfn main() -> u8 {\n```\n", "does not hold"),
        ("Type `cargo test --release --test none`.\n", "no such test"),
        ("```sh\nfalse\n```\n", "neither typed nor listed"),
    ]
    .into_iter()
    .enumerate()
    {
        let (wrong, _) = try_page(&format!("planted{number}"), page);
        assert!(matches!(&wrong[..], [one] if one.contains(word)), "{page}: {wrong:?}");
    }
    let (wrong, typed) = try_page("sound", "```console\n$ wgrad plan digits\n…\n1 parameters, …\n…\n```\n");
    assert_eq!((wrong, typed), (Vec::new(), 1));
}
