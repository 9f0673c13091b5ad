//! What a caller can do about an error: the one vocabulary that edges translate into statuses.

/// A class of failures that ask the same of the caller.
///
/// For remote write this is correctness, not taste: a sender repeats on *unavailable* and *throttled* and drops on the rest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The request can never succeed as it is.
    Invalid,
    /// The request was understood and cannot be carried out (a query that fails while it runs).
    Unprocessable,
    /// No valid credential came with it.
    Unauthenticated,
    /// The principal is known and lacks the right.
    Forbidden,
    /// The thing named does not exist.
    NotFound,
    /// The path exists, not for this method.
    MethodNotAllowed,
    /// It does not go together with something that exists.
    Conflict,
    /// The thing is not in the state that the caller takes it to be in.
    PreconditionFailed,
    /// Larger than a named limit.
    TooLarge,
    /// A content type or encoding that is not spoken here.
    UnsupportedMedia,
    /// Over a rate; repeat later.
    Throttled,
    /// It took longer than allowed.
    Timeout,
    /// The caller went away.
    Canceled,
    /// Cannot be served now; repeat later.
    Unavailable,
    /// A mistake of ours.
    Internal,
}

/// An error that knows its kind.
pub trait Kinded {
    /// What the caller can do about it.
    fn kind(&self) -> ErrorKind;
}
