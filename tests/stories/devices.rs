//! Browsers that an account knows: whose tries are counted apart from strangers'.

use cardea_tests::{Client, Gateway, Plan, Story, Upstream, gateway::PASSWORD};
use http::Method;

const MIRA: &str = "mira@acme.example";

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// Each browser in which the password was shown once counted as hers: after fifty guesses at her codes, in six of them, she
/// waited in her own.
#[tokio::test]
async fn who_has_the_password_alone_guesses_among_strangers_and_keeps_no_owner_waiting() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut hers, mira) = gateway.person_with_codes(MIRA, &["readers"]).await?;
    hers.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    let secret = gateway.at("echo.acme", "/secret")?;
    let mut statuses = Vec::new();
    for nth in 0..6 {
        let mut thief = Client::browser();
        thief.from = Some([127, 5, 0, nth].into());
        let page = thief.open(&secret).await?;
        let page = thief.submit(&page, &[("email", MIRA)]).await?;
        let mut page = thief.submit(&page, &[("password", PASSWORD)]).await?;
        for guess in 0..10 {
            page = thief.submit(&page, &[("code", &format!("{:06}", 111_111 + guess))]).await?;
            statuses.push(page.status.as_u16());
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 10, "fifty guesses in all: {statuses:?}");
    let page = hers.open(&secret).await?;
    let page = mira.answer(&mut hers, page).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &secret), "{}", page.body);
    Ok(())
}
