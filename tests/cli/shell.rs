//! What shells and `man` get: completions and manual pages name every command and every flag, and are well-formed where
//! the program that reads them is there to say so.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::promised::{commands, flags};
use crate::{Place, Said};

/// Each shell, and the command that checks a script on standard input without running it, where there is one: PowerShell
/// has none, and elvish knows its completer in interactive sessions only.
const SHELLS: [(&str, Option<&[&str]>); 5] = [
    ("bash", Some(&["bash", "-n"])),
    ("zsh", Some(&["zsh", "-n"])),
    ("fish", Some(&["fish", "--no-execute"])),
    ("powershell", None),
    ("elvish", None),
];

/// Pipes text through another program; `None` where that is not there.
fn through(command: &[&str], text: &str) -> Option<Said> {
    let [program, arguments @ ..] = command else { return None };
    let piped = || Stdio::piped();
    let mut child =
        Command::new(program).args(arguments).stdin(piped()).stdout(piped()).stderr(piped()).spawn().ok()?;
    let mut input = child.stdin.take().expect("it is piped");
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    // A program that refuses need not read to the end.
    let _ = writer.join();
    Some(Said::of(&output))
}

/// What a script for a shell lacks: commands, and long flags as `--flag`, or as fish and PowerShell have them.
fn lacks(place: &Place, script: &str) -> Vec<String> {
    let words: std::collections::BTreeSet<&str> =
        script.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c))).collect();
    let mut lacking: Vec<String> =
        commands(place).into_iter().filter(|command| !words.contains(command.as_str())).collect();
    for command in commands(place) {
        let flags = flags(place, &command);
        assert!(flags.len() >= 7, "{command}: {flags:?}");
        let is_there = |flag: &str| words.contains(flag) || script.contains(&format!(" -l {}", &flag[2..]));
        lacking.extend(flags.into_iter().filter(|flag| !is_there(flag)).map(|flag| format!("{command} {flag}")));
    }
    lacking
}

#[test]
fn completions_of_every_shell_name_every_command_and_flag() {
    let place = Place::new("completions");
    for (shell, check) in SHELLS {
        let script = place.good(&format!("completions {shell}")).out;
        assert_eq!(lacks(&place, &script), Vec::<String>::new(), "{shell}");
        if let Some(said) = check.and_then(|check| through(check, &script)) {
            assert_eq!((said.code, said.err.as_str()), (0, ""), "{shell}");
        }
        // What a planted fault looks like: a flag that was left out, and a script that ends in the middle.
        let without = script.replace("--on-device-lost", "").replace(" -l on-device-lost", "");
        assert_eq!(lacks(&place, &without), ["train --on-device-lost"], "{shell}");
    }
    let half = place.good("completions bash").out.replace("\nesac", "").replace(" esac", "");
    if let Some(said) = through(&["bash", "-n"], &half) {
        assert_ne!(said.code, 0, "half a script is none");
    }
}

#[test]
fn an_unknown_shell_is_refused_with_the_list() {
    let said = Place::new("unknown_shell").run("completions tcsh");
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("bash") && said.err.contains("elvish") && said.err.contains("powershell"),
        "{}",
        said.err
    );
}

#[test]
fn every_command_has_a_manual_page_with_examples_and_every_flag() {
    let place = Place::new("man");
    let said = place.good("man pages");
    let names: Vec<String> = commands(&place);
    assert_eq!(said.out, format!("{} pages: pages\n", names.len() + 1));
    assert_eq!(place.names("pages").len(), names.len() + 1);
    let own = place.text("pages/wgrad.1");
    assert_eq!(place.good("man").out, own);
    for name in names {
        assert!(own.contains(&format!("wgrad\\-{}(1)", name.replace('-', "\\-"))), "{name} is not in wgrad.1");
        let page = place.text(&format!("pages/wgrad-{name}.1"));
        assert!(page.contains(".SH EXAMPLES\n.nf\n  wgrad"), "{name}: {page}");
        for flag in flags(&place, &name) {
            assert!(page.contains(&flag.replace('-', "\\-")), "wgrad-{name}.1 lacks {flag}");
        }
        // Renders without a warning where there is a renderer; read as `man` reads it, and without bold or underlines.
        let groff = ["groff", "-Kutf8", "-man", "-Tutf8", "-ww", "-P-cbou"];
        if let Some(said) = through(&groff, &page) {
            assert_eq!((said.code, said.err.as_str()), (0, ""), "{name}");
            assert!(said.out.contains("EXAMPLES\n"), "{}", said.out);
        }
    }
    if let Some(said) = through(&["groff", "-man", "-Tascii", "-ww"], ".TH a 1\n.SH\n.nonsense\n") {
        assert_ne!(said.err, "", "a bad page is noticed");
    }
}

#[test]
fn a_manual_that_cannot_be_written_is_refused() {
    let place = Place::new("no_man");
    place.write("file", "");
    let said = place.run("man file");
    assert_eq!(said.code, 6);
    assert!(said.err.starts_with("error: file: ") && said.err.contains("name another folder"), "{}", said.err);
}

#[test]
fn the_help_of_every_listed_command_begins_with_examples_of_it() {
    let place = Place::new("shell_help");
    for command in commands(&place) {
        let help = place.good(&format!("{command} --help")).out;
        assert!(help.starts_with(&format!("Examples:\n  wgrad {command}")), "{command}: {help}");
        let examples = help.lines().take_while(|line| !line.is_empty());
        examples.for_each(|line| assert!(line.chars().count() <= 80, "{command}: {line}"));
    }
}
