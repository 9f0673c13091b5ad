//! Whether the queue's directory can hold the queue. Nothing is written: a sidecar may be at work in it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use environment::UnixTime;
use host::HostDisk;
use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

use crate::plan::Queue;
use crate::report::{Link, Step};
use crate::text::bytes;

/// Looks at the directory on a thread of its own: one on a network may hang.
pub(crate) async fn look(queue: Queue) -> (Vec<Step>, Option<()>) {
    let shown = queue.directory.display().to_string();
    let looked = tokio::task::spawn_blocking(move || judge(&queue));
    let step = match tokio::time::timeout(LOOK_TIMEOUT, looked).await {
        Ok(Ok(step)) => step,
        Ok(Err(_)) | Err(_) => {
            let finding = format!("the file system of {shown} does not answer within {} s", LOOK_TIMEOUT.as_secs());
            Step::failed(Link::Queue, finding, "look after the volume: a network file system may hang")
        }
    };
    (vec![step], Some(()))
}

/// When a series was refused last, as far as the ring in the queue's directory tells.
pub(crate) async fn last_refusal(queue: &Queue) -> Option<UnixTime> {
    let directory = queue.directory.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let refusals = spool::read_refusals(&HostDisk, &directory).ok()?;
        refusals.iter().map(|refusal| refusal.at).max()
    });
    tokio::time::timeout(LOOK_TIMEOUT, reading).await.ok()?.ok()?
}

fn judge(queue: &Queue) -> Step {
    let directory = queue.directory.display();
    match fs::metadata(&queue.directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let finding = format!("REMORA_QUEUE_DIR {directory} does not exist");
            return Step::failed(
                Link::Queue,
                finding,
                "mount a volume there, or create the directory for the user that runs the sidecar",
            );
        }
        Err(error) => {
            let finding = format!("REMORA_QUEUE_DIR {directory} cannot be looked at: {error}");
            return Step::failed(Link::Queue, finding, OWNER_MEND);
        }
        Ok(metadata) if !metadata.is_dir() => {
            let finding = format!("REMORA_QUEUE_DIR {directory} is no directory");
            return Step::failed(Link::Queue, finding, "set it to a directory");
        }
        Ok(_) => {}
    }
    if let Err(error) = accessat(CWD, &queue.directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        let finding = format!("REMORA_QUEUE_DIR {directory} cannot be written to: {}", io::Error::from(error));
        let mend = if error == rustix::io::Errno::ROFS {
            "mount a writable volume there: the root file system of the container is read-only on purpose"
        } else {
            OWNER_MEND
        };
        return Step::failed(Link::Queue, finding, mend);
    }
    space(queue, &queue.directory)
}

fn space(queue: &Queue, directory: &Path) -> Step {
    let shown = directory.display();
    let Ok(volume) = statvfs(directory) else {
        return Step::ok(Link::Queue, format!("{shown} can be written to"));
    };
    let free = volume.f_bavail.saturating_mul(volume.f_frsize);
    let used = bytes_in(directory);
    let step = if volume.f_files > 0 && volume.f_favail == 0 {
        let finding = format!("the volume of {shown} has no room for another file (no inodes)");
        Step::failed(Link::Queue, finding, "remove files from the volume, or use another")
    } else if free == 0 {
        let finding = format!("the volume of {shown} is full");
        Step::failed(Link::Queue, finding, "make room on the volume, or set REMORA_QUEUE_BYTES_MAX lower than it holds")
    } else if free < queue.bytes_max.saturating_sub(used) {
        let finding = format!(
            "the queue may grow to {}, but the volume of {shown} has room for {} alone",
            bytes(queue.bytes_max),
            bytes(free)
        );
        Step::warning(
            Link::Queue,
            finding,
            "enlarge the volume, or set REMORA_QUEUE_BYTES_MAX lower: otherwise the disk fills first",
        )
    } else {
        Step::ok(Link::Queue, format!("{shown} can be written to and has {} free", bytes(free)))
    };
    step.with("used", bytes(used)).with("bytes_max", bytes(queue.bytes_max)).with("free", bytes(free))
}

/// Bytes of the files in `directory`, not of those below. Approximate: the sidecar may be at work.
fn bytes_in(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let files = entries.take(ENTRIES_MAX).filter_map(|entry| entry.ok()?.metadata().ok());
    files.filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
const ENTRIES_MAX: usize = 10_000;
const OWNER_MEND: &str = "give it to the user that runs the sidecar: in Kubernetes fsGroup: 65532 in the pod's securityContext, on a machine \
     chown or the unit's StateDirectory=";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn a_directory_is_judged_by_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, [0; 100]).unwrap();
        let look = |path: &Path, bytes_max| judge(&Queue { directory: path.to_owned(), bytes_max });
        let good = look(directory.path(), 1);
        assert_eq!(good.status, Status::Ok, "{good:?}");
        assert!(good.details.contains(&("used", "100 B".to_owned())), "{good:?}");
        for (path, bytes_max, status, words) in [
            (file.as_path(), 1, Status::Failed, "is no directory"),
            (&directory.path().join("missing"), 1, Status::Failed, "does not exist"),
            (directory.path(), u64::MAX, Status::Warning, "has room for"),
        ] {
            let step = look(path, bytes_max);
            assert!(step.status == status && step.finding.contains(words), "{step:?}");
        }
    }

    #[test]
    fn a_directory_of_another_is_refused() {
        // Root may write anywhere but into the kernel's own file systems.
        let step = judge(&Queue { directory: "/proc/self".into(), bytes_max: 1 });
        assert!(step.status == Status::Failed && step.finding.contains("cannot be written to"), "{step:?}");
    }
}
