//! Clocks, chance, HTTP and an executor for tests: whole runs replay from a seed, days pass in milliseconds.
//!
//! Development only: no program links this. Invariant: nothing here opens a socket, reads the system clock or starts a
//! thread; files are read by [`corpus`] alone.

pub mod chance;
mod clock;
pub mod corpus;
mod disk;
mod http;
mod rng;
pub mod series_notation;
pub mod series_store;
mod simulation;

pub use clock::ManualClock;
pub use disk::{Fault, MemoryDisk};
pub use http::{ScriptedHttp, json_response, response};
pub use rng::SeededRng;
pub use simulation::{Simulation, Task};
