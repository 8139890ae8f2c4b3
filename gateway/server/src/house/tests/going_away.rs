//! Clients that do not wait for the answer.

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

/// What comes of `future`, if it needs no more than so many polls; else it is dropped with its next step ready.
async fn given_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let (mut future, mut done) = (std::pin::pin!(future), 0);
    std::future::poll_fn(|cx| {
        if done == polls {
            return std::task::Poll::Ready(None);
        }
        done += 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_no_change_without_its_entry() {
    let stage = Stage::set().await;
    let proxy = crate::running::proxy(&stage.house, &mut prometheus_client::registry::Registry::default());
    let connection =
        Arc::new(cardea_proxy::Connection::plain("127.0.0.1:9".parse().unwrap(), cardea_proxy::Door::Public));
    let (mut made, mut answered) = (0, 0);
    // How far a poll gets depends on the machine; three rounds pass every step.
    for polls in (1..).flat_map(|polls| [polls; 3]).take_while(|polls| *polls < 100) {
        let (session, _) = sign_in(&stage.house, &stage.tenant, &stage.user).await;
        let (handle, record) =
            HandleRecord::issue(&session, "acme.localhost", stage.house.now(), &*stage.house.entropy);
        stage.house.shared.handle_insert(&record, &session).await.unwrap();
        let answer = given_up_after(polls, proxy.handle(Arc::clone(&connection), signing_out(&handle))).await;
        stage.house.begun.all_done(Duration::MAX).await;
        let kept = stage.house.shared.session(&stage.tenant, session.id).await.unwrap().unwrap();
        made += usize::from(kept.ended.is_some());
        let told = stage.events().await.iter().filter(|code| *code == "sign-out").count();
        assert_eq!(told, made, "given up after {polls} polls");
        if let Some(answer) = answer {
            assert_eq!((answer.status(), kept.ended.is_some()), (http::StatusCode::OK, true));
            answered += 1;
        }
        if answered == 3 {
            break;
        }
    }
    assert!(answered == 3 && made > answered, "nobody went away in the midst of it: {made} sessions ended");
    stage.strike().await;
}
