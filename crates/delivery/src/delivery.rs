//! The loop that empties the queue: waits for whatever happens next and tells the desk.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use environment::{BoxFuture, Clock, Rng};
use futures_util::future::{Fuse, FusedFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use futures_util::{FutureExt, Stream};
use identity::TokenCache;
use parking_lot::Mutex;
use spool::{Entry, ReadError, Spool};

use crate::desk::{Arrival, Departure, Desk, Ticket};
use crate::{Policy, Shipment, State, Target};

/// What delivery is made of.
pub struct Parts {
    /// Where entries come from.
    pub spool: Spool,
    /// Where they go. May be exchanged while it runs.
    pub target: Arc<dyn Target>,
    /// Tokens for it. Somebody has to run the cache.
    pub tokens: Arc<TokenCache>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub rng: Arc<dyn Rng>,
    /// Bounds and patience.
    pub policy: Policy,
}

/// Empties the queue. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Delivery(Arc<Shared>);

struct Shared {
    spool: Spool,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    state: Arc<Mutex<State>>,
    orders: Mutex<Orders>,
    /// Wakes the loop when there are orders.
    waker: AtomicWaker,
}

/// What others want, until the loop takes it up.
struct Orders {
    policy: Policy,
    way: Way,
    policy_changed: bool,
    way_changed: bool,
}

/// A target and the tokens for it.
#[derive(Clone)]
struct Way {
    target: Arc<dyn Target>,
    tokens: Arc<TokenCache>,
}

/// What ended the wait.
enum Event {
    Arrived(Ticket, Way, Arrival),
    Entry(Result<Option<Entry>, ReadError>),
    /// Shutdown, orders, or a time has come: the loop looks for itself.
    Other,
}

type Journey = BoxFuture<'static, (Ticket, Way, Arrival)>;
type Reading = BoxFuture<'static, Result<Option<Entry>, ReadError>>;

impl Delivery {
    /// Delivery of these parts; nothing happens until it runs.
    pub fn new(parts: Parts) -> Self {
        let Parts { spool, target, tokens, clock, rng, policy } = parts;
        let way = Way { target, tokens };
        Self(Arc::new(Shared {
            spool,
            clock,
            rng,
            state: Arc::default(),
            orders: Mutex::new(Orders { policy, way, policy_changed: false, way_changed: false }),
            waker: AtomicWaker::new(),
        }))
    }

    /// Delivers until `shutdown` resolves; then starts no new request, lets those on their way end for at most `drain`, and
    /// returns: at once while the target takes nothing or there is no token. What is not settled by then stays in the queue.
    /// Whoever wants the queue handed over before waits for [`Spool::stats`] to say that it is empty, and then shuts down.
    ///
    /// To be run once.
    pub async fn run(&self, shutdown: impl Future<Output = ()>, drain: Duration) {
        let Shared { spool, clock, rng, state, orders, .. } = &*self.0;
        let mut shutdown = pin!(shutdown.fuse());
        let mut journeys = FuturesUnordered::<Journey>::new();
        let mut reading: Fuse<Reading> = Fuse::terminated();
        let mut deadline = None;
        let (policy, mut way) = {
            let orders = orders.lock();
            (orders.policy.clone(), orders.way.clone())
        };
        let mut desk = Desk::new(Arc::clone(clock), Arc::clone(rng), spool.clone(), policy, Arc::clone(state));
        loop {
            if deadline.is_some_and(|deadline| clock.monotonic() >= deadline || journeys.is_empty()) {
                break;
            }
            self.take_orders(&mut desk, &mut way);
            desk.sweep();
            while deadline.is_none()
                && let Some(departure) = desk.depart()
            {
                journeys.push(journey(departure, way.clone(), Arc::clone(clock), Arc::clone(state)));
            }
            desk.publish();
            if deadline.is_some() && self.is_in_vain() {
                break;
            }
            if reading.is_terminated()
                && deadline.is_none()
                && let Some(after) = desk.wants_entry()
            {
                reading = spool.next(after).boxed().fuse();
            }
            let mut time = self.next_look(&desk, deadline);
            let event = std::future::poll_fn(|context| {
                self.0.waker.register(context.waker());
                if self.has_orders() || deadline.is_none() && shutdown.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Event::Other);
                }
                if let Poll::Ready(Some((ticket, way, arrival))) = pin!(&mut journeys).poll_next(context) {
                    return Poll::Ready(Event::Arrived(ticket, way, arrival));
                }
                if let Poll::Ready(read) = reading.poll_unpin(context) {
                    return Poll::Ready(Event::Entry(read));
                }
                time.as_mut().map_or(Poll::Pending, |time| time.poll_unpin(context)).map(|()| Event::Other)
            })
            .await;
            if deadline.is_none() && shutdown.is_terminated() {
                deadline = Some(clock.monotonic().plus(drain));
            }
            match event {
                Event::Arrived(ticket, way, arrival) => desk.arrived(ticket, arrival, &way.tokens),
                Event::Entry(read) => desk.entry(read),
                Event::Other => {}
            }
        }
        drop(journeys);
        let mut state = state.lock();
        (state.in_flight, state.sending) = (0, 0);
    }

    /// What it is about.
    pub fn state(&self) -> State {
        self.0.state.lock().clone()
    }

    /// Other bounds and patience from now on.
    pub fn set_policy(&self, policy: Policy) {
        let mut orders = self.0.orders.lock();
        orders.policy = policy;
        orders.policy_changed = true;
        drop(orders);
        self.0.waker.wake();
    }

    /// Another target and other tokens from now on; requests on their way end with the old ones. What is blocked is tried
    /// again at once.
    pub fn set_target(&self, target: Arc<dyn Target>, tokens: Arc<TokenCache>) {
        let mut orders = self.0.orders.lock();
        orders.way = Way { target, tokens };
        orders.way_changed = true;
        drop(orders);
        self.0.waker.wake();
    }

    /// Whether it is of no use to wait for what is on its way.
    fn is_in_vain(&self) -> bool {
        let state = self.0.state.lock();
        state.blocked.is_some() || state.waits_for_token()
    }

    fn has_orders(&self) -> bool {
        let orders = self.0.orders.lock();
        orders.policy_changed || orders.way_changed
    }

    fn take_orders(&self, desk: &mut Desk, way: &mut Way) {
        let mut orders = self.0.orders.lock();
        if std::mem::take(&mut orders.policy_changed) {
            desk.set_policy(orders.policy.clone());
        }
        if std::mem::take(&mut orders.way_changed) {
            *way = orders.way.clone();
            desk.forget_target();
        }
    }

    fn next_look(&self, desk: &Desk, deadline: Option<environment::Deadline>) -> Option<BoxFuture<'static, ()>> {
        let clock = &self.0.clock;
        let until_deadline = deadline.map(|deadline| deadline.since(clock.monotonic()));
        let span = [desk.wake_in(), until_deadline].into_iter().flatten().min()?;
        Some(clock.sleep(span))
    }
}

/// One request: a token, the way there and back.
fn journey(departure: Departure, way: Way, clock: Arc<dyn Clock>, state: Arc<Mutex<State>>) -> Journey {
    Box::pin(async move {
        let Departure { ticket, parcel } = departure;
        let token = match way.tokens.token().await {
            Ok(token) => token,
            Err(error) => return (ticket, way, Arrival::NoToken(error)),
        };
        let (started, body_bytes) = (clock.monotonic(), parcel.body.len());
        let shipment = Shipment { version: parcel.version, body: parcel.body, token: token.clone() };
        state.lock().sending += 1;
        let answer = way.target.send(shipment).await;
        state.lock().sending -= 1;
        let took = clock.monotonic().since(started);
        (ticket, way, Arrival::Answered { answer, token, took, body_bytes })
    })
}
