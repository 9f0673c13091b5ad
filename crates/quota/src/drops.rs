//! What was taken and not stored, counted as Azure counts it (contract §3.5).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something that was dropped: in which of Azure's two families it counts, and why it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dropped {
    /// Refused at the door (`EventsDropped`).
    Event(EventReason),
    /// Refused after it was accepted (`TimeSeriesSamplesDropped`).
    Sample(SampleReason),
}

/// Why an event is refused at the door.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventReason {
    /// More than 20 minutes in the past.
    OldData,
    /// More events than the workspace may take a minute.
    LimitThrottling,
    /// Names or labels that are too long, too many or broken.
    BadInputFormat,
    /// A mistake of the service.
    InternalError,
}

/// Why a sample is refused after it was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SampleReason {
    /// Another value is stored for the same time.
    Duplicate,
    /// Older than what is stored of its series.
    OutOfOrder,
    /// Of a new series, when there are as many active ones as there may be.
    LimitThrottling,
    /// More than 20 minutes in the future.
    InvalidTimeRange,
    /// More than 20 minutes in the past.
    OldData,
    /// A label has a reserved name.
    ReservedDimensionName,
    /// A value outside what is supported.
    BadInputFormat,
    /// A mistake of the service.
    InternalError,
}

impl Dropped {
    /// All that there are.
    pub const ALL: [Self; 12] = [
        Self::Event(EventReason::OldData),
        Self::Event(EventReason::LimitThrottling),
        Self::Event(EventReason::BadInputFormat),
        Self::Event(EventReason::InternalError),
        Self::Sample(SampleReason::Duplicate),
        Self::Sample(SampleReason::OutOfOrder),
        Self::Sample(SampleReason::LimitThrottling),
        Self::Sample(SampleReason::InvalidTimeRange),
        Self::Sample(SampleReason::OldData),
        Self::Sample(SampleReason::ReservedDimensionName),
        Self::Sample(SampleReason::BadInputFormat),
        Self::Sample(SampleReason::InternalError),
    ];

    /// The metric that counts it.
    pub const fn metric(self) -> &'static str {
        match self {
            Self::Event(_) => "EventsDropped",
            Self::Sample(_) => "TimeSeriesSamplesDropped",
        }
    }

    /// The value of the metric's dimension `Reason`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Event(EventReason::OldData) | Self::Sample(SampleReason::OldData) => "OldData",
            Self::Event(EventReason::LimitThrottling) | Self::Sample(SampleReason::LimitThrottling) => {
                "LimitThrottling"
            }
            Self::Event(EventReason::BadInputFormat) | Self::Sample(SampleReason::BadInputFormat) => "BadInputFormat",
            Self::Event(EventReason::InternalError) | Self::Sample(SampleReason::InternalError) => "InternalError",
            Self::Sample(SampleReason::Duplicate) => "Duplicate",
            Self::Sample(SampleReason::OutOfOrder) => "OutOfOrder",
            Self::Sample(SampleReason::InvalidTimeRange) => "InvalidTimeRange",
            Self::Sample(SampleReason::ReservedDimensionName) => "ReservedDimensionName",
        }
    }

    /// Its place in [`Dropped::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Event(reason) => reason as usize,
            Self::Sample(reason) => 4 + reason as usize,
        }
    }
}

/// Counts of all of them.
#[derive(Default, Debug)]
pub(crate) struct Drops([AtomicU64; Dropped::ALL.len()]);

impl Drops {
    pub(crate) fn add(&self, dropped: Dropped, count: u64) {
        self.0[dropped.index()].fetch_add(count, Relaxed);
    }

    pub(crate) fn totals(&self) -> [u64; Dropped::ALL.len()] {
        self.0.each_ref().map(|total| total.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_name_of_its_own() {
        for (index, dropped) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(dropped.index(), index, "{dropped:?}");
            let name = (dropped.metric(), dropped.reason());
            let same = Dropped::ALL.into_iter().filter(|other| (other.metric(), other.reason()) == name).count();
            assert_eq!(same, 1, "{name:?}");
        }
    }

    #[test]
    fn counts_are_kept_apart() {
        let drops = Drops::default();
        for (count, dropped) in (1..).zip(Dropped::ALL) {
            drops.add(dropped, count);
            drops.add(dropped, 100);
        }
        assert_eq!(drops.totals(), [101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112]);
    }
}
