//! Sets of characters: `\d`, `[:alpha:]`, `\pL`, and ranges.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// `\d`, `\s`, `\w` and their opposites, by the letter: ASCII only.
pub(super) fn perl_class(letter: char, any_case: bool) -> Option<ClassUnicode> {
    let ranges: &[(u32, u32)] = match letter.to_ascii_lowercase() {
        'd' => &[(0x30, 0x39)],
        's' => &[(0x09, 0x0a), (0x0c, 0x0d), (0x20, 0x20)],
        'w' => WORD,
        _ => return None,
    };
    Some(group(ranges, letter.is_ascii_uppercase(), any_case))
}

/// `[:alpha:]` and its like, by what stands between the colons.
pub(super) fn posix_class(name: &str, any_case: bool) -> Option<ClassUnicode> {
    let (is_negated, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let ranges: &[(u32, u32)] = match name {
        "alnum" => &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)],
        "alpha" => &[(0x41, 0x5a), (0x61, 0x7a)],
        "ascii" => &[(0x00, 0x7f)],
        "blank" => &[(0x09, 0x09), (0x20, 0x20)],
        "cntrl" => &[(0x00, 0x1f), (0x7f, 0x7f)],
        "digit" => &[(0x30, 0x39)],
        "graph" => &[(0x21, 0x7e)],
        "lower" => &[(0x61, 0x7a)],
        "print" => &[(0x20, 0x7e)],
        "punct" => &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)],
        "space" => &[(0x09, 0x0d), (0x20, 0x20)],
        "upper" => &[(0x41, 0x5a)],
        "word" => WORD,
        "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    };
    Some(group(ranges, is_negated, any_case))
}

const WORD: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];

/// `\p{name}`: a general category or a script. Case, spaces, `_` and `-` in the name mean nothing.
pub(super) fn unicode_class(name: &str, is_negated: bool, any_case: bool) -> Option<ClassUnicode> {
    let plain: String = name.chars().filter(|character| !matches!(character, '_' | '-' | ' ')).collect();
    let mut class = match plain.to_ascii_lowercase().as_str() {
        "any" => range(0, u32::from(char::MAX)),
        "ascii" => range(0, 0x7f),
        "assigned" => table("Assigned")?,
        // Half characters of UTF-16: no text has any.
        "cs" | "surrogate" => ClassUnicode::empty(),
        // Letters and digits only: anything else could end the property we ask for.
        plain if plain.chars().all(|character| character.is_ascii_alphanumeric()) => {
            table(&format!("gc={plain}")).or_else(|| table(&format!("sc={plain}")))?
        }
        _ => return None,
    };
    finish(&mut class, is_negated, any_case);
    Some(class)
}

fn table(property: &str) -> Option<ClassUnicode> {
    let hir = regex_syntax::parse(&format!("\\p{{{property}}}")).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        _ => None,
    }
}

/// The characters from `low` to `high`; code points between that are no characters are in no text either.
pub(super) fn range(low: u32, high: u32) -> ClassUnicode {
    let mut class = ClassUnicode::empty();
    for (part_low, part_high) in [(0, 0xd7ff), (0xe000, u32::from(char::MAX))] {
        let (low, high) = (low.max(part_low), high.min(part_high));
        if low <= high
            && let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high))
        {
            class.push(ClassUnicodeRange::new(low, high));
        }
    }
    class
}

/// As [`range`], with the characters of the other case when case means nothing.
pub(super) fn folded_range(low: u32, high: u32, any_case: bool) -> ClassUnicode {
    let mut class = range(low, high);
    finish(&mut class, false, any_case);
    class
}

fn group(ranges: &[(u32, u32)], is_negated: bool, any_case: bool) -> ClassUnicode {
    let mut class = ClassUnicode::empty();
    for (low, high) in ranges {
        class.union(&range(*low, *high));
    }
    finish(&mut class, is_negated, any_case);
    class
}

/// Cases come before the negation: what is equal to an excluded character but for case is excluded too.
fn finish(class: &mut ClassUnicode, is_negated: bool, any_case: bool) {
    if any_case {
        class.try_case_fold_simple().expect("the tables of cases are compiled in");
    }
    if is_negated {
        class.negate();
    }
}
