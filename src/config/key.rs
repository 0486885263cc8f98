//! The name of one place in a run file: `train.epochs`, `model.layers[0].units`. Knows only how such names are
//! written and read, not which of them exist.

use std::fmt;

/// Deeper keys exist nowhere, and would be walked to by recursion.
const MOST_STEPS: usize = 32;

/// One step into a table or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The steps from the top of the run file to a value; empty for the run file itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub Vec<Step>);

impl Key {
    pub fn key(&self, key: &str) -> Key {
        self.step(Step::Key(key.into()))
    }

    pub fn index(&self, index: usize) -> Key {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Key {
        let mut steps = self.0.clone();
        steps.push(step);
        Key(steps)
    }

    /// The first `length` steps.
    pub fn prefix(&self, length: usize) -> Key {
        Key(self.0[..length].to_vec())
    }

    /// Whether one of the two lies within the other.
    pub fn overlaps(&self, other: &Key) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }

    /// Reads `model.layers[0].units`, `model.layers.0.units` or `search."optimizer.learning_rate"`.
    /// `None` for anything else, such as an empty name or more steps than any key has.
    pub fn parse(text: &str) -> Option<Key> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        loop {
            if steps.len() > MOST_STEPS {
                return None;
            }
            let (step, after) = name(rest)?;
            steps.push(step);
            rest = after;
            while let Some(inside) = rest.strip_prefix('[') {
                let (index, after) = inside.split_once(']')?;
                if steps.len() > MOST_STEPS {
                    return None;
                }
                steps.push(Step::Index(index.trim().parse().ok()?));
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return Some(Key(steps)),
                None => return None,
            }
        }
    }
}

/// The step at the start of `text`, and what follows it.
fn name(text: &str) -> Option<(Step, &str)> {
    if let Some(quote @ ('"' | '\'')) = text.chars().next() {
        let (name, after) = text[1..].split_once(quote)?;
        return Some((Step::Key(name.into()), after));
    }
    let (name, after) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || "]\"'".contains(c));
    is_name.then(|| match name.parse() {
        Ok(index) => (Step::Index(index), after),
        Err(_) => (Step::Key(name.into()), after),
    })
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    f.write_str(if i == 0 { "" } else { "." })?;
                    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
                    if bare { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_either_spelling_of_an_index_and_written_in_one() {
        for text in ["model.layers[2].units", "model.layers.2.units", " model.layers[ 2 ].units "] {
            assert_eq!(Key::parse(text).map(|key| key.to_string()).as_deref(), Some("model.layers[2].units"), "{text}");
        }
        let quoted = Key::parse("search.\"optimizer.learning_rate\"").expect("a quoted name is a name");
        assert_eq!(quoted.0.len(), 2);
        assert_eq!(quoted.to_string(), "search.\"optimizer.learning_rate\"");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "a]", "[0]", "a b", "a[0]b", "\"a", "é\""] {
            assert_eq!(Key::parse(text), None, "{text:?}");
        }
    }
}
