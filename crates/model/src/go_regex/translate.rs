//! From the tree to the syntax of the `regex` crate, using only what leaves no doubt.

use std::fmt::Write;

use super::tree::{Assertion, Node, Repetition};

pub(super) fn translate(node: &Node) -> String {
    let mut out = String::new();
    write(node, &mut out);
    out
}

fn write(node: &Node, out: &mut String) {
    match node {
        Node::Empty => {}
        Node::Literal(character) => write_literal(*character, out),
        Node::LiteralAnyCase(character) => {
            out.push_str("(?i:");
            write_literal(*character, out);
            out.push(')');
        }
        Node::Class(class) if class.ranges().is_empty() => out.push_str(r"[^\x00-\x{10ffff}]"),
        Node::Class(class) => {
            out.push('[');
            for range in class.ranges() {
                write_code(range.start(), out);
                out.push('-');
                write_code(range.end(), out);
            }
            out.push(']');
        }
        Node::AnyChar => out.push_str("(?s:.)"),
        Node::AnyCharButNewline => out.push_str(r"[^\n]"),
        Node::Assertion(assertion) => out.push_str(match assertion {
            Assertion::TextStart => r"\A",
            Assertion::TextEnd => r"\z",
            Assertion::LineStart => "(?m:^)",
            Assertion::LineEnd => "(?m:$)",
            Assertion::WordBoundary => r"(?-u:\b)",
            Assertion::NoWordBoundary => r"(?-u:\B)",
        }),
        Node::Group(_, inner) => {
            out.push('(');
            write(inner, out);
            out.push(')');
        }
        Node::Repeat(inner, repetition) => {
            out.push_str("(?:");
            write(inner, out);
            out.push(')');
            write_repetition(*repetition, out);
        }
        Node::Concat(parts) => {
            for part in parts {
                write(part, out);
            }
        }
        Node::Alternate(branches) => {
            out.push_str("(?:");
            for (index, branch) in branches.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                write(branch, out);
            }
            out.push(')');
        }
    }
}

fn write_repetition(repetition: Repetition, out: &mut String) {
    match (repetition.min, repetition.max) {
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        (min, None) => write!(out, "{{{min},}}").expect("writing to a string cannot fail"),
        (min, Some(max)) => write!(out, "{{{min},{max}}}").expect("writing to a string cannot fail"),
    }
    if repetition.is_lazy {
        out.push('?');
    }
}

fn write_literal(character: char, out: &mut String) {
    if character.is_ascii() && !character.is_ascii_alphanumeric() {
        write_code(character, out);
    } else {
        out.push(character);
    }
}

fn write_code(character: char, out: &mut String) {
    write!(out, "\\x{{{:x}}}", u32::from(character)).expect("writing to a string cannot fail");
}
