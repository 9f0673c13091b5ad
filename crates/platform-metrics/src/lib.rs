//! Azure's platform metrics of workspaces and rules: recorded every minute, read by time range.
