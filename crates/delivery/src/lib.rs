//! From the queue to the target: which request goes next, what its answer means, and what is done about it.
//!
//! No runtime, no socket: the target is a trait, waiting goes through `environment`, and so a test runs days of outages on
//! a simulated clock.
//!
//! Order of events for an entry: [`spool::Spool::next`] → waits while it shares a series with an earlier one → token →
//! [`Target::send`] → [`judge()`] → done what the verdict says, until [`spool::Spool::settle`].

mod account;
mod ages;
mod answer_text;
mod backoff;
mod bisection;
mod case;
mod counts;
mod delivery;
mod desk;
mod gate;
mod judge;
mod known_bad;
mod message;
mod policy;
mod quiet;
mod sections;
mod state;
mod suspects;
mod target;
mod window;

pub use delivery::{Delivery, Parts};
pub use judge::{Attempt, Reach, Verdict, judge};
pub use policy::Policy;
pub use state::{Blocked, State};
pub use target::{Answer, SendError, Shipment, Target};
