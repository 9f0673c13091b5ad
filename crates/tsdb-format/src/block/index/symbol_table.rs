//! The symbols of an index under way.

use super::write::u32_of;

/// Texts in order, one behind the other.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    texts: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl SymbolTable {
    pub(super) fn new<'s>(symbols: impl IntoIterator<Item = &'s str>) -> Self {
        let mut table = Self::default();
        for symbol in symbols {
            let in_order = table.ends.is_empty() || table.get(table.len() - 1) < symbol;
            assert!(in_order, "symbols come in order: {symbol:?}");
            table.texts.push_str(symbol);
            table.ends.push(u32_of(table.texts.len()));
        }
        table
    }

    pub(super) fn len(&self) -> u32 {
        u32_of(self.ends.len())
    }

    pub(super) fn get(&self, number: u32) -> &str {
        let index = number as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.texts[start..self.ends[index] as usize]
    }

    pub(super) fn number(&self, text: &str) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return middle,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        panic!("every text of a series is a symbol: {text:?}");
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }
}
