//! Serving HTTP: the accept loop, what every request passes through before an edge sees it, and how errors become answers.
//!
//! One listener takes TLS and plain HTTP on the same port (the first byte decides), bounds connections and times, and
//! drains on shutdown. Edges implement [`Handler`]; programs choose between them by path.
