//! The store from outside.

mod contract;
mod fixture;

store_contract!(in_a_file, crate::fixture::Backend::File);
store_contract!(in_memory, crate::fixture::Backend::Memory);
