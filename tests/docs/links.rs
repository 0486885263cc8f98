//! Links between pages: the file must be there, and the heading that an anchor names.

use std::path::Path;

/// Every link of a page that leads nowhere; `path` is the page's own.
pub fn broken(path: &Path, page: &str) -> Vec<String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut broken = Vec::new();
    for target in targets(page) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
        let place = if file.is_empty() { path.to_owned() } else { folder.join(file) };
        if !place.exists() {
            broken.push(format!("{}: there is no {target}", path.display()));
            continue;
        }
        let Some(anchor) = anchor else { continue };
        let text = if file.is_empty() { page.to_owned() } else { std::fs::read_to_string(&place).unwrap_or_default() };
        if !outside_code(&text).any(|line| line.starts_with('#') && slug(line) == anchor) {
            broken.push(format!("{}: no heading for {target}", path.display()));
        }
    }
    broken
}

/// What the page's links lead to.
pub fn targets(page: &str) -> Vec<&str> {
    outside_code(page)
        .flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target)))
        .collect()
}

fn outside_code(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The anchor that GitHub gives to a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_planted_link_to_nothing_is_found() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = "# A `wgrad` page!\n[a](docs/none.md) [b](#a-wgrad-page) [c](#b) [d](docs/verification.md#none) [e](LICENSE-MIT)\n\
                ```\n[f](none)\n```\n[g](https://example.org/none)\n";
    let found = broken(&path, page);
    assert_eq!(found.len(), 3, "{found:?}");
    for (found, target) in found.iter().zip(["docs/none.md", "#b", "docs/verification.md#none"]) {
        assert!(found.ends_with(target), "{found}");
    }
}
