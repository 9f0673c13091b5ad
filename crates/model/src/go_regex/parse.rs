//! Reads a pattern as Go's `regexp/syntax` does with the flags `Perl | DotNL`: same language, same errors.
//!
//! Groups are kept on a stack of our own, not on the thread's: how deep they nest is bounded by [`NESTING_MAX`].

use regex_syntax::hir::ClassUnicode;

use super::class::{folded_range, perl_class, posix_class, unicode_class};
use super::tree::{Assertion, Node, Repetition};
use crate::MatcherError;

/// How deep groups may nest. Go allows 1000; nobody writes as many.
pub(super) const NESTING_MAX: usize = 250;

/// The largest count of a repetition, and the most copies that repetitions inside each other may make.
const REPEAT_MAX: u32 = 1000;

const INVALID_ESCAPE: &str = "invalid escape sequence";
const INVALID_NAMED_CAPTURE: &str = "invalid named capture";
const INVALID_PERL_OP: &str = "invalid or unsupported Perl syntax";
const INVALID_RANGE: &str = "invalid character class range";
const INVALID_REPEAT_OP: &str = "invalid nested repetition operator";
const INVALID_REPEAT_SIZE: &str = "invalid repeat count";
const MISSING_BRACKET: &str = "missing closing ]";
const MISSING_PAREN: &str = "missing closing )";
const MISSING_REPEAT_ARGUMENT: &str = "missing argument to repetition operator";
const NESTS_TOO_DEEPLY: &str = "expression nests too deeply";
pub(super) const TOO_LARGE: &str = "expression too large";
const TRAILING_BACKSLASH: &str = "trailing backslash at end of expression";
const UNEXPECTED_PAREN: &str = "unexpected )";

pub(super) fn error(what: &str, part: &str) -> MatcherError {
    MatcherError { message: format!("{what}: `{part}`") }
}

type Parsed<T> = Result<T, MatcherError>;

pub(super) fn parse(pattern: &str) -> Parsed<Node> {
    let mut parser = Parser { pattern, rest: pattern, flags: Flags::default(), groups: vec![OpenGroup::default()] };
    // Where the repetition before the current place starts: no other may follow it directly.
    let mut last_repetition = None;
    while !parser.rest.is_empty() {
        last_repetition = parser.step(last_repetition)?;
    }
    let whole = parser.groups.pop().expect("the outermost group is never closed");
    if parser.groups.is_empty() { Ok(whole.close()) } else { Err(error(MISSING_PAREN, pattern)) }
}

#[derive(Clone, Copy)]
struct Flags {
    /// `i`
    any_case: bool,
    /// `m`: `^` and `$` match at lines' ends too.
    multi_line: bool,
    /// `s`
    dot_matches_newline: bool,
    /// `U`: repetitions are lazy unless `?` follows.
    swap_lazy: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { any_case: false, multi_line: false, dot_matches_newline: true, swap_lazy: false }
    }
}

/// A group that has not been closed yet.
#[derive(Default)]
struct OpenGroup {
    /// Flags to go back to after it.
    flags_outside: Flags,
    /// For a group that captures: its name, if it has one.
    capture: Option<Option<String>>,
    /// The branches before the last `|`.
    branches: Vec<Node>,
    /// The branch that is being read.
    parts: Vec<Node>,
}

impl OpenGroup {
    fn next_branch(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        self.branches.push(sequence(parts));
    }

    fn close(mut self) -> Node {
        self.next_branch();
        let node = if self.branches.len() > 1 { Node::Alternate(self.branches) } else { self.branches.remove(0) };
        match self.capture {
            Some(name) => Node::Group(name, Box::new(node)),
            None => node,
        }
    }
}

fn sequence(mut parts: Vec<Node>) -> Node {
    match parts.len() {
        0 => Node::Empty,
        1 => parts.remove(0),
        _ => Node::Concat(parts),
    }
}

struct Parser<'p> {
    pattern: &'p str,
    rest: &'p str,
    flags: Flags,
    /// The groups around the current place, the whole pattern first.
    groups: Vec<OpenGroup>,
}

impl<'p> Parser<'p> {
    /// Reads one item; for a repetition answers where it starts.
    fn step(&mut self, last_repetition: Option<&'p str>) -> Parsed<Option<&'p str>> {
        let before = self.rest;
        match self.peek().expect("a step is made only before the end") {
            '(' if before.starts_with("(?") => self.flags_or_group()?,
            '(' => {
                self.rest = &before[1..];
                self.open(Some(None), self.flags)?;
            }
            '|' => {
                self.rest = &before[1..];
                self.group().next_branch();
            }
            ')' => self.close()?,
            '^' => self.assertion(if self.flags.multi_line { Assertion::LineStart } else { Assertion::TextStart }, 1),
            '$' => self.assertion(if self.flags.multi_line { Assertion::LineEnd } else { Assertion::TextEnd }, 1),
            '.' => {
                self.rest = &before[1..];
                self.push(if self.flags.dot_matches_newline { Node::AnyChar } else { Node::AnyCharButNewline });
            }
            '[' => self.class()?,
            '*' => return self.repetition((0, None), &before[1..], false, last_repetition),
            '+' => return self.repetition((1, None), &before[1..], false, last_repetition),
            '?' => return self.repetition((0, Some(1)), &before[1..], false, last_repetition),
            '{' => match counts(before) {
                None => self.literal_next(),
                Some((Some(counts), after)) => return self.repetition(counts, after, true, last_repetition),
                Some((None, after)) => return Err(error(INVALID_REPEAT_SIZE, up_to(before, after))),
            },
            '\\' => self.escape()?,
            _ => self.literal_next(),
        }
        Ok(None)
    }

    fn repetition(
        &mut self,
        (min, max): (u32, Option<u32>),
        mut after: &'p str,
        is_counted: bool,
        last_repetition: Option<&'p str>,
    ) -> Parsed<Option<&'p str>> {
        let before = self.rest;
        let mut is_lazy = self.flags.swap_lazy;
        if let Some(rest) = after.strip_prefix('?') {
            after = rest;
            is_lazy = !is_lazy;
        }
        if let Some(last) = last_repetition {
            return Err(error(INVALID_REPEAT_OP, up_to(last, after)));
        }
        let Some(repeated) = self.group().parts.pop() else {
            return Err(error(MISSING_REPEAT_ARGUMENT, up_to(before, after)));
        };
        let node = Node::Repeat(Box::new(repeated), Repetition { min, max, is_lazy, is_counted });
        let is_many = is_counted && (min >= 2 || max.is_some_and(|max| max >= 2));
        if is_many && !node.repeats_at_most(REPEAT_MAX) {
            return Err(error(INVALID_REPEAT_SIZE, up_to(before, after)));
        }
        self.push(node);
        self.rest = after;
        Ok(Some(before))
    }

    /// What follows `(?`: flags for the rest of the group, a group with flags, or a named group.
    fn flags_or_group(&mut self) -> Parsed<()> {
        let start = self.rest;
        let name_start = start.strip_prefix("(?P<").filter(|rest| !rest.is_empty());
        if let Some(after) = name_start.or_else(|| start.strip_prefix("(?<").filter(|rest| !rest.is_empty())) {
            let Some((name, rest)) = after.split_once('>') else {
                return Err(error(INVALID_NAMED_CAPTURE, start));
            };
            if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                return Err(error(INVALID_NAMED_CAPTURE, up_to(start, rest)));
            }
            self.rest = rest;
            return self.open(Some(Some(name.to_owned())), self.flags);
        }
        self.rest = &start[2..];
        let mut flags = self.flags;
        let (mut is_set, mut is_pending) = (true, false);
        while let Some(character) = self.next() {
            match character {
                'i' => flags.any_case = is_set,
                'm' => flags.multi_line = is_set,
                's' => flags.dot_matches_newline = is_set,
                'U' => flags.swap_lazy = is_set,
                '-' if is_set => {
                    is_set = false;
                    is_pending = true;
                    continue;
                }
                // A minus sign needs flags after it.
                ':' if !is_pending => return self.open(None, flags),
                ')' if !is_pending => {
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            is_pending = false;
        }
        Err(error(INVALID_PERL_OP, up_to(start, self.rest)))
    }

    fn open(&mut self, capture: Option<Option<String>>, flags: Flags) -> Parsed<()> {
        if self.groups.len() > NESTING_MAX {
            return Err(error(NESTS_TOO_DEEPLY, self.pattern));
        }
        self.groups.push(OpenGroup { flags_outside: self.flags, capture, ..OpenGroup::default() });
        self.flags = flags;
        Ok(())
    }

    fn close(&mut self) -> Parsed<()> {
        if self.groups.len() == 1 {
            return Err(error(UNEXPECTED_PAREN, self.pattern));
        }
        let group = self.groups.pop().expect("there are two");
        self.flags = group.flags_outside;
        self.rest = &self.rest[1..];
        self.push(group.close());
        Ok(())
    }

    /// A backslash outside of classes.
    fn escape(&mut self) -> Parsed<()> {
        let start = self.rest;
        match start[1..].chars().next() {
            Some('A') => self.assertion(Assertion::TextStart, 2),
            Some('z') => self.assertion(Assertion::TextEnd, 2),
            Some('b') => self.assertion(Assertion::WordBoundary, 2),
            Some('B') => self.assertion(Assertion::NoWordBoundary, 2),
            // Any byte: not supported by Go either.
            Some('C') => return Err(error(INVALID_ESCAPE, r"\C")),
            Some('Q') => {
                let (quoted, after) = start[2..].split_once(r"\E").unwrap_or((&start[2..], ""));
                self.rest = after;
                quoted.chars().for_each(|character| self.literal(u32::from(character)));
            }
            _ => match self.class_escape()? {
                Some(class) => self.push(Node::Class(class)),
                None => {
                    let code = self.character_escape()?;
                    self.literal(code);
                }
            },
        }
        Ok(())
    }

    /// `\pL`, `\d` and their like, in and outside of brackets.
    fn class_escape(&mut self) -> Parsed<Option<ClassUnicode>> {
        let start = self.rest;
        let Some(letter) = start.strip_prefix('\\').and_then(|after| after.chars().next()) else {
            return Ok(None);
        };
        if matches!(letter, 'p' | 'P') {
            return self.unicode_escape(letter == 'P').map(Some);
        }
        let class = perl_class(letter, self.flags.any_case);
        if class.is_some() {
            self.rest = &start[2..];
        }
        Ok(class)
    }

    fn unicode_escape(&mut self, mut is_negated: bool) -> Parsed<ClassUnicode> {
        let start = self.rest;
        let after = &start[2..];
        let (mut name, rest) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(|| error(INVALID_RANGE, start))?,
            None => after.split_at(after.chars().next().map_or(0, char::len_utf8)),
        };
        if let Some(positive) = name.strip_prefix('^') {
            is_negated = !is_negated;
            name = positive;
        }
        self.rest = rest;
        unicode_class(name, is_negated, self.flags.any_case).ok_or_else(|| error(INVALID_RANGE, up_to(start, rest)))
    }

    /// A backslash and what names one character; answers its code point.
    fn character_escape(&mut self) -> Parsed<u32> {
        let start = self.rest;
        self.rest = &start[1..];
        let Some(character) = self.next() else {
            return Err(error(TRAILING_BACKSLASH, ""));
        };
        let code = match character {
            '1'..='7' if !self.peek().is_some_and(|next| next.is_digit(8)) => None,
            '0'..='7' => Some(self.octal(character)),
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => Some(u32::from(character)),
            _ => None,
        };
        code.ok_or_else(|| error(INVALID_ESCAPE, up_to(start, self.rest)))
    }

    /// Up to three octal digits, one of which has been read.
    fn octal(&mut self, first: char) -> u32 {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 1..3 {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else {
                break;
            };
            self.next();
            code = code * 8 + digit;
        }
        code
    }

    /// Two hexadecimal digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            let second = self.next();
            return Some(first.to_digit(16)? * 16 + second?.to_digit(16)?);
        }
        let mut code = None;
        loop {
            match self.next()? {
                '}' => return code,
                digit => {
                    let value = code.unwrap_or(0) * 16 + digit.to_digit(16)?;
                    code = Some(value).filter(|value| *value <= u32::from(char::MAX));
                    code?;
                }
            }
        }
    }

    fn class(&mut self) -> Parsed<()> {
        let start = self.rest;
        self.rest = &start[1..];
        let is_negated = self.rest.starts_with('^');
        if is_negated {
            self.rest = &self.rest[1..];
        }
        let mut class = ClassUnicode::empty();
        let mut is_first = true;
        // A bracket right at the start means itself.
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            let item = match self.posix_item()? {
                Some(item) => item,
                None => match self.class_escape()? {
                    Some(item) => item,
                    None => self.class_range(start)?,
                },
            };
            class.union(&item);
        }
        self.rest = &self.rest[1..];
        if is_negated {
            class.negate();
        }
        self.push(Node::Class(class));
        Ok(())
    }

    /// `[:alpha:]` and its like.
    fn posix_item(&mut self) -> Parsed<Option<ClassUnicode>> {
        let start = self.rest;
        let Some((name, after)) = start.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
            return Ok(None);
        };
        self.rest = after;
        match posix_class(name, self.flags.any_case) {
            Some(class) => Ok(Some(class)),
            None => Err(error(INVALID_RANGE, up_to(start, after))),
        }
    }

    /// One character, or two with `-` between them.
    fn class_range(&mut self, class_start: &'p str) -> Parsed<ClassUnicode> {
        let start = self.rest;
        let low = self.class_character(class_start)?;
        let mut high = low;
        if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.rest = &self.rest[1..];
            high = self.class_character(class_start)?;
            if high < low {
                return Err(error(INVALID_RANGE, up_to(start, self.rest)));
            }
        }
        Ok(folded_range(low, high, self.flags.any_case))
    }

    fn class_character(&mut self, class_start: &'p str) -> Parsed<u32> {
        match self.peek() {
            None => Err(error(MISSING_BRACKET, class_start)),
            Some('\\') => self.character_escape(),
            Some(character) => {
                self.next();
                Ok(u32::from(character))
            }
        }
    }

    fn assertion(&mut self, assertion: Assertion, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.push(Node::Assertion(assertion));
    }

    fn literal_next(&mut self) {
        let character = self.next().expect("there is a character where a literal is read");
        self.literal(u32::from(character));
    }

    fn literal(&mut self, code: u32) {
        self.push(match char::from_u32(code) {
            Some(character) if self.flags.any_case && has_other_case(character) => Node::LiteralAnyCase(character),
            Some(character) => Node::Literal(character),
            // Half a character of UTF-16 can be written as an escape, but stands in no text.
            None => Node::Class(ClassUnicode::empty()),
        });
    }

    fn push(&mut self, node: Node) {
        self.group().parts.push(node);
    }

    fn group(&mut self) -> &mut OpenGroup {
        self.groups.last_mut().expect("the outermost group is never closed")
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }
}

fn has_other_case(character: char) -> bool {
    let class = folded_range(u32::from(character), u32::from(character), true);
    class.ranges().len() > 1 || class.ranges().iter().any(|range| range.start() != range.end())
}

/// `start` up to where `after`, which is its end, begins.
fn up_to<'p>(start: &'p str, after: &str) -> &'p str {
    &start[..start.len() - after.len()]
}

type Counts = (u32, Option<u32>);

/// `{2}`, `{2,}` or `{2,3}` at the start of `text`, and what follows it. Counts that are too large are none.
fn counts(text: &str) -> Option<(Option<Counts>, &str)> {
    let (min, rest) = count(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = count(rest)?;
            (Some(max), rest)
        }
    };
    let after = rest.strip_prefix('}')?;
    let is_valid = min <= REPEAT_MAX && max.is_none_or(|max| min <= max && max <= REPEAT_MAX);
    Some((is_valid.then_some((min, max)), after))
}

/// A decimal number without leading zeros; very large ones become the largest.
fn count(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}
