//! Signing in with a provider that is not ours, honest and otherwise.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context;
use cardea_tests::{Client, Gateway, Plan, Provider, Reply, Story, Upstream, form};
use url::Url;

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) provider: Provider,
    refusals: AtomicUsize,
    _upstream: Upstream,
}

pub(crate) const CALLBACK: &str = "/sign-in/callback/work";

impl World {
    async fn open(join: &str) -> anyhow::Result<Self> {
        Self::of(join, "").await
    }

    /// With more lines in the tenant's file.
    async fn of(join: &str, tenant: &str) -> anyhow::Result<Self> {
        Self::with(&format!("join = \"{join}\"\nemail_domains = [\"work.example\"]\n"), tenant).await
    }

    /// With more lines in the provider's file and in the tenant's.
    pub(crate) async fn with(lines: &str, tenant: &str) -> anyhow::Result<Self> {
        let upstream = Upstream::start().await?;
        let mut provider = Provider::at_a_free_port()?;
        let text = format!(
            "id = \"work\"\nname = \"Work account\"\nissuer = \"{}\"\nclient_id = \"cardea\"\n\
             client_secret = {{ file = \"work.secret\" }}\nscopes = [\"email\", \"profile\", \"groups\"]\n\
             {lines}\n[groups]\nreaders-at-work = \"readers\"\n",
            provider.issuer()
        );
        let on = Plan::before(upstream.port)
            .app("notes", upstream.port, "")
            .file("tenants/acme/providers/work.toml", &text)
            .write()?;
        let file = "resources/tenants/acme/tenant.toml";
        on.write(file, &format!("{}{tenant}", on.read(file)?))?;
        on.write("work.secret", "a secret of the stories\n")?;
        on.apply().await?;
        let gateway = on.start().await?;
        provider.start("first", &[gateway.at("acme", CALLBACK)?]).await?;
        Ok(Self { gateway, provider, refusals: AtomicUsize::new(0), _upstream: upstream })
    }

    /// A new browser at the provider's login page, on its way to `url`.
    async fn at_login(&self, url: &Url) -> anyhow::Result<(Client, Reply)> {
        let mut client = Client::browser();
        let page = client.open(url).await?;
        let way = form::link(&page.body, "/sign-in/with/work").with_context(|| format!("no button: {}", page.body))?;
        let page = client.open(&page.url.join(&way)?).await?;
        anyhow::ensure!(form::find(&page.body, "login").is_some(), "no login page at {}: {}", page.url, page.body);
        Ok((client, page))
    }

    /// The same, as far as the provider's redirect back, which is not followed.
    async fn sent_back(&self, url: &Url, login: &str) -> anyhow::Result<(Client, Url)> {
        let (mut client, page) = self.at_login(url).await?;
        let back = self.provider.log_in(&mut client, &page, login, CALLBACK).await?;
        anyhow::ensure!(back.status.is_redirection(), "not sent back: {} {}", back.status, back.body);
        Ok((client, back.location()?))
    }

    /// All the way.
    pub(crate) async fn signs_in(&self, url: &Url, login: &str) -> anyhow::Result<(Client, Reply)> {
        let (mut client, back) = self.sent_back(url, login).await?;
        let page = client.open(&back).await?;
        Ok((client, page))
    }

    /// The reason of the next refused sign-in in the log that was not asked for yet, and what the person was not told.
    /// Entries of what changed nothing are written in groups, so it may come a moment after the answer.
    async fn refusal(&self) -> anyhow::Result<(String, String)> {
        let nth = self.refusals.fetch_add(1, Ordering::SeqCst);
        let written = async {
            loop {
                let log = self.gateway.on.log("acme").await?;
                let mut refused = log.iter().filter(|entry| entry["event"]["kind"] == "sign-in-refused");
                if let Some(entry) = refused.nth(nth) {
                    let text = |key: &str| entry["event"][key].as_str().unwrap_or_default().to_owned();
                    return anyhow::Ok((text("reason"), text("detail")));
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), written).await.context("no refusal was written")?
    }

    async fn people(&self) -> anyhow::Result<String> {
        self.gateway.on.does(&["user", "--tenant", "acme", "list"]).await
    }
}

#[tokio::test]
async fn a_providers_people_owe_the_pool_no_second_factor() -> Story {
    let world = World::of("open", "[factors]\nmust_enrol = true\n").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    for _ in 0..2 {
        let (mut client, page) = world.signs_in(&echo, "rita").await?;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
        let portal = client.open(&world.gateway.at("acme", "/")?).await?;
        assert_eq!((portal.status.as_u16(), portal.url.path()), (200, "/"), "{}", portal.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_providers_people_are_below_no_minimum_of_the_pool() -> Story {
    let world = World::of("open", "[factors]\nminimum = 2\n").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut client, page) = world.signs_in(&echo, "rita").await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    let who = client.get(&world.gateway.at("acme", "/.cardea/session")?).await?.json()?;
    assert_eq!(who["assurance"], 1, "{who}");
    // What a policy asks for, it asks of them too.
    let page = client.open(&world.gateway.at("echo.acme", "/secret")?).await?;
    assert_ne!(page.status, 200, "{}", page.body);
    Ok(())
}

/// They were told, as the pool's own people are, that without a second proof they could not sign in again.
#[tokio::test]
async fn a_providers_people_are_told_of_no_minimum_of_the_pool() -> Story {
    let world = World::of("open", "[factors]\nminimum = 2\nenrol = \"sign-in\"\n").await?;
    let portal = world.gateway.at("acme", "/")?;
    for (login, told) in [("rita", "href=\"http://echo.acme"), ("gus", "Ask your administrator to add you to a group")]
    {
        let (_, page) = world.signs_in(&portal, login).await?;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{login}: {}", page.body);
        for said in ["Some apps ask for a second proof. With a passkey", told] {
            assert!(page.body.contains(said), "{login} is not told `{said}`: {}", page.body);
        }
        for untrue in ["you cannot sign in again", "once you have a second way"] {
            assert!(!page.body.contains(untrue), "{login} is told `{untrue}`: {}", page.body);
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_sign_in_joins_maps_groups_and_serves_two_apps() -> Story {
    let world = World::open("open").await?;
    let (echo, notes) = (world.gateway.at("echo.acme", "/deep/page?x=1")?, world.gateway.at("notes.acme", "/y")?);
    let (mut client, page) = world.signs_in(&echo, "rita").await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    let who = client.get(&world.gateway.at("acme", "/.cardea/session")?).await?.json()?;
    assert_eq!(who["user"]["email"], "rita@work.example");
    assert_eq!(who["user"]["groups"], serde_json::json!(["readers"]), "what is not mapped counts for nothing");
    assert_eq!(who["user"]["name"], "Rita");
    // The other app, on another host: nobody is asked anything.
    let page = client.open(&notes).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, notes.as_str()), "{}", page.body);

    // Somebody whose groups give nothing joins, and may do nothing.
    let (_, page) = world.signs_in(&echo, "gus").await?;
    assert_eq!(page.status, 403, "{}", page.body);
    assert!(world.people().await?.contains("gus@work.example"));
    // An address that nobody has verified is as good as none.
    let (_, page) = world.signs_in(&echo, "unverified").await?;
    assert_eq!((page.status.as_u16(), world.refusal().await?.0.as_str()), (403, "not-a-member"), "{}", page.body);
    assert!(!world.people().await?.contains("unverified@"));
    Ok(())
}

#[tokio::test]
async fn a_closed_pool_is_joined_by_invitation_only() -> Story {
    let world = World::open("closed").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (client, page) = world.signs_in(&echo, "rita").await?;
    assert_eq!((page.status.as_u16(), world.refusal().await?.0.as_str()), (403, "not-a-member"), "{}", page.body);
    assert!(client.cookie("acme.localhost", "cardea").is_none());
    assert!(!world.people().await?.contains("rita@"));

    world.gateway.on.does(&["user", "--tenant", "acme", "invite", "rita@work.example"]).await?;
    let (_, page) = world.signs_in(&echo, "rita").await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    Ok(())
}

/// G22, G23, G33: an answer is read once, in the browser that asked, as it was sent.
#[tokio::test]
async fn an_answer_that_is_replayed_stolen_doubled_or_changed_is_refused() -> Story {
    let world = World::open("open").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;

    let (mut client, back) = world.sent_back(&echo, "rita").await?;
    let mut twin = client.clone();
    assert_eq!(client.open(&back).await?.status, 200);
    let again = twin.get(&back).await?;
    assert_eq!(again.status, 400, "an answer was read twice: {}", again.body);

    // The attacker's answer in the victim's browser, which is itself on its way (login CSRF).
    let (_, stolen) = world.sent_back(&echo, "rita").await?;
    let mut nobody = Client::browser();
    assert_eq!(nobody.get(&stolen).await?.status, 400);
    assert!(nobody.cookie("acme.localhost", "cardea").is_none());
    let (mut victim, _) = world.at_login(&echo).await?;
    let refused = victim.get(&stolen).await?;
    assert!([400, 403].contains(&refused.status.as_u16()), "{} {}", refused.status, refused.body);
    assert!(victim.cookie("acme.localhost", "cardea").is_none(), "signed in as the attacker");

    type Change = fn(&str) -> String;
    let changes: [(&str, Change); 6] = [
        ("two codes", |url| format!("{url}&code=x")),
        ("two states", |url| format!("{url}&state=x")),
        ("another code", |url| url.replace("code=", "code=x")),
        ("another state", |url| url.replace("state=", "state=x")),
        ("another issuer", |url| url.replace("iss=http", "iss=https")),
        ("no issuer", |url| url.replace("&iss=", "&ist=")),
    ];
    for (what, change) in changes {
        let (mut client, back) = world.sent_back(&echo, "rita").await?;
        let changed = change(back.as_str());
        assert_ne!(changed, back.as_str(), "{what}");
        let reply = client.get(&Url::parse(&changed)?).await?;
        assert!([400, 403].contains(&reply.status.as_u16()), "{what}: {} {}", reply.status, reply.body);
        assert!(client.cookie("acme.localhost", "cardea").is_none(), "{what} signs in");
        assert!(client.get(&back).await?.status.is_client_error(), "{what}: the right answer still counts afterwards");
    }
    Ok(())
}

#[tokio::test]
async fn a_provider_that_lies_is_not_believed() -> Story {
    let world = World::open("open").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    for lie in ["audience", "issuer", "nonce", "expired", "party", "key", "none", "userinfo"] {
        world.provider.misbehave(lie).await?;
        let (client, page) = world.signs_in(&echo, "rita").await?;
        let (reason, detail) = world.refusal().await?;
        assert_eq!(
            (page.status.as_u16(), reason.as_str()),
            (403, "provider-rejected"),
            "{lie}: {detail} {}",
            page.body
        );
        assert!(client.cookie("acme.localhost", "cardea").is_none(), "{lie}");
        assert!(page.body.contains(page.header("x-request-id").unwrap_or("?")), "no request id on the page of {lie}");
    }
    assert!(!world.people().await?.contains("rita@"), "a lie joined the pool");
    world.provider.misbehave("not").await?;
    assert_eq!(world.signs_in(&echo, "rita").await?.1.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_away_or_says_no_is_told_as_what_it_is() -> Story {
    let mut world = World::open("open").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    // The person changes their mind at the provider.
    let (mut client, page) = world.at_login(&echo).await?;
    let abort = form::link(&page.body, "/interaction/").or_else(|| form::link(&page.body, &world.provider.issuer()));
    let abort = abort.with_context(|| format!("no way back: {}", page.body))?;
    let page = client.open(&page.url.join(&abort)?).await?;
    assert_eq!((page.status.as_u16(), world.refusal().await?.0.as_str()), (403, "provider-refused"), "{}", page.body);

    // It goes away while somebody is there, and for those who come anew.
    let (mut client, back) = world.sent_back(&echo, "rita").await?;
    world.provider.kill().await?;
    let page = client.get(&back).await?;
    assert_eq!((page.status.as_u16(), world.refusal().await?.0.as_str()), (502, "provider-unavailable"));
    let gateway = world.gateway.kill().await?.start().await?;
    let page = Client::browser().open(&gateway.at("acme", "/sign-in/with/work")?).await?;
    assert_eq!(page.status, 502, "{}", page.body);

    world.provider.start("first", &[gateway.at("acme", CALLBACK)?]).await?;
    world.gateway = gateway;
    assert_eq!(world.signs_in(&echo, "rita").await?.1.status, 200, "it does not recover");
    Ok(())
}

/// For the sake of a token keys are fetched anew at most twice a minute, so that nobody can make us ask at will.
#[tokio::test]
async fn a_rotated_key_is_found_without_a_restart() -> Story {
    let mut world = World::open("open").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    assert_eq!(world.signs_in(&echo, "rita").await?.1.status, 200);
    world.provider.kill().await?;
    world.provider.start("second", &[world.gateway.at("acme", CALLBACK)?]).await?;
    let found = async {
        loop {
            let (_, page) = world.signs_in(&echo, "rita").await?;
            if page.status == 200 {
                return anyhow::Ok(());
            }
            anyhow::ensure!(page.status == 403, "{} {}", page.status, page.body);
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.context("the new key is not found")?
}

/// Whoever reads the log, or what the gateway says of itself, must not be able to come in by what stands there.
#[tokio::test]
async fn nothing_that_opens_a_door_stands_in_the_log() -> Story {
    let world = World::open("open").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut invited, page, mira) = world.gateway.newcomer("mira@acme.example", &["readers"]).await?;
    let policy = page.header("referrer-policy").unwrap_or_default();
    assert!(["same-origin", "no-referrer"].contains(&policy), "the invitation goes to other sites: {policy}");
    invited.open(&echo).await?;
    let (pooled, _) = mira.opens(&echo).await?;
    let (vouched_for, page) = world.signs_in(&echo, "rita").await?;
    assert_eq!(page.status, 200, "{}", page.body);
    // Spent and refused ones are no better.
    let secrets = [&invited, &pooled, &vouched_for].map(|client| client.secrets.clone());
    let mut nobody = Client::browser();
    for secret in secrets.iter().flatten() {
        for path in ["/sign-in/invitation/", "/sign-in/callback/work?state=x&code=", "/.cardea/callback?to=/&code="] {
            nobody.get(&world.gateway.at("acme", &format!("{path}{secret}"))?).await?;
        }
        nobody.set_cookie("acme.localhost", "cardea", secret);
        nobody.get(&world.gateway.at("acme", "/")?).await?;
    }
    let on = world.gateway.stop().await?;
    let told = on.does(&["audit", "export", "--tenant", "acme"]).await? + &on.said();
    assert!(told.contains("/sign-in/invitation/…"), "the invitation's page was asked for: {told}");
    let secrets: Vec<_> = secrets.iter().flatten().chain([&mira.password]).collect();
    assert!(secrets.len() > 12, "{secrets:?}");
    for secret in secrets {
        assert!(secret.len() > 8 && !told.contains(secret), "{secret} is told");
    }
    Ok(())
}
