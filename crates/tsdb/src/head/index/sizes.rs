//! How much of the index belongs to which name.

use super::Index;

/// What one label name takes.
pub(crate) struct NameSize<'a> {
    pub(crate) name: &'a str,
    /// Its values that series have.
    pub(crate) values: u64,
    /// Bytes of those values, each as often as series have it.
    pub(crate) bytes: u64,
}

impl Index {
    /// Names are numbered below this.
    pub(crate) fn name_count(&self) -> usize {
        self.names.len()
    }

    /// What the name of this number takes, if it is one that series have; `each` is told name, value and number of series
    /// of each of its pairs.
    pub(crate) fn name_size(&self, number: usize, mut each: impl FnMut(&str, &str, u64)) -> Option<NameSize<'_>> {
        let entry = self.names.get(number)?;
        let name = self.texts.get(entry.text);
        let mut size = NameSize { name, values: 0, bytes: 0 };
        for pair in &entry.pairs {
            let series = self.pair_at(*pair).postings.len();
            if series > 0 {
                let value = self.value_of(*pair);
                size.values += 1;
                size.bytes += value.len() as u64 * series;
                each(name, value, series);
            }
        }
        (size.values > 0).then_some(size)
    }
}
