//! The demonstration does what it says, and finds itself again.

use std::collections::BTreeMap;

use cardea_tests::{Client, Demo, Story};
use http::Method;

#[tokio::test]
async fn every_suggestion_ends_as_it_says() -> Story {
    let demo = Demo::start().await?;
    anyhow::ensure!(demo.told.attempts.len() >= 4, "too little to try");
    let mut browsers = BTreeMap::new();
    for attempt in &demo.told.attempts {
        let mut client = match &attempt.who {
            None => Client::browser(),
            Some(email) => {
                let before = browsers.remove(email);
                demo.as_strongly_as_can_be(email, &attempt.url.join("/")?, before).await?
            }
        };
        let method: Method = attempt.method.parse()?;
        let body = (method != Method::GET).then(|| ("application/x-www-form-urlencoded", String::new()));
        // As a script does that says nothing of itself: no page is wanted, and no redirect to one.
        client.accept = Some("*/*");
        let reply = client.send(method, &attempt.url, body).await?;
        assert_eq!(reply.status.as_u16(), attempt.expect, "{}: {}\n{}", attempt.url, attempt.why, reply.body);
        client.accept = None;
        browsers.extend(attempt.who.clone().map(|email| (email, client)));
    }
    Ok(())
}

/// Its services are reached by mTLS, for which the gateway alone has certificates: the command line needs none.
#[tokio::test]
async fn the_command_line_works_beside_it() -> Story {
    let demo = Demo::start().await?;
    let invited = demo.does(&["--format", "json", "user", "--tenant", "acme", "invite", "mira@acme.example"]).await?;
    let link = serde_json::from_str::<serde_json::Value>(&invited)?["url"].as_str().unwrap_or_default().parse()?;
    assert_eq!(Client::browser().open(&link).await?.status, 200);
    assert!(demo.does(&["user", "--tenant", "acme", "list"]).await?.contains("mira@acme.example"));
    let reply = Client::program().get(&demo.at("records.acme", "/about")?).await?;
    let id = reply.header("x-request-id").unwrap_or_default();
    assert!(demo.does(&["policy", "explain", id]).await?.contains(id));
    Ok(())
}

#[tokio::test]
async fn a_second_start_finds_people_sessions_and_records_as_they_were() -> Story {
    let demo = Demo::start().await?;
    let page = demo.at("records.acme", "/studies/S-12/records")?;
    let (mut client, first) = demo.signed_in("rui@acme.example", &demo.at("records.acme", "/studies")?).await?;
    assert_eq!(first.status, 200, "{}", first.body);
    client.program = true;
    let record = serde_json::json!({ "title": "Kept", "text": "through a power cut" });
    let made = client.json(Method::POST, &page, &record).await?;
    assert_eq!(made.status, 201, "{}", made.body);
    let at = made.location()?;
    let people = |demo: &Demo| -> Vec<_> {
        demo.told.people.iter().map(|p| (p.email.clone(), p.password.clone(), p.totp.clone())).collect()
    };
    let before = people(&demo);

    let demo = demo.killed_and_restarted().await?;
    assert_eq!(before, people(&demo));
    let second = client.get(&at).await?;
    assert_eq!(second.status, 200, "the session did not live on: {}", second.body);
    assert!(second.body.contains("through a power cut"), "{}", second.body);
    Ok(())
}
