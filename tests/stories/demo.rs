//! The demonstration does what it says, and finds itself again.

use cardea_tests::{Client, Demo, Story};
use http::Method;

#[tokio::test]
async fn every_suggestion_ends_as_it_says() -> Story {
    let demo = Demo::start().await?;
    anyhow::ensure!(demo.told.attempts.len() >= 4, "too little to try");
    for attempt in &demo.told.attempts {
        let mut client = match &attempt.who {
            Some(email) => demo.signed_in(email, &attempt.url.join("/")?).await?.0,
            None => Client::browser(),
        };
        client.program = true;
        let method: Method = attempt.method.parse()?;
        let body = (method != Method::GET).then(|| ("application/json", "{}".to_owned()));
        client.headers.push(("origin".to_owned(), attempt.url.origin().ascii_serialization()));
        let reply = client.send(method, &attempt.url, body).await?;
        assert_eq!(reply.status.as_u16(), attempt.expect, "{}: {}\n{}", attempt.url, attempt.why, reply.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_second_start_finds_people_sessions_and_records_as_they_were() -> Story {
    let demo = Demo::start().await?;
    let email = demo.told.people[0].email.clone();
    let page = demo.at("records.acme", "/studies")?;
    let (mut client, first) = demo.signed_in(&email, &page).await?;
    assert_eq!(first.status, 200, "{}", first.body);
    let people: Vec<_> =
        demo.told.people.iter().map(|p| (p.email.clone(), p.password.clone(), p.totp.clone())).collect();

    let demo = demo.killed_and_restarted().await?;
    let again: Vec<_> =
        demo.told.people.iter().map(|p| (p.email.clone(), p.password.clone(), p.totp.clone())).collect();
    assert_eq!(people, again);
    let second = client.get(&page).await?;
    assert_eq!(second.status, 200, "the session did not live on: {}", second.body);
    Ok(())
}
