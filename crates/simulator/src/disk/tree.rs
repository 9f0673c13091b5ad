//! Directories and files, and what of them is on the medium.
//!
//! A change of a directory is durable when the directory was synced. Before that a power cut keeps some of the changes: of each
//! directory the first so many, in their order. A rename is one change of both of its directories: it happened or it did not.
//! Real file systems mostly keep one order over all directories; this one promises what a portable program may rely on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use environment::FileKind;

use super::file::{Fate, FileData};
use crate::chance::Chance;

/// A file or directory, whatever it is called.
pub(super) type Inode = usize;

#[derive(Clone, Debug)]
enum Node {
    File(Arc<FileData>),
    Directory(Arc<Directory>),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    entries: BTreeMap<String, Inode>,
    /// As the medium has them.
    durable: BTreeMap<String, Inode>,
}

/// One step of a change: what an entry stands for from now on.
#[derive(Clone, Debug)]
struct Edit {
    directory: Inode,
    name: String,
    entry: Option<Inode>,
}

/// All files.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Changes that no sync has made durable, in their order.
    pending: Vec<Vec<Edit>>,
}

/// The directory in which everything is.
const ROOT: Inode = 0;

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::Directory(Arc::default())], pending: Vec::new() }
    }
}

impl Tree {
    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for name in names(path) {
            inode = *self.directory(inode)?.entries.get(name).ok_or_else(|| missing(path))?;
        }
        Ok(inode)
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<Inode> {
        let inode = self.find(path)?;
        match self.nodes[inode] {
            Node::File(_) => Ok(inode),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// A file that was found.
    pub(super) fn file(&self, inode: Inode) -> &FileData {
        match &self.nodes[inode] {
            Node::File(data) => data,
            Node::Directory(_) => unreachable!("files are found as files"),
        }
    }

    pub(super) fn file_mut(&mut self, inode: Inode) -> &mut FileData {
        match &mut self.nodes[inode] {
            Node::File(data) => Arc::make_mut(data),
            Node::Directory(_) => unreachable!("files are found as files"),
        }
    }

    fn directory(&self, inode: Inode) -> io::Result<&Directory> {
        match &self.nodes[inode] {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
        let directory = self.directory(self.find(path)?)?;
        let kind = |inode: &Inode| match self.nodes[*inode] {
            Node::File(_) => FileKind::File,
            Node::Directory(_) => FileKind::Directory,
        };
        Ok(directory.entries.iter().map(|(name, inode)| (path.join(name), kind(inode))).collect())
    }

    /// The directory of `path` and the entry's name in it.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(Inode, &'p str)> {
        let name = names(path).last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.directory(parent)?;
        Ok((parent, name))
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<Inode> {
        self.create(path, Node::File(Arc::default()))
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<Inode> {
        self.create(path, Node::Directory(Arc::default()))
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<Inode> {
        let (directory, name) = self.place(path)?;
        if self.directory(directory)?.entries.contains_key(name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())));
        }
        self.nodes.push(node);
        let inode = self.nodes.len() - 1;
        self.change(vec![Edit { directory, name: name.to_owned(), entry: Some(inode) }]);
        Ok(inode)
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find_file(from)?;
        let (directory, name) = self.place(to)?;
        if self.directory(directory)?.entries.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(vec![Edit { directory, name: name.to_owned(), entry: Some(inode) }]);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let (old, new) = (self.place(from)?, self.place(to)?);
        if let Some(&target) = self.directory(new.0)?.entries.get(new.1) {
            match (&self.nodes[inode], &self.nodes[target]) {
                (Node::File(_), Node::File(_)) => {}
                (Node::Directory(_), Node::Directory(there)) if there.entries.is_empty() => {}
                (Node::Directory(_), Node::Directory(_)) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
                (Node::File(_), Node::Directory(_)) => return Err(io::ErrorKind::IsADirectory.into()),
                (Node::Directory(_), Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        let edit = |place: (Inode, &str), entry| Edit { directory: place.0, name: place.1.to_owned(), entry };
        self.change(vec![edit(old, None), edit(new, Some(inode))]);
        Ok(())
    }

    /// Removes a file, or a directory that is empty.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        if let Node::Directory(directory) = &self.nodes[inode]
            && !directory.entries.is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (directory, name) = self.place(path)?;
        self.change(vec![Edit { directory, name: name.to_owned(), entry: None }]);
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        self.directory(inode)?;
        // A rename out of a directory takes with it what was done there before: else a file could stand in both, or in none.
        let mut directories = BTreeSet::from([inode]);
        let mut durable = vec![false; self.pending.len()];
        for (index, change) in self.pending.iter().enumerate().rev() {
            if change.iter().any(|edit| directories.contains(&edit.directory)) {
                durable[index] = true;
                directories.extend(change.iter().map(|edit| edit.directory));
            }
        }
        let mut left = Vec::new();
        for (change, durable) in std::mem::take(&mut self.pending).into_iter().zip(durable) {
            if durable {
                change.iter().for_each(|edit| self.put(edit, true));
            } else {
                left.push(change);
            }
        }
        self.pending = left;
        Ok(())
    }

    /// Everything is on the medium, as it is when nobody has written for a while.
    pub(super) fn write_back(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.iter().for_each(|edit| self.put(edit, true));
        }
        for node in &mut self.nodes {
            if let Node::File(data) = node {
                Arc::make_mut(data).sync();
            }
        }
    }

    fn change(&mut self, edits: Vec<Edit>) {
        edits.iter().for_each(|edit| self.put(edit, false));
        self.pending.push(edits);
    }

    fn put(&mut self, edit: &Edit, durable: bool) {
        let Node::Directory(directory) = &mut self.nodes[edit.directory] else {
            unreachable!("entries are in directories")
        };
        let directory = Arc::make_mut(directory);
        let entries = if durable { &mut directory.durable } else { &mut directory.entries };
        match edit.entry {
            Some(inode) => entries.insert(edit.name.clone(), inode),
            None => entries.remove(&edit.name),
        };
    }

    /// Bytes of all files that have a name, each counted once.
    pub(super) fn used(&self) -> usize {
        self.files()
            .into_values()
            .map(|inode| (inode, self.file(inode).bytes().len()))
            .collect::<BTreeMap<_, _>>()
            .values()
            .sum()
    }

    /// All files by path.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Inode> {
        let mut found = BTreeMap::new();
        let mut open = vec![(PathBuf::new(), ROOT)];
        while let Some((path, inode)) = open.pop() {
            match &self.nodes[inode] {
                Node::File(_) => drop(found.insert(path, inode)),
                Node::Directory(directory) => {
                    open.extend(directory.entries.iter().map(|(name, inode)| (path.join(name), *inode)));
                }
            }
        }
        found
    }

    /// What the next process finds when this one has died: everything. What was not synced still is not.
    pub(super) fn after_process_crash(&self, chance: &mut Chance) -> Self {
        let mut after = self.reachable();
        for node in &mut after.nodes {
            if let Node::File(data) = node
                && data.has_given_up()
            {
                *data = Arc::new(data.after_process_crash(chance));
            }
        }
        after
    }

    fn reachable(&self) -> Self {
        let mut after = self.clone();
        // What no name leads to, now or on the medium, nobody will see again.
        let mut seen = BTreeSet::new();
        let mut open = vec![ROOT];
        let changed = after.pending.iter().flatten();
        open.extend(changed.flat_map(|edit| edit.entry.into_iter().chain([edit.directory])));
        while let Some(inode) = open.pop() {
            if seen.insert(inode)
                && let Node::Directory(directory) = &after.nodes[inode]
            {
                open.extend(directory.entries.values().chain(directory.durable.values()));
            }
        }
        for (inode, node) in after.nodes.iter_mut().enumerate() {
            if !seen.contains(&inode) {
                *node = Node::File(Arc::default());
            }
        }
        after
    }

    /// What is found when the power comes back.
    pub(super) fn after_power_cut(&self, chance: &mut Chance) -> Self {
        let mut after = self.reachable();
        let fate = *chance.one_of(&[Fate::Lost, Fate::Written, Fate::Any, Fate::Any, Fate::Any]);
        for change in after.surviving_changes(chance) {
            change.iter().for_each(|edit| after.put(edit, true));
        }
        after.pending.clear();
        for node in &mut after.nodes {
            match node {
                Node::File(data) if data.is_dirty() => *data = Arc::new(data.after_power_cut(fate, chance)),
                Node::File(_) => {}
                Node::Directory(directory) => {
                    let directory = Arc::make_mut(directory);
                    directory.entries.clone_from(&directory.durable);
                }
            }
        }
        after
    }

    /// Of each directory the first so many.
    fn surviving_changes(&self, chance: &mut Chance) -> Vec<Vec<Edit>> {
        match chance.below(4) {
            0 => Vec::new(),
            1 => self.pending.clone(),
            2 => self.pending[..chance.index(self.pending.len() + 1)].to_vec(),
            _ => {
                let mut ended = BTreeSet::new();
                let survives = |change: &&Vec<Edit>| {
                    let open = change.iter().all(|edit| !ended.contains(&edit.directory));
                    let survives = open && !chance.one_in(4);
                    if !survives {
                        ended.extend(change.iter().map(|edit| edit.directory));
                    }
                    survives
                };
                self.pending.iter().filter(survives).cloned().collect()
            }
        }
    }
}

fn names(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_str().expect("names here are text")),
        _ => None,
    })
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}
