//! What can be said about a pattern without an automaton: all texts it matches, what they begin with, or a plain search.
//!
//! Most patterns of selectors are such: `a|b|c`, `api-.*`, `.+`. Everything here is about matches of the whole text.

use std::collections::BTreeSet;

use super::PATTERN_BYTES_MAX;
use super::tree::{Assertion, Node};

/// Texts that a set may have when it is multiplied out of parts; one written out as branches may have as many as are written.
const SET_MAX: usize = 256;

/// Branches that are tried one after the other before an automaton is faster.
const BRANCHES_MAX: usize = 16;

/// A pattern's meaning without an automaton.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Shortcut {
    /// Exactly these texts, sorted.
    Set(Vec<String>),
    /// Starts and ends so, with at least `between_min` bytes between.
    Affixes { prefix: String, suffix: String, between_min: usize },
    /// Has this in it somewhere.
    Contains(String),
    /// One of these.
    AnyOf(Vec<Shortcut>),
}

impl Shortcut {
    /// Of a pattern that went through [`trimmed`].
    pub(crate) fn of(node: &Node) -> Option<Self> {
        if let Some(texts) = set(node) {
            return Some(Self::Set(texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect()));
        }
        match node {
            Node::Alternate(branches) if branches.len() <= BRANCHES_MAX => {
                branches.iter().map(Self::of).collect::<Option<Vec<_>>>().map(Self::AnyOf)
            }
            Node::Alternate(_) => None,
            _ => Self::of_pieces(&pieces(node)?),
        }
    }

    fn of_pieces(pieces: &[Piece]) -> Option<Self> {
        use Piece::{Anything, Text};
        let (prefix, between_min, suffix) = match pieces {
            [Anything(0), Text(inner), Anything(0)] => return Some(Self::Contains(inner.clone())),
            [Anything(min)] => ("", *min, ""),
            [Text(prefix), Anything(min)] => (prefix.as_str(), *min, ""),
            [Anything(min), Text(suffix)] => ("", *min, suffix.as_str()),
            [Text(prefix), Anything(min), Text(suffix)] => (prefix.as_str(), *min, suffix.as_str()),
            _ => return None,
        };
        Some(Self::Affixes { prefix: prefix.to_owned(), suffix: suffix.to_owned(), between_min })
    }

    /// Whether it matches every text.
    pub(crate) fn is_all(&self) -> bool {
        match self {
            Self::Set(_) => false,
            Self::Affixes { prefix, suffix, between_min } => {
                prefix.is_empty() && suffix.is_empty() && *between_min == 0
            }
            Self::Contains(inner) => inner.is_empty(),
            Self::AnyOf(branches) => branches.iter().any(Self::is_all),
        }
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Set(texts) => match texts.as_slice() {
                [only] => only == text,
                texts => texts.binary_search_by(|other| other.as_str().cmp(text)).is_ok(),
            },
            Self::Affixes { prefix, suffix, between_min } => {
                text.len() >= prefix.len() + suffix.len() + between_min
                    && text.starts_with(prefix.as_str())
                    && text.ends_with(suffix.as_str())
            }
            Self::Contains(inner) => text.contains(inner.as_str()),
            Self::AnyOf(branches) => branches.iter().any(|branch| branch.is_match(text)),
        }
    }
}

/// The pattern without captures and without `^` and `$` where they are true anyway.
pub(crate) fn trimmed(node: Node) -> Node {
    match node {
        Node::Group(_, inner) => trimmed(*inner),
        Node::Assertion(Assertion::TextStart | Assertion::TextEnd) => Node::Empty,
        Node::Alternate(branches) => Node::Alternate(branches.into_iter().map(trimmed).collect()),
        Node::Concat(mut parts) => {
            let starts = parts.iter().take_while(|part| is_assertion(part, Assertion::TextStart)).count();
            parts.drain(..starts);
            while parts.last().is_some_and(|last| is_assertion(last, Assertion::TextEnd)) {
                parts.pop();
            }
            Node::Concat(parts)
        }
        other => other,
    }
}

fn is_assertion(node: &Node, wanted: Assertion) -> bool {
    matches!(node, Node::Assertion(assertion) if *assertion == wanted)
}

/// What every match begins with; may be empty.
pub(crate) fn prefix(node: &Node) -> String {
    let mut out = String::new();
    append_prefix(node, &mut out);
    out
}

/// Appends what every match of the node begins with; answers whether it is all that the node matches.
fn append_prefix(node: &Node, out: &mut String) -> bool {
    match node {
        // An assertion takes no text away from what is before or after it.
        Node::Empty | Node::Assertion(_) => true,
        Node::Literal(character) => {
            out.push(*character);
            true
        }
        Node::Group(_, inner) => append_prefix(inner, out),
        Node::Repeat(inner, repetition) if repetition.min >= 1 => {
            append_prefix(inner, out) && (repetition.min, repetition.max) == (1, Some(1))
        }
        Node::Concat(parts) => parts.iter().all(|part| append_prefix(part, out)),
        Node::Alternate(branches) => append_common_prefix(branches, out),
        _ => false,
    }
}

fn append_common_prefix(branches: &[Node], out: &mut String) -> bool {
    let mut common: Option<String> = None;
    for branch in branches {
        let mut other = prefix(branch);
        if let Some(common) = common {
            let length = common.chars().zip(other.chars()).take_while(|(left, right)| left == right);
            other.truncate(length.map(|(character, _)| character.len_utf8()).sum());
        }
        if other.is_empty() {
            return false;
        }
        common = Some(other);
    }
    out.push_str(&common.unwrap_or_default());
    false
}

/// All texts that the node matches, when they are few.
fn set(node: &Node) -> Option<Vec<String>> {
    match node {
        Node::Empty => Some(vec![String::new()]),
        Node::Literal(character) => Some(vec![character.to_string()]),
        Node::Class(class) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            let characters = || class.iter().flat_map(|range| range.start()..=range.end());
            (count <= SET_MAX).then(|| characters().map(String::from).collect())
        }
        Node::Group(_, inner) => set(inner),
        Node::Repeat(inner, repetition) if (repetition.min, repetition.max) == (0, Some(1)) => {
            let mut texts = set(inner)?;
            texts.push(String::new());
            Some(texts)
        }
        Node::Concat(parts) => product(parts),
        Node::Alternate(branches) => {
            let mut texts = Vec::new();
            for branch in branches {
                texts.append(&mut set(branch)?);
                if texts.len() > SET_MAX.max(branches.len()) {
                    return None;
                }
            }
            Some(texts)
        }
        _ => None,
    }
}

/// Every text of the first part, followed by every text of the next, and so on.
fn product(parts: &[Node]) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    let mut bytes = 0;
    for part in parts {
        if let Node::Literal(character) = part {
            bytes += texts.len() * character.len_utf8();
            if bytes > PATTERN_BYTES_MAX {
                return None;
            }
            texts.iter_mut().for_each(|text| text.push(*character));
            continue;
        }
        let next = set(part)?;
        let next_bytes: usize = next.iter().map(String::len).sum();
        let is_growing = texts.len() > 1 && next.len() > 1;
        bytes = bytes * next.len() + next_bytes * texts.len();
        if bytes > PATTERN_BYTES_MAX || (is_growing && texts.len() * next.len() > SET_MAX) {
            return None;
        }
        texts = texts.iter().flat_map(|text| next.iter().map(move |next| format!("{text}{next}"))).collect();
    }
    Some(texts)
}

/// A stretch of a pattern that is plain text, or anything of at least so many characters.
#[derive(Debug)]
enum Piece {
    Text(String),
    Anything(usize),
}

/// A sequence of literals, `.*` and `.+`; nothing if there is anything else in it.
fn pieces(node: &Node) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    append_pieces(node, &mut pieces)?;
    Some(pieces)
}

fn append_pieces(node: &Node, pieces: &mut Vec<Piece>) -> Option<()> {
    match node {
        Node::Empty => {}
        Node::Literal(character) => match pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(*character),
            _ => pieces.push(Piece::Text(character.to_string())),
        },
        Node::Group(_, inner) => append_pieces(inner, pieces)?,
        Node::Concat(parts) => parts.iter().try_for_each(|part| append_pieces(part, pieces))?,
        Node::Repeat(inner, repetition) if matches!(**inner, Node::AnyChar) && repetition.max.is_none() => {
            // More than one character is no fixed number of bytes.
            let min = usize::try_from(repetition.min).ok().filter(|min| *min <= 1)?;
            match (pieces.last_mut(), min) {
                (Some(Piece::Anything(_)), 0) => {}
                (Some(Piece::Anything(before @ 0)), 1) => *before = 1,
                (Some(Piece::Anything(_)), _) => return None,
                _ => pieces.push(Piece::Anything(min)),
            }
        }
        _ => return None,
    }
    Some(())
}
