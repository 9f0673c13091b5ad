//! A block in a directory of this machine.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use environment::{Disk, DiskRead, FileKind};
use parking_lot::Mutex;

use super::source::{BlockPart, BlockSource};

/// A block's directory. Files are opened when they are first asked for: mapped where the disk maps, else read by range.
pub(crate) struct LocalBlock {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    name: String,
    open: Mutex<BTreeMap<BlockPart, Opened>>,
}

#[derive(Clone)]
enum Opened {
    Mapped(Bytes),
    Handle(Arc<dyn DiskRead>),
}

impl LocalBlock {
    /// The block in `directory`. Looks at nothing yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        let name = directory.display().to_string();
        Self { disk, directory: directory.to_path_buf(), name, open: Mutex::default() }
    }

    fn opened(&self, part: BlockPart) -> io::Result<Opened> {
        let mut open = self.open.lock();
        if let Some(opened) = open.get(&part) {
            return Ok(opened.clone());
        }
        let path = self.directory.join(part.path());
        let opened = match part {
            // Replaced under the same name, so not held.
            BlockPart::Meta | BlockPart::Tombstones => return Ok(Opened::Mapped(self.disk.read(&path)?.into())),
            BlockPart::Index | BlockPart::Chunks(_) => match self.disk.map(&path)? {
                Some(bytes) => Opened::Mapped(bytes),
                None => Opened::Handle(self.disk.open_read(&path)?.into()),
            },
        };
        open.insert(part, opened.clone());
        Ok(opened)
    }
}

impl BlockSource for LocalBlock {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self, part: BlockPart) -> io::Result<u64> {
        match self.opened(part)? {
            Opened::Mapped(bytes) => Ok(bytes.len() as u64),
            Opened::Handle(file) => file.len(),
        }
    }

    fn segments(&self) -> io::Result<u32> {
        let entries = self.disk.list(&self.directory.join("chunks"))?;
        let is_segment = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.len() == 6 && name.bytes().all(|digit| digit.is_ascii_digit()))
        };
        let numbered = entries.iter().filter(|(path, kind)| *kind == FileKind::File && is_segment(path)).count();
        Ok(numbered as u32)
    }

    fn read(&self, part: BlockPart, range: Range<u64>) -> io::Result<Bytes> {
        let beyond = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let (Ok(start), Ok(end)) = (start, end) else { return Err(beyond()) };
        match self.opened(part)? {
            Opened::Mapped(bytes) if start <= end && end <= bytes.len() => Ok(bytes.slice(start..end)),
            Opened::Mapped(_) => Err(beyond()),
            Opened::Handle(file) => {
                // Before memory is asked for: a wrong length must not ask for all of it.
                if range.end > file.len()? || start > end {
                    return Err(beyond());
                }
                let mut bytes = vec![0; end - start];
                match file.read_at(&mut bytes, range.start)? {
                    read if read == bytes.len() => Ok(bytes.into()),
                    _ => Err(beyond()),
                }
            }
        }
    }

    fn mapped(&self, part: BlockPart) -> io::Result<Option<Bytes>> {
        match self.opened(part)? {
            Opened::Mapped(bytes) => Ok(Some(bytes)),
            Opened::Handle(_) => Ok(None),
        }
    }

    fn release(&self) {
        self.open.lock().clear();
    }
}
