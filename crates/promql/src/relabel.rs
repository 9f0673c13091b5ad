//! `label_replace` and `label_join`: they change series, whatever their samples.

use model::{GoRegex, Labels, METRIC_NAME};

use crate::EvalError;
use crate::evaluate::evaluate_vector;
use crate::grid::Grid;
use crate::label_set::LabelGuard;
use crate::plan::VectorPlan;
use crate::row::{Context, Row, Sink};

/// How a label is made from others.
#[derive(Debug)]
pub(crate) enum Relabel {
    Replace { target: String, replacement: String, source: String, pattern: GoRegex },
    Join { target: String, separator: String, sources: Vec<String> },
}

impl Relabel {
    /// `label_replace`; the pattern is anchored at both ends.
    pub(crate) fn replace(target: &str, replacement: &str, source: &str, pattern: &str) -> Result<Self, EvalError> {
        let pattern = GoRegex::new(pattern)
            .map_err(|_| EvalError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
        check_name("destination", "label_replace", target)?;
        Ok(Self::Replace {
            target: target.to_owned(),
            replacement: replacement.to_owned(),
            source: source.to_owned(),
            pattern,
        })
    }

    /// `label_join`.
    pub(crate) fn join(target: &str, separator: &str, sources: &[&str]) -> Result<Self, EvalError> {
        for source in sources {
            check_name("source", "label_join", source)?;
        }
        check_name("destination", "label_join", target)?;
        let sources = sources.iter().map(|source| (*source).to_owned()).collect();
        Ok(Self::Join { target: target.to_owned(), separator: separator.to_owned(), sources })
    }

    pub(crate) fn evaluate(
        self,
        input: VectorPlan,
        grid: Grid,
        context: &mut Context<'_>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let mut guard = LabelGuard::default();
        evaluate_vector(input, grid, context, &mut |context, row| {
            let (labels, drop_name) = match self.of(&row.labels) {
                None => (row.labels, row.drop_name),
                // Whoever sets the name wants to see it.
                Some(labels) => (labels, row.drop_name && self.target() != METRIC_NAME),
            };
            guard.once_a_step(&labels, row.column)?;
            sink(context, Row { labels, drop_name, column: row.column })
        })
    }

    fn target(&self) -> &str {
        match self {
            Self::Replace { target, .. } | Self::Join { target, .. } => target,
        }
    }

    /// The changed labels; `None` when the pattern does not match.
    fn of(&self, labels: &Labels) -> Option<Labels> {
        let value = match self {
            Self::Replace { replacement, source, pattern, .. } => {
                pattern.expand(labels.get(source).unwrap_or(""), replacement)?
            }
            Self::Join { separator, sources, .. } => {
                let values: Vec<&str> = sources.iter().map(|source| labels.get(source).unwrap_or("")).collect();
                values.join(separator)
            }
        };
        let mut builder = labels.to_builder();
        builder.set(self.target(), &value);
        Some(builder.build().expect("`set` leaves no name twice, and the target's name was checked"))
    }
}

/// Any text is a label name, but none at all. The parser puts U+FFFD in the place of bytes that are no text.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::REPLACEMENT_CHARACTER)
}

fn check_name(which: &str, function: &str, name: &str) -> Result<(), EvalError> {
    match !is_label_name(name) {
        true => Err(EvalError::Execution(format!("invalid {which} label name in {function}(): {name}"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn replaces_when_the_whole_value_matches() {
        let series = labels(&[("src", "host-7"), ("other", "x")]);
        let cases = [
            ("new", "$1", "src", "host-(.*)", Some("7")),
            ("new", "n${1}m", "src", "host-(\\d)", Some("n7m")),
            ("new", "$name", "src", "(?P<name>h).*", Some("h")),
            ("new", "fixed", "absent", "", Some("fixed")),
            ("new", "$1", "src", "host", None),
        ];
        for (target, replacement, source, pattern, expected) in cases {
            let relabel = Relabel::replace(target, replacement, source, pattern).unwrap();
            let changed = relabel.of(&series);
            assert_eq!(changed.as_ref().and_then(|labels| labels.get(target)), expected, "{pattern}");
        }
        let emptied = Relabel::replace("other", "", "src", ".*").unwrap().of(&series).unwrap();
        assert_eq!(emptied, labels(&[("src", "host-7")]), "an empty value removes the label");
    }

    #[test]
    fn joins() {
        let relabel = Relabel::join("all", "-", &["a", "b", "c"]).unwrap();
        assert_eq!(relabel.of(&labels(&[("a", "1"), ("c", "3")])).unwrap().get("all"), Some("1--3"));
    }

    #[test]
    fn refuses_bad_patterns_and_names() {
        for error in [
            Relabel::replace("a", "", "b", "(").unwrap_err(),
            Relabel::replace("", "", "b", "").unwrap_err(),
            Relabel::join("a", "", &[""]).unwrap_err(),
        ] {
            assert!(error.to_string().starts_with("invalid "), "{error}");
        }
    }
}
