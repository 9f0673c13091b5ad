//! Regular expressions in Go's syntax, with Go's meaning and Go's error texts.
//!
//! Selectors, `label_replace` and relabelling are written for Go's `regexp` (RE2). The `regex` crate differs in what it
//! accepts (`{` as itself, nested classes, repetition over 1000) and in what it means (`\d`, `\w`, `\b` beyond ASCII). So a
//! pattern is read here as Go reads it ([`parse`]), handed to `regex` in a form about which both agree ([`translate`]), and
//! looked at for what needs no automaton at all ([`literals`]).
//! As Prometheus does, a pattern must match the whole text, and `.` matches line ends too.

mod class;
mod literals;
mod parse;
mod translate;
mod tree;

use regex::Regex;

use crate::MatcherError;

pub(crate) use literals::{Shortcut, prefix, trimmed};
pub(crate) use tree::Node;

/// The longest pattern that is read, bytes.
pub const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Bound on a compiled pattern, bytes: a short text can ask for a huge automaton (`(\pL{30}){30}`).
const AUTOMATON_BYTES_MAX: usize = 4 << 20;

/// A compiled regular expression that is matched against whole texts.
#[derive(Clone, Debug)]
pub struct GoRegex {
    regex: Regex,
    /// Names of the groups; the whole match is group 0.
    names: Vec<Option<String>>,
}

impl GoRegex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, worded as Go words it.
    pub fn new(pattern: &str) -> Result<Self, MatcherError> {
        Self::compile(pattern, &read(pattern)?)
    }

    pub(crate) fn compile(pattern: &str, node: &Node) -> Result<Self, MatcherError> {
        let regex = regex::RegexBuilder::new(&format!(r"\A(?:{})\z", translate::translate(node)))
            .size_limit(AUTOMATON_BYTES_MAX)
            .nest_limit(RUST_NEST_LIMIT)
            .build()
            .map_err(|_| parse::error(parse::TOO_LARGE, pattern))?;
        let mut names = vec![None];
        node.group_names(&mut names);
        Ok(Self { regex, names })
    }

    /// Whether it matches the whole text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// If it matches the whole text, `template` with its `$1`, `$name` and `${name}` filled in from the groups, as Go's
    /// `Regexp.Expand` does it. Groups that do not exist or took no part are empty; `$$` is `$`.
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let groups = self.regex.captures(text)?;
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let Some((name, after)) = group_name(rest) else {
                out.push('$');
                continue;
            };
            rest = after;
            out.push_str(self.group(&groups, name).unwrap_or(""));
        }
        out.push_str(rest);
        Some(out)
    }

    fn group<'t>(&self, groups: &regex::Captures<'t>, name: &str) -> Option<&'t str> {
        if let Some(number) = group_number(name) {
            return groups.get(number).map(|group| group.as_str());
        }
        let named = self.names.iter().enumerate().filter(|(_, other)| other.as_deref() == Some(name));
        // Go lets several groups have one name: the first that took part counts.
        named.filter_map(|(number, _)| groups.get(number)).map(|group| group.as_str()).next()
    }
}

/// Reads a pattern.
pub(crate) fn read(pattern: &str) -> Result<Node, MatcherError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        let head: String = pattern.chars().take(32).collect();
        return Err(parse::error(parse::TOO_LARGE, &format!("{head}...")));
    }
    parse::parse(pattern)
}

/// The name after a `$`, bare or in braces, and what follows it.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{');
    let name_start = inner.unwrap_or(text);
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let end = name_start.find(|character| !is_name(character)).unwrap_or(name_start.len());
    let (name, after) = name_start.split_at(end);
    let after = if inner.is_some() { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

/// A group's number: no leading zeros, and no more digits than make sense.
fn group_number(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    if is_number { name.parse().ok().filter(|number| *number < 1_000_000_000) } else { None }
}

/// Nesting that `regex` may see: each of our levels is a group, an alternation, a sequence and a repetition to it.
const RUST_NEST_LIMIT: u32 = 4 * parse::NESTING_MAX as u32 + 16;

#[cfg(test)]
mod tests;
