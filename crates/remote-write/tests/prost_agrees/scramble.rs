//! Writes a message in another way that means the same: fields in another order (those of one number keep theirs), unknown
//! fields in between, packed numbers one by one, scalars written more than once, integers longer than they need to be.

use std::collections::VecDeque;

/// What is known of a message's fields, as far as it matters here.
pub(crate) struct Shape {
    /// Fields that are messages.
    pub(crate) messages: &'static [(u32, &'static Shape)],
    /// Packed fields and how long their elements are.
    pub(crate) packed: &'static [(u32, Element)],
    /// A number that the message does not define.
    pub(crate) unknown: u32,
    /// Fields that may come twice, the last one holding: not repeated, not one of several alternatives, and not of 32 bits
    /// (which prost cuts off and the crate refuses when there are more).
    pub(crate) scalars: &'static [u32],
}

#[derive(Clone, Copy)]
pub(crate) enum Element {
    Varint,
    Fixed64,
}

const LABEL: Shape = Shape { messages: &[], packed: &[], unknown: 3, scalars: &[1, 2] };
const SAMPLE: Shape = Shape { messages: &[], packed: &[], unknown: 9, scalars: &[1, 2] };
const EXEMPLAR: Shape = Shape { messages: &[(1, &LABEL)], packed: &[], unknown: 4, scalars: &[2, 3] };
const EXEMPLAR_V2: Shape = Shape { messages: &[], packed: &[(1, Element::Varint)], unknown: 4, scalars: &[2, 3] };
const SPAN: Shape = Shape { messages: &[], packed: &[], unknown: 3, scalars: &[] };
const HISTOGRAM: Shape = Shape {
    messages: &[(8, &SPAN), (11, &SPAN)],
    packed: &[
        (9, Element::Varint),
        (10, Element::Fixed64),
        (12, Element::Varint),
        (13, Element::Fixed64),
        (16, Element::Fixed64),
    ],
    unknown: 18,
    scalars: &[3, 5, 14, 15],
};
const SERIES: Shape = Shape {
    messages: &[(1, &LABEL), (2, &SAMPLE), (3, &EXEMPLAR), (4, &HISTOGRAM)],
    packed: &[],
    unknown: 5,
    scalars: &[],
};
const METADATA: Shape = Shape { messages: &[], packed: &[], unknown: 3, scalars: &[1, 2, 4, 5] };
const METADATA_V2: Shape = Shape { messages: &[], packed: &[], unknown: 2, scalars: &[1, 3, 4] };
const SERIES_V2: Shape = Shape {
    messages: &[(2, &SAMPLE), (3, &HISTOGRAM), (4, &EXEMPLAR_V2), (5, &METADATA_V2)],
    packed: &[(1, Element::Varint)],
    unknown: 6,
    scalars: &[],
};
pub(crate) const REQUEST: Shape =
    Shape { messages: &[(1, &SERIES), (3, &METADATA)], packed: &[], unknown: 2, scalars: &[] };
pub(crate) const REQUEST_V2: Shape = Shape { messages: &[(5, &SERIES_V2)], packed: &[], unknown: 1, scalars: &[] };

/// A small generator of choices, so that a case is one number.
pub(crate) struct Choices(pub u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }
}

struct Field {
    number: u32,
    wire: u8,
    /// With the length in front, where there is one.
    value: Vec<u8>,
    /// Without.
    content: Vec<u8>,
}

pub(crate) fn scramble(message: &[u8], shape: &Shape, choices: &mut Choices) -> Vec<u8> {
    let mut queues: Vec<VecDeque<Vec<u8>>> = Vec::new();
    let mut numbers = Vec::new();
    for field in split(message) {
        let queue = match numbers.iter().position(|number| *number == field.number) {
            Some(index) => index,
            None => {
                numbers.push(field.number);
                queues.push(VecDeque::new());
                queues.len() - 1
            }
        };
        queues[queue].extend(rewrite(&field, shape, choices));
    }
    if choices.one_in(3) {
        queues.push(VecDeque::from([unknown(shape.unknown, choices)]));
    }
    let in_order = choices.one_in(3);
    let mut out = Vec::new();
    while !queues.is_empty() {
        let index = if in_order { 0 } else { choices.below(queues.len()) };
        match queues[index].pop_front() {
            Some(field) => out.extend_from_slice(&field),
            None => drop(queues.remove(index)),
        }
    }
    out
}

/// One field as one or several.
fn rewrite(field: &Field, shape: &Shape, choices: &mut Choices) -> Vec<Vec<u8>> {
    let Field { number, wire, .. } = *field;
    if let Some((_, inner)) = shape.messages.iter().find(|(message, _)| *message == number) {
        return vec![delimited(number, &scramble(&field.content, inner, choices), choices)];
    }
    let packed = shape.packed.iter().find(|(packed, _)| *packed == number);
    if let Some((_, element)) = packed.filter(|_| wire == 2 && choices.one_in(2)) {
        return unpack(number, &field.content, *element, choices);
    }
    let mut out = Vec::new();
    if shape.scalars.contains(&number) && choices.one_in(4) {
        // Another value first: the one that follows holds.
        match wire {
            0 => out.push([key(number, 0, choices), varint(choices.next() >> choices.below(64), choices)].concat()),
            1 => out.push([key(number, 1, choices), choices.next().to_le_bytes().to_vec()].concat()),
            _ => out.push(delimited(number, b"before", choices)),
        }
    }
    out.push([key(number, wire, choices), field.value.clone()].concat());
    out
}

/// Single elements and shorter packed runs.
fn unpack(number: u32, content: &[u8], element: Element, choices: &mut Choices) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let length = match element {
            Element::Varint => rest.iter().position(|byte| *byte < 0x80).expect("prost writes whole varints") + 1,
            Element::Fixed64 => 8,
        };
        let (value, after) = rest.split_at(length);
        rest = after;
        let wire = if let Element::Varint = element { 0 } else { 1 };
        if choices.one_in(2) {
            out.push([key(number, wire, choices), value.to_vec()].concat());
        } else {
            out.push(delimited(number, value, choices));
        }
        if choices.one_in(8) {
            out.push(delimited(number, &[], choices));
        }
    }
    out
}

fn unknown(number: u32, choices: &mut Choices) -> Vec<u8> {
    // Far away or next to those that are defined; of any type.
    let number = [number, 99, 100_000, (1 << 29) - 1][choices.below(4)];
    match choices.below(4) {
        0 => [key(number, 0, choices), varint(choices.next(), choices)].concat(),
        1 => [key(number, 1, choices), choices.next().to_le_bytes().to_vec()].concat(),
        2 => delimited(number, b"\x0a\xff\xff", choices),
        _ => [key(number, 5, choices), vec![0xff; 4]].concat(),
    }
}

fn split(message: &[u8]) -> Vec<Field> {
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let key = read_varint(&mut rest);
        let start = rest;
        let content = match key & 7 {
            0 => {
                read_varint(&mut rest);
                &[]
            }
            1 => take(&mut rest, 8),
            2 => {
                let length = read_varint(&mut rest);
                take(&mut rest, length as usize)
            }
            other => unreachable!("prost wrote wire type {other}"),
        };
        let value = start[..start.len() - rest.len()].to_vec();
        fields.push(Field { number: (key >> 3) as u32, wire: (key & 7) as u8, value, content: content.to_vec() });
    }
    fields
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (content, after) = rest.split_at(length);
    *rest = after;
    content
}

fn read_varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for index in 0.. {
        let byte = rest[index];
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            break;
        }
    }
    value
}

fn key(number: u32, wire: u8, choices: &mut Choices) -> Vec<u8> {
    varint(u64::from(number) << 3 | u64::from(wire), choices)
}

fn delimited(number: u32, content: &[u8], choices: &mut Choices) -> Vec<u8> {
    [key(number, 2, choices), varint(content.len() as u64, choices), content.to_vec()].concat()
}

/// Now and then with more bytes than needed.
fn varint(mut value: u64, choices: &mut Choices) -> Vec<u8> {
    let mut out = Vec::new();
    let padding = if choices.one_in(10) { 1 + choices.below(3) } else { 0 };
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            break;
        }
        out.push(byte | 0x80);
    }
    if out.len() + padding <= 10 {
        for _ in 0..padding {
            *out.last_mut().expect("one byte at least") |= 0x80;
            out.push(0);
        }
    }
    out
}
