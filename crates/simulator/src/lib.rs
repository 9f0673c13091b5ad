//! Whole databases on a disk and a clock that do their worst, from one seed.

pub mod chance;
pub mod disk;
