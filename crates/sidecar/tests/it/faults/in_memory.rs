//! The queue in memory: the same rules without a disk, and without a promise across the end of the process.

use std::time::Duration;

use super::audit::{Account, wait_until_empty};
use super::load::Plan;
use super::passing_time::eventually;
use super::scene::Scene;

#[test]
fn the_same_rules_without_a_disk() {
    let mut scene = Scene::prepare(&[("REMORA_QUEUE", "memory"), ("REMORA_QUEUE_BYTES_MAX", "1MiB")]);
    scene.sidecar.unset("REMORA_QUEUE_DIR");
    scene.sink.down();
    scene.sidecar.start();
    let info = scene.sidecar.metrics().sum("queue_info", "medium=\"memory\",survives_crash=\"false\"");
    assert_eq!(info, 1.0);
    let scraper = scene.scrape();
    let load = scene.load(&Plan { series: 400, samples: 5, ..Plan::endless() });
    eventually("the queue to push back", Duration::from_secs(30), || {
        scene.sidecar.metrics().find("queue_pushed_back_total").filter(|count| *count > 0.0)
    });
    scene.sink.up();
    let before = load.acknowledged();
    eventually("room", Duration::from_secs(60), || (load.acknowledged() > before + 20).then_some(()));
    let sent = load.stop();
    wait_until_empty(&scene.sidecar, Duration::from_secs(30));
    scraper.stop();
    let account = Account::of_all(&scene.sidecar.metrics());
    assert_eq!((account.received, account.delivered), (sent.acknowledged.len() as f64, account.received));
    let record = scene.sink.record();
    assert!(sent.acknowledged.iter().all(|point| record.points.contains_key(point)));
    assert_eq!((record.repeats(), record.disorder.len()), (0, 0));
    drop(record);
    assert!(scene.sidecar.terminate().success());
}
