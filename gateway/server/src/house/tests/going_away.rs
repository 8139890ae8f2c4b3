//! Clients that do not wait for the answer.
//!
//! One thread: what a request begins can only go on once the request itself waits, so that what a test sees after a poll
//! is what the next step finds, on every machine.

use std::task::Poll;

use super::*;

/// A request to sign out with this handle, as a browser sends it.
fn signing_out(handle: &Handle) -> http::Request<cardea_proxy::Body> {
    http::Request::post("/sign-out")
        .header(http::header::HOST, "acme.localhost")
        .header("sec-fetch-site", "same-origin")
        .header(http::header::COOKIE, format!("cardea={}", handle.expose_text()))
        .body(cardea_proxy::Body::empty())
        .unwrap()
}

/// A house with its data plane.
struct Front {
    stage: Stage,
    proxy: Arc<Proxy>,
}

/// A person who is about to sign out.
struct Leaving {
    session: Session,
    handle: Handle,
}

impl Front {
    async fn set() -> Self {
        let stage = Stage::set().await;
        let proxy = crate::running::proxy(&stage.house, &mut prometheus_client::registry::Registry::default());
        Self { stage, proxy }
    }

    /// Somebody signed in on the sign-in host.
    async fn leaving(&self) -> Leaving {
        let house = &self.stage.house;
        let (session, _) = sign_in(house, &self.stage.tenant, &self.stage.user).await;
        let (handle, record) = HandleRecord::issue(&session, "acme.localhost", house.now(), &*house.entropy);
        house.shared.handle_insert(&record, &session).await.unwrap();
        Leaving { session, handle }
    }

    /// Their request, which `going` gives up as soon as it says so after a poll; what it answered, if it came so far.
    async fn asked(&self, one: &Leaving, mut going: impl FnMut() -> bool) -> Option<http::StatusCode> {
        let connection =
            Arc::new(cardea_proxy::Connection::plain("127.0.0.1:9".parse().unwrap(), cardea_proxy::Door::Public));
        let mut request = std::pin::pin!(self.proxy.handle(&connection, signing_out(&one.handle)));
        std::future::poll_fn(|cx| match request.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer.status())),
            Poll::Pending if going() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Whether the session ended and whether the log tells of it, once all that was begun is done.
    async fn left(&self, one: &Leaving) -> (bool, bool) {
        let stage = &self.stage;
        stage.house.begun.all_done(Duration::MAX).await;
        let kept = stage.house.shared.session(&stage.tenant, one.session.id).await.unwrap().unwrap();
        stage.house.log.flush().await.unwrap();
        let query = LogQuery { events: vec!["sign-out".to_owned()], limit: 500, ..LogQuery::default() };
        let told = stage.house.store.log(Some(&stage.tenant), &query).await.unwrap().items;
        (kept.ended.is_some(), told.iter().any(|entry| entry.entry().unwrap().session == Some(one.session.id)))
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_change_without_its_entry() {
    let front = Front::set().await;
    let one = front.leaving().await;
    let begun = &front.stage.house.begun;
    let answer = front.asked(&one, || begun.under_way() > 0).await;
    assert_eq!((answer, begun.under_way()), (None, 1), "it went away in the midst of it");
    assert_eq!(front.left(&one).await, (true, true), "what was begun is done, and told");
    let other = front.leaving().await;
    assert_eq!(front.asked(&other, || false).await, Some(http::StatusCode::OK));
    assert_eq!(front.left(&other).await, (true, true));
    front.stage.strike().await;
}

#[tokio::test]
async fn a_client_that_goes_away_before_it_was_begun_has_changed_nothing() {
    let front = Front::set().await;
    let one = front.leaving().await;
    let begun = &front.stage.house.begun;
    let mut places = begun.full();
    // It is given the next place and goes away before it has taken it.
    assert_eq!(front.asked(&one, || places.next_is_taken()).await, None);
    assert_eq!(begun.under_way(), 0);
    drop(places);
    assert_eq!(front.left(&one).await, (false, false), "nothing was begun: neither the change nor its entry");
    assert_eq!(front.asked(&one, || false).await, Some(http::StatusCode::OK), "the place was given back");
    assert_eq!(front.left(&one).await, (true, true));
    front.stage.strike().await;
}

/// How far a poll gets depends on the machine; whatever the step, there is both or neither.
#[tokio::test]
async fn a_client_may_go_away_at_every_step() {
    let front = Front::set().await;
    for polls in 1_usize.. {
        let one = front.leaving().await;
        let mut left = polls;
        let answer = front
            .asked(&one, || {
                left -= 1;
                left == 0
            })
            .await;
        let (ended, told) = front.left(&one).await;
        assert_eq!(ended, told, "given up after {polls} polls");
        if let Some(answer) = answer {
            assert_eq!((answer, ended), (http::StatusCode::OK, true));
            break;
        }
    }
    front.stage.strike().await;
}
