//! What becomes of linked accounts when they are taken away, of what rests on them, and of trips that fail.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{Client, Story, form};
use http::Method;

use crate::{
    enrolment::presses,
    linking::{BEN, MIRA, WITH, house},
    oidc::World,
};

/// Where the provider's word about an address of its domain is believed, too: it brings whoever was never unlinked.
#[tokio::test]
async fn what_was_unlinked_is_linked_again_by_its_person_and_by_no_address() -> Story {
    let lines = "link = true\nemail_domains = [\"work.example\"]\n";
    let world = World::with(lines, "[factors]\nenrol = \"sign-in\"\n").await?;
    let (mut hers, _, _) = world.gateway.newcomer(MIRA, &["readers"]).await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    for times in 1..=2 {
        assert_eq!(world.links(&mut hers, "mira").await?.status, 200);
        let (_, page) = world.signs_in(&echo, "mira").await?;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
        assert_eq!(world.unlinks(&mut hers).await?.status, 200);
        for _ in 0..2 {
            let (client, page) = world.signs_in(&echo, "mira").await?;
            assert_eq!(page.status, 403, "{}", page.body);
            assert!(page.body.contains("That account was unlinked"), "{}", page.body);
            assert!(client.cookie("acme.localhost", "cardea").is_none());
        }
        let (linked, unlinked) = (world.events("identity-linked").await?, world.events("identity-unlinked").await?);
        assert_eq!((linked.len(), unlinked.len()), (times, times), "{linked:?}");
    }
    let refused = world.events("sign-in-refused").await?;
    assert!(refused.iter().all(|one| one["reason"] == "account-unlinked"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_sign_in_under_way_does_not_outlive_the_account_that_it_began_with() -> Story {
    let world = World::with("link = true\n", "[factors]\nminimum = 2\n").await?;
    let (mut hers, mira) = world.gateway.person_with_codes(MIRA, &["readers"]).await?;
    assert_eq!(world.links(&mut hers, "gus").await?.status, 200);
    let (mut by_account, page) = world.signs_in(&world.gateway.at("echo.acme", "/x")?, "gus").await?;
    assert_eq!(page.url.path(), "/sign-in/totp", "{} {}", page.status, page.body);
    assert_eq!(world.unlinks(&mut hers).await?.status, 200);
    let page = mira.answer(&mut by_account, page).await?;
    assert_eq!(page.status, 401, "{} {}", page.url, page.body);
    assert!(by_account.cookie("acme.localhost", "cardea").is_none(), "in by what is hers no more");
    let ended = world.events("session-ended").await?;
    assert_eq!(ended.iter().filter(|one| one["cause"] == "factor-changed").count(), 1, "{ended:?}");
    assert!(hers.open(&world.gateway.at("acme", "/")?).await?.status.is_success());
    Ok(())
}

#[tokio::test]
async fn nobody_unlinks_the_last_way_in_nor_what_is_anothers() -> Story {
    let world = house().await?;
    let (mut hers, _, _) = world.gateway.newcomer(MIRA, &["readers"]).await?;
    let (mut his, _, _) = world.gateway.newcomer(BEN, &[]).await?;
    assert_eq!(world.links(&mut hers, "gus").await?.status, 200);
    assert_eq!(world.links(&mut his, "rita").await?.status, 200);
    let factors = world.gateway.at("acme", "/factors")?;
    let list = hers.open(&factors).await?;
    let account = form::link(&list.body, "/factors/accounts/").context("none to remove")?;

    // By her address in his browser, and by none that is.
    for way in [account.as_str(), "/factors/accounts/work-1/remove"] {
        let url = factors.join(way)?;
        assert_eq!(his.open(&url).await?.status, 404, "{way}");
        let pressed = Some(("application/x-www-form-urlencoded", String::new()));
        assert_eq!(his.send(Method::POST, &url, pressed).await?.status, 404, "{way}");
    }

    // With the password gone, the account is all that she has.
    let asked = hers.open(&factors.join(&account)?).await?;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let removals: Vec<_> = list.body.split("href=\"").filter_map(|rest| rest.split('"').next()).collect();
    let password = removals.iter().find(|way| way.ends_with("/remove") && !way.contains("accounts")).context("none")?;
    let page = hers.open(&factors.join(password)?).await?;
    presses(&mut hers, &page, password).await?;
    let list = hers.open(&factors).await?;
    assert!(list.body.contains("Linked account") && form::link(&list.body, "/factors/accounts/").is_none());
    let page = presses(&mut hers, &asked, &account).await?;
    assert!(page.body.contains("You need this to sign in"), "{} {}", page.status, page.body);
    assert!(page.body.contains("Linked account"), "{}", page.body);
    assert!(world.events("identity-unlinked").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_trip_that_fails_is_told_as_one_and_leads_back() -> Story {
    let world = house().await?;
    let mira = world.gateway.person(MIRA, &["readers"]).await?;
    let mut hers = world.in_portal(&mira).await?;
    let factors = world.gateway.at("acme", "/factors")?.to_string();
    let lies = |page: &cardea_tests::Reply| {
        page.body.contains("The account was not linked") && form::link(&page.body, &factors).is_some()
    };
    // The provider lies, she changes her mind there, and it is away.
    world.provider.misbehave("nonce").await?;
    let page = world.links(&mut hers, "gus").await?;
    assert!(page.status == 403 && lies(&page), "{} {}", page.status, page.body);
    world.provider.misbehave("not").await?;
    hers.forget("127.0.0.1");
    let page = hers.open(&world.gateway.at("acme", WITH)?).await?;
    let page = presses(&mut hers, &page, WITH).await?;
    let abort = form::link(&page.body, "/interaction/").or_else(|| form::link(&page.body, &world.provider.issuer()));
    let page = hers.open(&page.url.join(&abort.context("no way back")?)?).await?;
    assert!(page.status == 403 && lies(&page), "{} {}", page.status, page.body);
    // What she has changes on the way: what it was judged by is not so any more.
    let back = world.sets_out(&mut hers, "gus").await?;
    let mut elsewhere = world.in_portal(&mira).await?;
    assert_eq!(world.links(&mut elsewhere, "rita").await?.status, 200);
    let page = hers.open(&back).await?;
    assert!(page.status == 409 && lies(&page), "{} {}", page.status, page.body);

    let told = async {
        loop {
            let refused = world.events("factor-refused").await?;
            if refused.len() == 3 {
                return anyhow::Ok(refused);
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(10), told).await.context("not all was told")??;
    let reasons: Vec<_> = refused.iter().map(|one| one["reason"].as_str().unwrap_or_default()).collect();
    assert_eq!(reasons, ["provider-rejected", "provider-refused", "conflict"]);
    assert!(world.events("sign-in-refused").await?.is_empty(), "no sign-in was refused");
    assert_eq!(world.events("identity-linked").await?.len(), 1);
    Ok(())
}

/// The provider says of nobody that they showed more than one.
#[tokio::test]
async fn a_step_up_by_a_linked_account_is_its_persons_and_worth_what_was_said() -> Story {
    let lines = "link = true\njoin = \"open\"\nassurance = { mfa = 2 }\n";
    let world = World::with(lines, "[factors]\nenrol = \"sign-in\"\n").await?;
    let (mut joined, _, _) = world.gateway.newcomer(MIRA, &["readers"]).await?;
    assert_eq!(world.links(&mut joined, "gus").await?.status, 200);
    let (mut hers, _) = world.signs_in(&world.gateway.at("acme", "/")?, "gus").await?;
    let mut steps_up = async |need: &str, login: &str| {
        let mut url = world.gateway.at("acme", "/sign-in/step-up")?;
        let sessions = world.gateway.at("acme", "/sessions")?;
        url.query_pairs_mut().append_pair("need", need).append_pair("to", sessions.as_str());
        hers.open(&url).await?;
        hers.forget("127.0.0.1");
        let page = hers.open(&world.gateway.at("acme", "/sign-in/with/work?step=up")?).await?;
        let back = world.provider.log_in(&mut hers, &page, login, crate::oidc::CALLBACK).await?;
        hers.open(&back.location()?).await
    };
    // Somebody else's: of nobody is anything changed, and nobody joins.
    let people = world.gateway.on.does(&["user", "--tenant", "acme", "list"]).await?;
    for login in ["rita", "mira"] {
        let page = steps_up("2", login).await?;
        assert_eq!(page.status.as_u16() / 100, 4, "{login}: {}", page.body);
        assert_eq!(world.gateway.on.does(&["user", "--tenant", "acme", "list"]).await?, people, "{login}");
    }
    assert_eq!(world.events("user-joined").await?.len(), 1, "the invitation's");
    let page = steps_up("2", "gus").await?;
    assert_eq!(page.status, 403, "{}", page.body);
    for told in ["not strong enough", "Two factors", "One factor", "/factors\""] {
        assert!(page.body.contains(told), "{told}: {}", page.body);
    }
    let page = steps_up("fresh", "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/sessions"), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn a_step_up_by_ones_own_linked_account_leads_where_one_was_going() -> Story {
    let lines = "link = true\nassurance = { mfa = 2 }\n";
    let world = World::with(lines, "[factors]\nenrol = \"sign-in\"\n").await?;
    let (mut hers, _, _) = world.gateway.newcomer(MIRA, &["readers"]).await?;
    let (mut his, _, _) = world.gateway.newcomer(BEN, &["readers"]).await?;
    assert_eq!(world.links(&mut hers, "gus").await?.status, 200);
    assert_eq!(world.links(&mut his, "rita").await?.status, 200);
    let secret = world.gateway.at("echo.acme", "/secret/x?y=1")?;
    let steps_up = async |hers: &mut Client, login: &str| {
        let page = hers.open(&secret).await?;
        let way = form::link(&page.body, "/sign-in/with/work").with_context(|| format!("no way: {}", page.body))?;
        anyhow::ensure!(page.url.path() == "/sign-in/step-up", "{} {}", page.url, page.body);
        hers.forget("127.0.0.1");
        let page = hers.open(&page.url.join(&way)?).await?;
        let back = world.provider.log_in(hers, &page, login, crate::oidc::CALLBACK).await?;
        hers.open(&back.location()?).await
    };
    // Her own shows one factor over there, and his shows two.
    for (login, says, status) in [("gus", "not", 403), ("rita", "two", 401)] {
        world.provider.misbehave(says).await?;
        let page = steps_up(&mut hers, login).await?;
        assert_eq!(page.status, status, "{login}: {} {}", page.url, page.body);
        let who = world.who(&mut hers).await?;
        assert_eq!((&who["assurance"], &who["user"]["email"]), (&1.into(), &MIRA.into()), "{login}: {who}");
    }
    let page = steps_up(&mut hers, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, secret.as_str()), "{}", page.body);
    let who = world.who(&mut hers).await?;
    assert_eq!((&who["assurance"], &who["user"]["email"]), (&2.into(), &MIRA.into()), "{who}");
    assert_eq!(who["factors"], serde_json::json!(["linked", "password"]), "{who}");
    Ok(())
}
