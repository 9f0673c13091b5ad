//! This machine's clock against the endpoint's.

use std::time::Duration;

use bytes::Bytes;
use environment::{HttpClient, UnixTime};
use host::logging::Rfc3339;
use http::header::DATE;
use url::Url;

use crate::report::{Link, Step};
use crate::text::span;

/// What the server at `url` thinks the time is. Sends nothing but a request for `/`, and no token.
pub(crate) async fn ask(http: &dyn HttpClient, url: &Url, at_most: Duration) -> Option<UnixTime> {
    let mut root = url.clone();
    root.set_path("/");
    root.set_query(None);
    let request = http::Request::get(root.as_str()).body(Bytes::new()).ok()?;
    let answer = http.send(request, ASK_TIMEOUT.min(at_most)).await.ok()?;
    identity::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?)
}

/// Compares both clocks.
pub(crate) fn judge(here: UnixTime, there: Option<UnixTime>) -> Step {
    let Some(there) = there else {
        return Step::skipped(Link::Clock, "the endpoint does not tell its time");
    };
    let skew = skew(here, there);
    let told = format!("this machine's clock {} the endpoint's", words(here, there));
    let step = if skew <= WARN_ABOVE {
        Step::ok(
            Link::Clock,
            format!("this machine's clock agrees with the endpoint's (within {})", span(skew.max(SECOND))),
        )
    } else if skew <= FAIL_ABOVE {
        Step::warning(Link::Clock, told, MEND)
    } else {
        let effect = if skew > WINDOW {
            "tokens are taken for expired or not yet valid, and samples fall out of the 20 minutes that Azure takes"
        } else {
            "tokens are taken for expired or not yet valid"
        };
        Step::failed(Link::Clock, format!("{told}: {effect}"), MEND)
    };
    step.with("here", Rfc3339(here)).with("endpoint", Rfc3339(there))
}

/// Whether the two differ so much that a certificate's times cannot be judged by the one here.
pub(crate) fn is_wrong(here: UnixTime, there: UnixTime) -> bool {
    skew(here, there) > FAIL_ABOVE
}

fn words(here: UnixTime, there: UnixTime) -> String {
    let side = if here > there { "ahead of" } else { "behind" };
    format!("is {} {side}", span(skew(here, there)))
}

fn skew(here: UnixTime, there: UnixTime) -> Duration {
    here.since(there).max(there.since(here))
}

const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);
/// The header tells whole seconds, and the answer was under way for a while.
const WARN_ABOVE: Duration = Duration::from_secs(30);
/// What issuers and endpoints usually forgive.
const FAIL_ABOVE: Duration = Duration::from_secs(5 * 60);
/// Azure takes no sample that is further away from its own time.
const WINDOW: Duration = Duration::from_secs(20 * 60);
const MEND: &str = "set this machine's clock and keep it right (chrony, systemd-timesyncd; in a virtual machine the host's time service)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn a_skew_is_judged_by_what_it_breaks() {
        let there = UnixTime::from_secs(1_700_000_000);
        for (seconds, status, words) in [
            (0, Status::Ok, "agrees"),
            (-20, Status::Ok, "agrees"),
            (45, Status::Warning, "45 s ahead of"),
            (-250, Status::Warning, "4 min 10 s behind"),
            (-600, Status::Failed, "10 min 0 s behind"),
            (3_600, Status::Failed, "20 minutes"),
        ] {
            let step = judge(UnixTime::from_secs(1_700_000_000 + seconds), Some(there));
            assert!(step.status == status && step.finding.contains(words), "{seconds}: {step:?}");
        }
        assert_eq!(judge(there, None).status, Status::Skipped);
    }
}
