//! The machine that benchmarks run on: its files, its time, what a process takes of it.

use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use environment::{BoxFuture, Clock, Disk, DiskFile, DiskLock, DiskRead, FileKind, Monotonic, UnixTime};

/// Time that passes while the engine's threads wait.
pub(crate) struct RunningClock(pub(crate) Instant);

impl Clock for RunningClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(1_700_000_000).plus(self.0.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_duration(self.0.elapsed())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        unreachable!("a database waits on conditions")
    }
}

/// Of this process, as Linux tells it.
#[allow(dead_code, reason = "each benchmark prints what it is about")]
pub(crate) struct Usage {
    pub(crate) cpu: f64,
    pub(crate) rss: usize,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { cpu: ticks / 100.0, rss: pages * 4096 }
    }
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

/// The system's files. The programs' own disk brings a TLS stack along, which a benchmark need not build.
pub(crate) struct Files;

struct File(std::fs::File);

impl DiskFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl DiskRead for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl DiskLock for File {}

impl Disk for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        Ok(Box::new(File(std::fs::File::open(path)?)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.try_lock()?;
        Ok(Box::new(File(file)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
        let kind = |path: &Path| if path.is_dir() { FileKind::Directory } else { FileKind::File };
        let paths = std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| (entry.path(), kind(&entry.path()))));
        let mut paths: Vec<_> = paths.collect::<Result<_, _>>()?;
        paths.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(paths)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File(std::fs::File::create_new(path)?)))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File(std::fs::OpenOptions::new().append(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(directory)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::File::open(directory)?.sync_all()
    }
}
