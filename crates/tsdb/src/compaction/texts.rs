//! Label names and values of a block under way, each once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Texts by numbers in the order of first sight, one behind the other.
#[derive(Default)]
pub(super) struct Texts {
    bytes: String,
    /// Where each ends.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Texts {
    /// The number of `text`, which is new if it was not seen before.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let found = self.numbers.find(hash, |number| self.get(*number) == text);
        if let Some(number) = found {
            return *number;
        }
        let number = u32::try_from(self.ends.len()).expect("an index has far fewer symbols");
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        let Self { bytes, ends, numbers, hasher } = self;
        numbers.insert_unique(hash, number, |number| hasher.hash_one(nth(bytes, ends, *number)));
        number
    }

    pub(super) fn get(&self, number: u32) -> &str {
        nth(&self.bytes, &self.ends, number)
    }

    /// Numbers in the order of their texts.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.ends.len() as u32).collect();
        numbers.sort_unstable_by(|left, right| self.get(*left).cmp(self.get(*right)));
        numbers
    }
}

fn nth<'a>(bytes: &'a str, ends: &[usize], number: u32) -> &'a str {
    let index = number as usize;
    let start = index.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[start..ends[index]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number() {
        let mut texts = Texts::default();
        let words: Vec<String> = (0..5000).map(|number| format!("word {}", number * 7919 % 1000)).collect();
        let numbers: Vec<u32> = words.iter().map(|word| texts.number(word)).collect();
        for (word, number) in words.iter().zip(&numbers) {
            assert_eq!(texts.get(*number), word);
            assert_eq!(texts.number(word), *number);
        }
        let sorted: Vec<&str> = texts.sorted().into_iter().map(|number| texts.get(number)).collect();
        assert!(sorted.len() == 1000 && sorted.is_sorted());
    }
}
