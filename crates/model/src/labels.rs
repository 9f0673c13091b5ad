//! Label sets: sorted by name, names unique, names and values not empty.
//!
//! A set is one contiguous, shared run of bytes: for each label its name, then its value, each with its length in front
//! (one byte below 255, otherwise 255 and four bytes little endian). So a clone is a reference count, equality one
//! comparison of memory and a hash one pass; only order looks at single labels.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// An immutable label set. Invariant: sorted bytewise by name, names unique, no empty name or value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    packed: Arc<[u8]>,
}

/// Why labels are not a label set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LabelsError {
    /// A name stands twice.
    #[error("label name {0:?} appears twice")]
    DuplicateName(String),
    /// A label without a name.
    #[error("a label has an empty name (its value is {0:?})")]
    EmptyName(String),
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Self { packed: Arc::new([]) }
    }

    /// From pairs in any order. Empty values are dropped, as Prometheus takes them for absent labels.
    ///
    /// # Errors
    /// A name that stands twice, or an empty one.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, LabelsError> {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.push(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Labels in order of their names.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.packed }
    }

    /// The value of `name`, if the set has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().take_while(|(other, _)| *other <= name).find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The metric's name; empty when there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The set with only those labels for which `keep` says so.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(&str, &str) -> bool) -> Self {
        let mut packed = Vec::with_capacity(self.packed.len());
        for (name, value) in self.iter().filter(|(name, value)| keep(name, value)) {
            pack(name, &mut packed);
            pack(value, &mut packed);
        }
        Self { packed: packed.into() }
    }

    /// The set without the metric's name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        self.retain(|name, _| name != METRIC_NAME)
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        let mut builder = LabelsBuilder::default();
        for (name, value) in self.iter() {
            builder.push(name, value);
        }
        builder
    }

    /// The set's bytes in the layout described above: equal exactly for equal sets, good for hashing, not for ordering.
    pub fn as_packed(&self) -> &[u8] {
        &self.packed
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Prometheus' order: label by label, name before value; a prefix comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Display for Labels {
    /// As Prometheus prints it: `name{label="value", …}`, a name alone without braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        f.write_str(name)?;
        let mut others = self.iter().filter(|(name, _)| *name != METRIC_NAME).peekable();
        if others.peek().is_none() && !name.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, (name, value)) in others.enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Labels of a set, as name and value.
#[derive(Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let name = unpack(&mut self.rest);
        let value = unpack(&mut self.rest);
        Some((name, value))
    }
}

/// Collects labels in any order and makes a set of them.
#[derive(Clone, Default, Debug)]
pub struct LabelsBuilder {
    text: String,
    /// End of name and end of value in `text`; each label starts where the one before ends.
    ends: Vec<(u32, u32)>,
    /// Memory that is used by each [`build`](Self::build) and means nothing between them.
    packed: Vec<u8>,
    order: Vec<u32>,
}

/// Another name for the result of building a set.
pub type BuildLabels = Result<Labels, LabelsError>;

impl LabelsBuilder {
    /// Adds a label. Says nothing yet about duplicates.
    pub fn push(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let name_end = self.text.len() as u32;
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len() as u32));
    }

    /// Sets `name` to `value`, replacing it if it is there; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        if !value.is_empty() {
            self.push(name, value);
        }
    }

    /// Removes `name` if it is there.
    pub fn remove(&mut self, name: &str) {
        if (0..self.ends.len()).any(|index| self.label(index).0 == name) {
            let kept: Vec<(String, String)> = (0..self.ends.len())
                .map(|index| self.label(index))
                .filter(|(other, _)| *other != name)
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            self.clear();
            for (name, value) in kept {
                self.push(&name, &value);
            }
        }
    }

    /// Forgets all labels and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Makes the set: sorts, drops empty values. The builder keeps its labels; `clear` it to use it again.
    ///
    /// # Errors
    /// A name that stands twice, or an empty one.
    pub fn build(&mut self) -> BuildLabels {
        let (mut packed, mut order) = (std::mem::take(&mut self.packed), std::mem::take(&mut self.order));
        let built = self.pack_into(&mut packed, &mut order);
        let labels = built.map(|()| Labels { packed: packed.as_slice().into() });
        (self.packed, self.order) = (packed, order);
        labels
    }

    /// A set of labels whose names rise strictly and that are not empty, as those of a set do that was taken apart: whoever calls knows.
    /// Looked at in debug builds only, since it would take as long as all the rest. Leaves what was pushed as it is.
    pub fn build_sorted<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
        self.packed.clear();
        let mut previous = "";
        for (name, value) in labels {
            debug_assert!(previous < name && !value.is_empty(), "{name:?} behind {previous:?}, or empty");
            previous = name;
            pack(name, &mut self.packed);
            pack(value, &mut self.packed);
        }
        Labels { packed: self.packed.as_slice().into() }
    }

    fn pack_into(&self, packed: &mut Vec<u8>, order: &mut Vec<u32>) -> Result<(), LabelsError> {
        packed.clear();
        let sorted = (1..self.ends.len()).all(|index| self.label(index - 1).0 < self.label(index).0);
        if sorted {
            return (0..self.ends.len()).try_for_each(|index| self.pack_label(index, None, packed));
        }
        order.clear();
        order.extend(0..self.ends.len() as u32);
        order.sort_by(|left, right| self.label(*left as usize).0.cmp(self.label(*right as usize).0));
        let mut previous = None;
        for &index in &*order {
            self.pack_label(index as usize, previous, packed)?;
            previous = Some(self.label(index as usize).0);
        }
        Ok(())
    }

    fn pack_label(&self, index: usize, previous: Option<&str>, packed: &mut Vec<u8>) -> Result<(), LabelsError> {
        let (name, value) = self.label(index);
        if name.is_empty() {
            return Err(LabelsError::EmptyName(value.to_owned()));
        }
        if previous == Some(name) {
            return Err(LabelsError::DuplicateName(name.to_owned()));
        }
        if !value.is_empty() {
            pack(name, packed);
            pack(value, packed);
        }
        Ok(())
    }

    fn label(&self, index: usize) -> (&str, &str) {
        let start = if index == 0 { 0 } else { self.ends[index - 1].1 };
        let (name_end, value_end) = self.ends[index];
        (&self.text[start as usize..name_end as usize], &self.text[name_end as usize..value_end as usize])
    }
}

const LONG: u8 = 255;

fn pack(text: &str, out: &mut Vec<u8>) {
    match u8::try_from(text.len()) {
        Ok(short) if short < LONG => out.push(short),
        _ => {
            out.push(LONG);
            let length = u32::try_from(text.len()).expect("label texts are bounded far below 4 GiB where they enter");
            out.extend_from_slice(&length.to_le_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[inline]
fn unpack<'a>(rest: &mut &'a [u8]) -> &'a str {
    let (length, after) = match rest[0] {
        LONG => {
            let (length, after) = rest[1..].split_first_chunk::<4>().expect("packed by `pack`");
            (u32::from_le_bytes(*length) as usize, after)
        }
        short => (short as usize, &rest[1..]),
    };
    let (text, after) = after.split_at(length);
    *rest = after;
    #[allow(unsafe_code)]
    // SAFETY: the bytes were copied from a `str` by `pack`, which is the only writer, whole strings at a time; `Labels`
    // never hands out mutable access. Validating again would double the cost of every walk over labels.
    unsafe {
        std::str::from_utf8_unchecked(text)
    }
}

#[cfg(test)]
mod tests;
