//! Why an element is not stored: its name in our own metrics, and the family and reason under which Azure counts it
//! (contract §3.5).

use catalog::Profile;
use quota::{Dropped, EventReason, SampleReason};
use storage::AppendError;

/// A reason. In workspaces of profile `azure` its name is Azure's, in others our own, which says more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cause {
    pub(crate) name: &'static str,
    pub(crate) dropped: Dropped,
}

impl Cause {
    pub(crate) fn new(profile: Profile, name: &'static str, dropped: Dropped) -> Self {
        let name = if profile == Profile::Azure { dropped.reason() } else { name };
        Self { name, dropped }
    }

    /// Names or labels that cannot be taken.
    pub(crate) fn bad_labels(profile: Profile, name: &'static str) -> Self {
        Self::new(profile, name, Dropped::Event(EventReason::BadInputFormat))
    }

    /// A histogram or exemplar that cannot be taken.
    pub(crate) fn bad_value(profile: Profile, name: &'static str) -> Self {
        Self::new(profile, name, Dropped::Sample(SampleReason::BadInputFormat))
    }

    /// More events than the workspace may take a minute.
    pub(crate) fn too_many_events(profile: Profile) -> Self {
        Self::new(profile, "events-limit", Dropped::Event(EventReason::LimitThrottling))
    }

    /// More active series than the workspace may have.
    pub(crate) fn too_many_series(profile: Profile) -> Self {
        Self::new(profile, "active-series-limit", Dropped::Sample(SampleReason::LimitThrottling))
    }

    /// What the engine says.
    pub(crate) fn of_append(profile: Profile, error: &AppendError) -> Self {
        let reason = match error {
            AppendError::DuplicateTimestamp { .. } => SampleReason::Duplicate,
            AppendError::OutOfOrder { .. } | AppendError::OutOfOrderExemplar { .. } => SampleReason::OutOfOrder,
            AppendError::TooOld { .. } => SampleReason::OldData,
            AppendError::TooFarAhead { .. } => SampleReason::InvalidTimeRange,
            AppendError::SeriesLimit { .. } => SampleReason::LimitThrottling,
        };
        Self::new(profile, error.reason(), Dropped::Sample(reason))
    }
}

#[cfg(test)]
mod tests {
    use model::TimestampMs;
    use storage::AgeLimit;

    use super::*;

    #[test]
    fn each_engine_s_reason_has_azure_s() {
        let at = TimestampMs(1);
        for (error, strict, azure) in [
            (AppendError::DuplicateTimestamp { at }, "duplicate-timestamp", "Duplicate"),
            (AppendError::OutOfOrder { at, newest: at }, "out-of-order", "OutOfOrder"),
            (AppendError::OutOfOrderExemplar { at, newest: at }, "out-of-order-exemplar", "OutOfOrder"),
            (AppendError::TooOld { at, oldest: at, limit: AgeLimit::Retention }, "too-old", "OldData"),
            (AppendError::TooFarAhead { at, newest: at }, "too-far-ahead", "InvalidTimeRange"),
            (AppendError::SeriesLimit { limit: 1 }, "series-limit", "LimitThrottling"),
        ] {
            for (profile, name) in [(Profile::Strict, strict), (Profile::Azure, azure)] {
                let cause = Cause::of_append(profile, &error);
                assert_eq!((cause.name, cause.dropped.reason()), (name, azure));
                assert_eq!(cause.dropped.metric(), "TimeSeriesSamplesDropped");
            }
        }
    }
}
