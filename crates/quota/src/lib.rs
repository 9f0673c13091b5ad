//! Rate, byte and active-series budgets, as state without I/O.
