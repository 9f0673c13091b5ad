//! How many files and sockets this process may have open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises what this process may have open to the most that the system lets it, and returns that.
///
/// Shells and init systems start programs with a soft limit of 1,024 for the sake of those that use `select`; a server
/// hits it at 1,024 connections, long before memory or time are short.
///
/// # Errors
/// As the system reports them. The limit is then what it was.
pub fn raise_open_files_max() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    // Without a hard limit the kernel still has one of its own, below which this stays.
    let wanted = limit.maximum.unwrap_or(OPEN_FILES_MAX).min(OPEN_FILES_MAX);
    match limit.current {
        Some(current) if current >= wanted => Ok(current),
        None => Ok(OPEN_FILES_MAX),
        Some(_) => {
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
            Ok(wanted)
        }
    }
}

/// Far more than is ever open, and what Linux allows a process at most by default (`fs.nr_open`).
const OPEN_FILES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(OPEN_FILES_MAX).min(OPEN_FILES_MAX);
        let lower = Rlimit { current: Some(hard / 2), maximum: getrlimit(Resource::Nofile).maximum };
        setrlimit(Resource::Nofile, lower).unwrap();
        assert_eq!(raise_open_files_max().unwrap(), hard);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(hard));
        assert_eq!(raise_open_files_max().unwrap(), hard, "again");
    }
}
