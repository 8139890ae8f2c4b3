//! The figures that an overview shows.

use super::*;

#[tokio::test]
async fn an_overview_counts_what_the_apps_were_asked_and_not_what_we_were() {
    let desk = desk(LogLimits::default()).await;
    let ours = ["a", "b", "c", "d", "wiki"].map(|name| AppId::parse(name).unwrap());
    for nth in 0..10 {
        let mut one = entry(nth);
        if let Event::Request(request) = &mut one.event {
            request.reason = Some(Reason::UpstreamTimeout);
        }
        desk.log.record(one);
    }
    desk.log.flush().await.unwrap();
    let counts = desk.store.verdict_counts(&tenant("acme"), t0(), &ours).await.unwrap();
    assert_eq!(counts.faulted, 5, "half of them asked `records`");
    let late = t0().plus(Duration::from_secs(6));
    assert_eq!(desk.store.verdict_counts(&tenant("acme"), late, &ours).await.unwrap().faulted, 2);
    assert_eq!(desk.store.verdict_counts(&tenant("beta"), t0(), &ours).await.unwrap().faulted, 0);
}
