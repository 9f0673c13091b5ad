//! The API as a client sees it.

mod changes;
mod frame;
mod lists;
mod rights;
mod shapes;
