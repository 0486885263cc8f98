//! Every way in which wgrad can fail, sorted by who can mend it. Knows nothing of the rest.

use std::fmt;

/// A sentence about what went wrong: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `file`, `file:line:column`, a flag or a device: whatever a person can look up.
    pub place: Option<String>,
    /// One clear sentence without its full stop.
    pub problem: String,
    /// What to type or change next.
    pub remedy: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.problem)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

/// One variant for each remedy, each with an exit code of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A defect of wgrad itself: please report it. Exit code 1.
    #[error("{0}")]
    Internal(Fault),
    /// A bad flag or flag value, `--set` included. Exit code 2.
    #[error("{0}")]
    Usage(Fault),
    /// A data or run file that is absent or bad. Exit code 3.
    #[error("{0}")]
    Data(Fault),
    /// Training met NaN or infinity. Exit code 4.
    #[error("{0}")]
    Diverged(Fault),
    /// No device, an unknown one, a lost one, or too little memory on it. Exit code 5.
    #[error("{0}")]
    Device(Fault),
    /// The output folder, or a weights, model or checkpoint file. Exit code 6.
    #[error("{0}")]
    Output(Fault),
    /// A device computed something else than the reference. Exit code 7.
    #[error("{0}")]
    Verification(Fault),
}

/// A result whose error is an [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($name:ident $variant:ident),*) => {
        $(#[doc = concat!("An [`Error::", stringify!($variant), "`] with neither place nor remedy yet.")]
        pub fn $name(problem: impl Into<String>) -> Self {
            Error::$variant(Fault { place: None, problem: problem.into(), remedy: None })
        })*
        fn fault_mut(&mut self) -> &mut Fault {
            match self { $(Error::$variant(fault) => fault),* }
        }
        /// The sentence, its place and its remedy.
        pub fn fault(&self) -> &Fault {
            match self { $(Error::$variant(fault) => fault),* }
        }
    };
}

impl Error {
    constructors!(internal Internal, usage Usage, data Data, diverged Diverged, device Device, output Output, verification Verification);

    /// Says where: `file:line:column`, a flag, a device.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.fault_mut().place = Some(place.to_string());
        self
    }

    /// Says what to do next.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.fault_mut().remedy = Some(remedy.into());
        self
    }

    /// The process exit code that interface promises for this kind of failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Internal(_) => 1,
            Error::Usage(_) => 2,
            Error::Data(_) => 3,
            Error::Diverged(_) => 4,
            Error::Device(_) => 5,
            Error::Output(_) => 6,
            Error::Verification(_) => 7,
        }
    }
}

/// The candidate nearest to `wrong` by edit distance, if it is near enough to be a slip of the finger.
pub fn suggestion<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&wrong.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(wrong.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_one_sentence_with_place_and_remedy() {
        let error = Error::data("row 3 has 4 fields, the header has 5").at("a.csv:4:1").remedy("add the missing field");
        assert_eq!(error.to_string(), "a.csv:4:1: row 3 has 4 fields, the header has 5; add the missing field");
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let kinds = [
            Error::internal("").exit_code(),
            Error::usage("").exit_code(),
            Error::data("").exit_code(),
            Error::diverged("").exit_code(),
            Error::device("").exit_code(),
            Error::output("").exit_code(),
            Error::verification("").exit_code(),
        ];
        assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn suggestions_are_near_misses_only() {
        let names = ["relu", "tanh", "sigmoid"];
        assert_eq!(suggestion("rellu", names), Some("relu"));
        assert_eq!(suggestion("sigmiod", names), Some("sigmoid"));
        assert_eq!(suggestion("banana", names), None);
    }
}
