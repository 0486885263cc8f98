//! What a page of the documentation asks its reader to type, and what it says comes back. Knows Markdown's fences and
//! code spans, not what the commands do.
//!
//! - ```` ```console ````: a line `$ COMMAND`, and below it what it prints, loosely (see [`agrees`]).
//! - ```` ```sh ````, or a block without a language that begins with `wgrad`: every line is a command.
//! - a code span that begins with `wgrad` or `cargo` is a command as well; one like `wgrad train` names a command whose
//!   `--help` must be there.
//! - `<!-- exit 3 -->` above a block: its commands end with that code.
//! - `<!-- file run.toml -->` above a block: the block is a file that the reader has.
//! - `<!-- from src/a.rs -->` above a block: the block is a passage of that file.

/// Something on a page that a test can try.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Command(Command),
    /// A file of that name and text.
    File(String, String),
    /// A passage of the file of that path.
    Passage(String, String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Of the page, from 1.
    pub line: usize,
    pub text: String,
    pub code: i32,
    /// What it prints, where the page shows that.
    pub output: Option<Vec<String>>,
}

/// A fenced block.
struct Block<'a> {
    language: &'a str,
    /// The comment above it, without its marks.
    note: Option<&'a str>,
    /// Of its first line within.
    line: usize,
    lines: Vec<&'a str>,
}

/// Everything to try, in the page's order.
pub fn items(page: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut block: Option<Block<'_>> = None;
    let mut note = None;
    for (number, line) in page.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut block, fence) {
            (Some(open), None) => open.lines.push(line),
            (Some(_), Some(_)) => items.extend(block.take().map(|block| of_block(&block)).unwrap_or_default()),
            (None, Some(language)) => {
                let language = language.trim();
                block = Some(Block { language, note: note.take(), line: number + 2, lines: Vec::new() });
            }
            (None, None) => {
                let comment = line.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
                match comment {
                    Some(text) => note = Some(text.trim()),
                    None if !line.trim().is_empty() => note = None,
                    None => {}
                }
                items.extend(
                    spans(line).map(|text| Item::Command(Command { line: number + 1, text, code: 0, output: None })),
                );
            }
        }
    }
    items
}

/// The commands among a line's code spans.
fn spans(line: &str) -> impl Iterator<Item = String> {
    let odd = line.split('`').enumerate().filter(|(i, _)| i % 2 == 1).map(|(_, span)| span);
    odd.filter(|span| span.starts_with("wgrad ") || span.starts_with("cargo ")).map(|span| match span.split_once(' ') {
        Some(("wgrad", name)) if !name.contains(' ') && !name.starts_with('-') => format!("{span} --help"),
        _ => span.to_owned(),
    })
}

fn of_block(block: &Block<'_>) -> Vec<Item> {
    let text = || block.lines.join("\n") + "\n";
    let word = |kind: &str| block.note.and_then(|note| note.strip_prefix(kind)).map(|rest| rest.trim().to_owned());
    if let Some(name) = word("file ") {
        return vec![Item::File(name, text())];
    }
    if let Some(path) = word("from ") {
        return vec![Item::Passage(path, text())];
    }
    let code = word("exit ").and_then(|code| code.parse().ok()).unwrap_or(0);
    let begins = |mark: &str| block.lines.iter().any(|line| line.starts_with(mark));
    let shows_output = block.language == "console" || block.language.is_empty() && begins("$ ");
    let is_script = block.language == "sh" || block.language.is_empty() && begins("wgrad ");
    let numbered = block.lines.iter().enumerate().map(|(i, line)| (block.line + i, *line));
    let mut commands: Vec<Command> = Vec::new();
    for (line, text) in numbered {
        let typed = if shows_output { text.strip_prefix("$ ") } else { Some(text).filter(|_| is_script) };
        match typed.map(without_remark) {
            Some("") => {}
            Some(typed) => {
                let output = shows_output.then(Vec::new);
                commands.push(Command { line, text: typed.to_owned(), code, output });
            }
            None => {
                if let Some(output) = commands.last_mut().and_then(|command| command.output.as_mut()) {
                    output.push(text.to_owned());
                }
            }
        }
    }
    commands.into_iter().map(Item::Command).collect()
}

/// A command without the remark behind it.
fn without_remark(line: &str) -> &str {
    let end = if line.starts_with('#') { 0 } else { line.find("  #").unwrap_or(line.len()) };
    line[..end].trim()
}

/// Whether what was printed is what the page shows: numbers may differ, and white space; `…` stands for anything within
/// a line, and on a line of its own for any lines.
pub fn agrees(shown: &[String], printed: &str) -> Result<(), String> {
    let shown: Vec<String> = shown.iter().map(|line| plain(line)).collect();
    let printed: Vec<String> = printed.lines().map(plain).collect();
    // reached[j]: the lines shown so far can be the first j lines printed.
    let mut reached: Vec<bool> = (0..=printed.len()).map(|j| j == 0).collect();
    for line in &shown {
        let mut next = vec![false; printed.len() + 1];
        for j in 0..=printed.len() {
            if line == "…" {
                next[j] = reached[j] || j > 0 && next[j - 1];
            } else if j > 0 && reached[j - 1] {
                next[j] = fits(line, &printed[j - 1]);
            }
        }
        if !next.contains(&true) {
            return Err(format!("nothing printed is what is shown as `{line}`"));
        }
        reached = next;
    }
    if reached[printed.len()] { Ok(()) } else { Err("more is printed than is shown".to_owned()) }
}

/// A line with each number as `#` and single spaces.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let mut length = digits(rest);
        // 1,234.5 is one number; the comma behind it is none of it.
        while length > 0 && rest[length..].starts_with([',', '.']) && digits(&rest[length + 1..]) > 0 {
            length += 1 + digits(&rest[length + 1..]);
        }
        text.push(if length > 0 { '#' } else { c });
        rest = &rest[if length > 0 { length } else { c.len_utf8() }..];
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fits(pattern: &str, line: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return pattern == line };
    let Some(mut left) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_page_gives_its_commands_files_and_passages_in_order() {
        let page = "Type `wgrad plan digits` (not `plan`) of `wgrad plan`.\n\n<!-- file a.toml -->\n```toml\nseed = 1\n```\n\n<!-- exit 3 -->\n\n\
                    ```console\n$ wgrad train x.csv  # a remark\nerror: …\n```\n```sh\n# a remark\nwgrad devices\n```\n\
                    ```\nwgrad doctor\n```\n```rust\nwgrad no\n```\n<!-- from a.rs -->\n```rust\nlet a;\n```\n";
        let item = |line, text: &str, code, output: Option<&str>| {
            Item::Command(Command { line, text: text.into(), code, output: output.map(lines) })
        };
        let expected = [
            item(1, "wgrad plan digits", 0, None),
            item(1, "wgrad plan --help", 0, None),
            Item::File("a.toml".into(), "seed = 1\n".into()),
            item(11, "wgrad train x.csv", 3, Some("error: …")),
            item(16, "wgrad devices", 0, None),
            item(19, "wgrad doctor", 0, None),
            Item::Passage("a.rs".into(), "let a;\n".into()),
        ];
        assert_eq!(items(page), expected);
    }

    #[test]
    fn numbers_and_ellipses_agree_with_anything_and_words_with_themselves_only() {
        let printed = "epoch  1/50  loss 0.5\nepoch 10/50, loss 1,234.25\ntrained on llvmpipe in 0.2 s\n";
        for good in [
            "epoch 2/3 loss 9\nepoch 3/3, loss 8\ntrained on llvmpipe in 1 s",
            "…\ntrained on … in 7.5 s",
            "…\nepoch …, loss 2\ntrained …",
            "epoch 1/1 loss 1\n…",
            "…",
            "epoch 1/2 loss 1\n…\nepoch 1/2, loss 1\ntrained …",
        ] {
            assert_eq!(agrees(&lines(good), printed), Ok(()), "{good}");
        }
        for bad in [
            "",
            "epoch 1/50 loss 0.5",
            "…\ntrained on lavapipe in 1 s",
            "epoch 1/50 lost 0.5\n…",
            "…\ntrained … in 1 min",
            "epoch 1/50 loss 0.5\nepoch 1/50 loss 0.5\nepoch 1/50 loss 0.5\ntrained …",
        ] {
            assert!(agrees(&lines(bad), printed).is_err(), "{bad}");
        }
    }
}
