//! The files that settings name, so that a change of one is noticed.

use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use super::read_bounded;

/// Files that are part of the settings, each with a hash of what stood there: enough to notice a change, and nothing of a
/// key or secret.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Contents(Vec<FileContent>);

#[derive(Clone, PartialEq, Eq)]
struct FileContent {
    /// The variable that names it.
    variable: &'static str,
    path: PathBuf,
    hash: u64,
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the hash: that of a short secret can be searched for.
        f.debug_struct("FileContent").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Contents {
    pub(super) fn add(&mut self, variable: &'static str, path: &Path, content: &[u8]) {
        self.0.push(FileContent { variable, path: path.to_owned(), hash: hash_of(content) });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no file is part of the settings.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same files as they are now.
    pub(crate) fn now(&self) -> Self {
        let mut now = Self::default();
        for FileContent { variable, path, .. } in &self.0 {
            now.add(variable, path, &read_bounded(path).unwrap_or_default());
        }
        now
    }

    /// The variables whose files are not what they are in `other`.
    pub(super) fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter(|file| !other.0.contains(file)).map(|file| file.variable)
    }
}

fn hash_of(content: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}
