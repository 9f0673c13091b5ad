//! The API as a client sees it.

mod changes;
mod connection;
mod frame;
mod lists;
mod rights;
mod shapes;
