//! Two tenants who know somebody of the same address: nothing of one is reached with anything of the other. What is tried
//! is taken from the API's description and the routes of the pages, so that whatever is added is tried, too.

use std::collections::BTreeSet;

use anyhow::Context;
use cardea_tests::{Client, Gateway, Person, Plan, Reply, Story, Upstream, form, gateway::key_of};
use http::Method;
use serde_json::Value;
use url::Url;

const EMAIL: &str = "mira@both.example";

/// The API, and what holds routes of pages.
const API: &str = include_str!("../../gateway/server/openapi.json");
const PAGES: [&str; 4] = [
    include_str!("../../gateway/server/src/sign_in/mod.rs"),
    include_str!("../../gateway/server/src/portal/mod.rs"),
    include_str!("../../gateway/server/src/api/console.rs"),
    include_str!("../../gateway/server/src/pages/assets.rs"),
];

/// Every method and pattern that answers at a tenant's hosts.
fn endpoints() -> anyhow::Result<BTreeSet<(String, String)>> {
    let document: Value = serde_json::from_str(API)?;
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
        found.extend(methods.map(|method| (method, path.clone())));
    }
    let described = found.len();
    for page in PAGES {
        for after in page.split(".route(").skip(1) {
            let path = after.split('"').nth(1).context("a route without an address")?;
            found.extend(["GET", "POST"].map(|method| (method.to_owned(), path.to_owned())));
        }
    }
    anyhow::ensure!(
        described >= 25 && found.len() >= described + 60,
        "only {described} and {} were found",
        found.len()
    );
    Ok(found)
}

/// A tenant's Mira: her browser, signed in with two factors at the portal and the app, and what is hers.
struct Side {
    tenant: &'static str,
    person: Person,
    client: Client,
    /// What names something of the tenant in an address.
    ids: Vec<String>,
    /// Stands in nothing that anybody else may read.
    name: String,
}

impl Side {
    async fn of(gateway: &Gateway, tenant: &'static str) -> anyhow::Result<Self> {
        let name = format!("Mira of the {tenant} house");
        let groups = ["--group", "administrators", "--group", "readers"];
        let invite = ["--format", "json", "user", "--tenant", tenant, "invite", EMAIL, "--name", &name];
        let invited: Value = serde_json::from_str(&gateway.on.does(&[&invite[..], &groups].concat()).await?)?;
        let mut person = Person::new(tenant, EMAIL, &format!("seven green bottles of {tenant}"));
        let mut client = Client::browser();
        let page = client.open(&Url::parse(invited["url"].as_str().context("no link")?)?).await?;
        let password = person.password.as_str();
        client.submit(&page, &[("password", password), ("again", password)]).await?;
        let page = client.open(&gateway.at(tenant, "/factors/totp")?).await?;
        person.totp = key_of(&page.body);
        person.answer(&mut client, page).await?;
        let page = client.open(&gateway.at(&format!("echo.{tenant}"), "/secret/x")?).await?;
        anyhow::ensure!(page.status == 200, "{}", page.body);
        let mut side = Self { tenant, person, client, ids: Vec::new(), name };
        side.ids = side.names(gateway).await?;
        Ok(side)
    }

    async fn asks(&mut self, gateway: &Gateway, path: &str) -> anyhow::Result<Value> {
        let reply = self.client.get(&gateway.at(self.tenant, path)?).await?;
        anyhow::ensure!(reply.status == 200, "{path}: {} {}", reply.status, reply.body);
        reply.json()
    }

    /// Ids of the user, a factor, a session, an entry, a policy version.
    async fn names(&mut self, gateway: &Gateway) -> anyhow::Result<Vec<String>> {
        let me = self.asks(gateway, "/api/v1/me").await?["user"]["id"].clone();
        let me = me.as_str().context("no id")?;
        let user = self.asks(gateway, &format!("/api/v1/users/{me}")).await?;
        let log = self.asks(gateway, "/api/v1/log").await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no id");
        let (factor, session) = (text(&user["factor_list"][0]["id"])?, text(&user["sessions"][0]["id"])?);
        Ok(vec![me.to_owned(), factor, session, text(&log["items"][0]["id"])?, "1".to_owned()])
    }

    /// How she stands, with all that somebody else could have changed.
    async fn state(&mut self, gateway: &Gateway) -> anyhow::Result<Value> {
        let mut user = self.asks(gateway, &format!("/api/v1/users/{}", self.ids[0])).await?;
        let mut sessions = user["sessions"].take();
        for one in sessions.as_array_mut().into_iter().flatten() {
            one["last_seen_at"].take();
        }
        user["last_seen_at"].take();
        let policies = self.asks(gateway, "/api/v1/policies").await?["active"]["version"].take();
        Ok(serde_json::json!([user, sessions, policies]))
    }
}

/// The pattern with ids in every place, in all combinations.
fn filled(pattern: &str, ids: &[String]) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let each = ids.iter().flat_map(|id| filled(after, ids).into_iter().map(move |tail| format!("{before}{id}{tail}")));
    each.collect()
}

async fn sends(client: &mut Client, method: &str, url: &Url) -> anyhow::Result<Reply> {
    let body = match (method, url.path()) {
        ("GET" | "DELETE", _) => None,
        (_, path) if path.starts_with("/api/") && path.ends_with("/import") => {
            Some(("text/csv", "email\nplanted@both.example\n".to_owned()))
        }
        (_, path) if path.ends_with("/groups") => Some(("application/json", "{\"groups\":[]}".to_owned())),
        (_, path) if path.ends_with("/attributes") => Some(("application/json", "{\"attributes\":{}}".to_owned())),
        (_, path) if path.starts_with("/api/") => Some(("application/json", "{}".to_owned())),
        _ => Some(("application/x-www-form-urlencoded", "code=000000&password=x&email=mira%40both.example".to_owned())),
    };
    client.send(Method::from_bytes(method.as_bytes())?, url, body).await
}

async fn house() -> anyhow::Result<(Upstream, Gateway, Side, Side)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let (acme, north) = (Side::of(&gateway, "acme").await?, Side::of(&gateway, "north").await?);
    Ok((upstream, gateway, acme, north))
}

/// Whoever holds all cookies of one tenant is, at every address of the other, what somebody is who holds none.
#[tokio::test]
async fn another_tenants_cookies_make_nobody_of_a_stranger() -> Story {
    let (_upstream, gateway, mut acme, mut north) = house().await?;
    for turned in [false, true] {
        let (mine, other) = if turned { (&mut north, &mut acme) } else { (&mut acme, &mut north) };
        let before = other.state(&gateway).await?;
        let jars = [mine.tenant.to_owned(), format!("echo.{}", mine.tenant)]
            .map(|host| mine.client.jar(&format!("{host}.localhost")));
        let cookies: Vec<_> =
            jars.iter().flatten().flat_map(|jar| jar.split("; ")).filter_map(|one| one.split_once('=')).collect();
        assert!(cookies.iter().any(|(name, _)| *name == "cardea"), "she is not signed in: {cookies:?}");
        for (method, pattern) in endpoints()? {
            for host in [other.tenant.to_owned(), format!("echo.{}", other.tenant)] {
                // The address names what is there: only the cookie is another's.
                let path = filled(&pattern, &other.ids[..1]).remove(0);
                let url = gateway.at(&host, &path)?;
                let mut thief = Client::browser();
                for (name, value) in &cookies {
                    thief.set_cookie(&format!("{host}.localhost"), name, value);
                }
                let answer = sends(&mut thief, &method, &url).await?;
                let stranger = sends(&mut Client::browser(), &method, &url).await?;
                let both = format!(
                    "{method} {url}: {} {} and not {} {}",
                    answer.status, answer.body, stranger.status, stranger.body
                );
                assert_eq!(answer.status, stranger.status, "{both}");
                assert!(!answer.body.contains(&other.name) && !answer.body.contains(&mine.name), "{both}");
                let lets_in = answer.headers.get_all("set-cookie").iter().filter_map(|one| one.to_str().ok());
                assert!(
                    !lets_in.into_iter().any(|one| one.starts_with("cardea=") && !one.starts_with("cardea=;")),
                    "{both}"
                );
            }
        }
        assert_eq!(other.state(&gateway).await?, before);
    }
    Ok(())
}

/// An administrator of one tenant finds nothing of the other, though they know what it is called.
#[tokio::test]
async fn another_tenants_ids_name_nothing_here() -> Story {
    let (_upstream, gateway, mut acme, mut north) = house().await?;
    let before = north.state(&gateway).await?;
    let foreign = north.ids[..4].to_vec();
    // Lists hold the tenant's own alone; she stays signed in meanwhile.
    let shows = |(method, path): &(String, String)| method == "GET" && !path.contains('{') && !path.contains("/sign");
    for (_, path) in endpoints()?.into_iter().filter(shows) {
        let page = acme.client.get(&gateway.at("acme", &path)?).await?;
        assert!(!page.body.contains(&north.name), "{path}: {}", page.body);
        assert!(!foreign.iter().any(|id| page.body.contains(id)), "{path}: {}", page.body);
    }
    let people = acme.asks(&gateway, "/api/v1/users").await?;
    assert_eq!(people["items"].as_array().map(Vec::len), Some(1), "{people}");

    let mut tried = 0;
    for (method, pattern) in endpoints()?.into_iter().filter(|(_, pattern)| pattern.contains('{')) {
        for path in filled(&pattern, &foreign) {
            let url = gateway.at("acme", &path)?;
            let answer = sends(&mut acme.client, &method, &url).await?;
            let told = format!("{method} {path}: {} {}", answer.status, answer.body);
            // The console's page is the same file wherever it is opened, and shows what the API answers.
            assert!(!answer.status.is_success() || path.starts_with("/admin/"), "{told}");
            assert!(!answer.body.contains(&north.name), "{told}");
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} addresses were tried");
    // She was somebody to the end: what was refused was refused to an administrator.
    assert_eq!(acme.client.get(&gateway.at("acme", "/api/v1/users")?).await?.status, 200);
    assert_eq!(north.state(&gateway).await?, before);
    Ok(())
}

#[tokio::test]
async fn another_tenants_credentials_and_log_are_another_tenants() -> Story {
    let (_upstream, gateway, acme, north) = house().await?;
    let mut client = Client::browser();
    let page = client.open(&gateway.at("north", "/sign-in")?).await?;
    let page = client.submit(&page, &[("email", EMAIL)]).await?;
    let page = client.submit(&page, &[("password", &acme.person.password)]).await?;
    assert!(form::find(&page.body, "password").is_some(), "a password of Acme's opens: {}", page.body);
    let page = client.submit(&page, &[("password", &north.person.password)]).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let page = client.open(&gateway.at("echo.north", "/secret/x")?).await?;
    let page = client.submit(&page, &[("code", &acme.person.code().await?)]).await?;
    assert!(form::find(&page.body, "code").is_some(), "a code of Acme's opens: {}", page.body);

    for (mine, other) in [(&acme, &north), (&north, &acme)] {
        let log = gateway.on.log(mine.tenant).await?;
        assert!(log.len() > 5, "{log:?}");
        for entry in &log {
            let text = entry.to_string();
            assert_eq!(entry["tenant"], mine.tenant, "{text}");
            assert!(!text.contains(&other.name) && !other.ids[..4].iter().any(|id| text.contains(id)), "{text}");
        }
    }
    Ok(())
}
