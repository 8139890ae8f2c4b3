//! Tokens for programs: every grant by clients that were not written here, what a token opens and what it does not, and how it ends.

use std::{process::Command, time::Duration};

use anyhow::Context;
use cardea_tests::{
    Client, Gateway, Person, Plan, Process, Reply, Story, Upstream,
    process::{Folder, service_file},
    python,
};
use http::Method;
use serde_json::{Value, json};
use url::Url;

/// RFC 7515 appendix A.3.1, and RFC 8037 appendix A.1.
const EC: (&str, &str, &str) = (
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
);
const ED: (&str, &str) = ("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");

fn ec() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": EC.0, "y": EC.1, "d": EC.2 })
}

fn ed() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": ED.0, "d": ED.1 })
}

/// The file of a client: `lines` go before its tables.
fn client(id: &str, grants: &str, lines: &str) -> String {
    format!(
        "id = \"{id}\"\nname = \"The {id}\"\ngrants = [{grants}]\napps = [\"echo\"]\nscope = [\"read\", \"write\"]\n{lines}\n"
    )
}

const TOOL: &str = "redirect_uris = [\"http://127.0.0.1/callback\"]";

pub(crate) fn plan(upstream: u16) -> Plan {
    let service = |id: &str, lines: &str| {
        let text = client(id, "\"client_credentials\"", &format!("groups = [\"readers\"]\n{lines}"));
        (format!("tenants/acme/clients/{id}.toml"), text)
    };
    let ec = format!("[[keys]]\nkid = \"ec\"\nkty = \"EC\"\ncrv = \"P-256\"\nx = \"{}\"\ny = \"{}\"", EC.0, EC.1);
    let ed = format!("[[keys]]\nkid = \"ed\"\nkty = \"OKP\"\ncrv = \"Ed25519\"\nx = \"{}\"", ED.0);
    let files = [
        service("by-secret", "authentication = \"client_secret\""),
        service("by-key", &format!("authentication = \"private_key_jwt\"\n{ec}\n{ed}")),
        service(
            "by-certificate",
            "authentication = \"tls_client_auth\"\nspiffe_id = \"spiffe://acme.cardea.internal/service/sync\"",
        ),
        ("tenants/acme/clients/tool.toml".to_owned(), client("tool", "\"authorization_code\", \"device_code\"", TOOL)),
        (
            "tenants/acme/clients/bound.toml".to_owned(),
            client("bound", "\"authorization_code\", \"device_code\"", &format!("{TOOL}\nbound = true")),
        ),
    ];
    files.iter().fold(Plan::before(upstream), |plan, (path, text)| plan.file(path, text))
}

/// A client at work.
struct Program {
    process: Process,
    _folder: Folder,
}

impl Program {
    /// By npm `openid-client`.
    fn node(wish: &Value) -> anyhow::Result<Self> {
        let mut command = Command::new("node");
        command.arg(service_file("oauth_client.mjs")).arg(wish.to_string());
        Self::of(command.env("NODE_NO_WARNINGS", "1"))
    }

    /// By Authlib.
    fn python(wish: &Value) -> anyhow::Result<Self> {
        Self::of(python("python").arg(service_file("oauth_client.py")).arg(wish.to_string()))
    }

    fn of(command: &mut Command) -> anyhow::Result<Self> {
        let folder = Folder::new("oauth-client")?;
        let log = folder.path().join("client.log");
        let command = std::mem::replace(command, Command::new("true"));
        Ok(Self { process: Process::start(command, &log)?, _folder: folder })
    }

    /// The next thing of this name that it says; what goes wrong meanwhile ends the story.
    async fn says(&mut self, name: &str) -> anyhow::Result<Value> {
        let told = self.process.line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let over = line.get(name).is_some() || line.get("error").is_some() || line.get("done").is_some();
            over.then_some(line)
        });
        let told = told.await?;
        told.get(name).cloned().with_context(|| format!("it says `{told}`, and not `{name}`"))
    }
}

fn wish(gateway: &Gateway, id: &str, grant: &str, more: &Value) -> anyhow::Result<Value> {
    let issuer = gateway.at("acme", "/")?.origin().ascii_serialization();
    let used = gateway.at("echo.acme", "/studies")?;
    let mut wish = json!({ "issuer": issuer, "client_id": id, "grant": grant, "use": used });
    for (name, value) in more.as_object().into_iter().flatten() {
        wish[name] = value.clone();
    }
    Ok(wish)
}

pub(crate) async fn secret(gateway: &Gateway, client: &str) -> anyhow::Result<String> {
    gateway.on.does(&["client", "secret", "--tenant", "acme", client]).await
}

/// Has services of the tenant enrol: gives what a program is to show of each, and by which roots it knows both doors (`all.pem`).
pub(crate) async fn certified(gateway: &Gateway, services: &[&str]) -> anyhow::Result<impl Fn(&str) -> Value + use<>> {
    let on = &gateway.on;
    let root = on.does(&["cert", "root"]).await?;
    on.write("root.pem", &root)?;
    for service in services {
        let token = on.does(&["cert", "token", "--tenant", "acme", "--service", service]).await?;
        on.write("token", &token)?;
        let server = format!("https://acme.localhost:{}", on.machines);
        let enrol =
            ["agent", "--server", &server, "--bundle", "root.pem", "--token-file", "token", "--dir", service, "--once"];
        on.does(&enrol).await?;
    }
    // One list of roots for both doors.
    let [bundle, roots] = ["sync/bundle.pem", "tls/roots.pem"].map(|file| std::fs::read_to_string(on.path(file)));
    on.write("all.pem", &format!("{root}\n{}\n{}", bundle?, roots?))?;
    let folder = on.path("");
    Ok(move |service: &str| {
        let cert = ["cert.pem", "key.pem"].map(|file| folder.join(service).join(file));
        json!({ "cert": cert, "root": folder.join("all.pem") })
    })
}

/// RFC 8705: the certificate says who the client is, and each token is good on a connection with that certificate alone.
#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_worth_nothing_without_it() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).asks_for_certificates().start().await?;
    let with = certified(&gateway, &["sync", "nosy"]).await?;
    let root = gateway.on.path("all.pem");
    let mut program = Program::python(&wish(&gateway, "by-certificate", "client_credentials", &with("sync"))?)?;
    let token = program.says("tokens").await?["access_token"].as_str().context("no token")?.to_owned();
    assert_eq!(program.says("used").await?["status"], 200);
    // Another service of the tenant is another client.
    let mut other = Program::python(&wish(&gateway, "by-certificate", "client_credentials", &with("nosy"))?)?;
    assert_eq!(other.says("error").await?, "invalid_client");
    // Whoever stole the token has not the certificate: none, or another.
    for how in [json!({ "root": root }), with("nosy")] {
        let mut more = how;
        more["token"] = token.clone().into();
        let mut thief = Program::python(&wish(&gateway, "by-certificate", "shown", &more)?)?;
        assert_eq!(thief.says("used").await?["status"], 401);
    }
    Ok(())
}

/// The person's yes to what a page asks.
async fn allow(browser: &mut Client, page: &Reply) -> anyhow::Result<Reply> {
    browser.submit_once(page, &[("answer", "allow")]).await
}

/// Goes where the client says, and brings the code back to it.
async fn says_yes(person: &Person, program: &mut Program) -> anyhow::Result<()> {
    let open: Url = program.says("open").await?.as_str().context("no address")?.parse()?;
    let (mut browser, page) = person.opens(&open).await?;
    assert!(page.body.contains("May The tool act for you?") || page.body.contains("May The bound"), "{}", page.body);
    let back = allow(&mut browser, &page).await?;
    assert_eq!(back.status, 303, "{}", back.body);
    let to = back.location()?;
    assert!(to.query().is_some_and(|query| query.contains("code=") && query.contains("iss=")), "{to}");
    Client::program().get(&to).await?;
    Ok(())
}

#[tokio::test]
async fn a_service_account_comes_by_tokens_with_its_secret_or_key_and_asks_in_its_own_name() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let shown = secret(&gateway, "by-secret").await?;
    let key = |mut key: Value, kid: &str| {
        key["kid"] = kid.into();
        key
    };
    let cases = [
        ("by-secret", json!({ "secret": shown })),
        ("by-secret", json!({ "secret": shown, "post": true })),
        ("by-key", json!({ "key": key(ec(), "ec") })),
        ("by-key", json!({ "key": key(ed(), "ed") })),
        ("by-key", json!({ "key": key(ec(), "ec"), "dpop": true, "introspect": true, "revoke": "access_token" })),
    ];
    for (id, how) in cases {
        let mut program = Program::node(&wish(&gateway, id, "client_credentials", &how)?)?;
        let tokens = program.says("tokens").await.with_context(|| format!("{id} {how}"))?;
        assert_eq!((&tokens["scope"], &tokens["expires_in"]), (&json!("read write"), &json!(600)), "{how}");
        assert_eq!(tokens["type"], if how["dpop"] == true { "dpop" } else { "bearer" });
        assert_eq!(program.says("used").await?["status"], 200, "{id} {how}");
        // The service hears of the account, and not of the token.
        let heard = upstream.last();
        assert_eq!((heard.header("authorization"), heard.header("dpop")), (None, None), "{}", heard.head);
        assert!(heard.header("cardea-assertion").is_some(), "{}", heard.head);
        if how["introspect"] == true {
            let told = program.says("introspected").await?;
            assert_eq!((&told["active"], &told["sub"], &told["client_id"]), (&json!(true), &json!(id), &json!(id)));
            assert_eq!(program.says("revoked").await?, "access_token");
            assert_eq!(program.says("used").await?["status"], 401, "it was given back");
        }
    }
    for (how, says) in [
        (json!({ "secret": "A".repeat(43), "post": true }), "invalid_client"),
        (json!({ "secret": shown, "scope": "approve" }), "invalid_scope"),
        (json!({ "secret": shown, "resource": "https://elsewhere.example" }), "invalid_target"),
    ] {
        let mut program = Program::node(&wish(&gateway, "by-secret", "client_credentials", &how)?)?;
        assert_eq!(program.says("error").await?, says, "{how}");
    }
    let mut other =
        Program::node(&wish(&gateway, "by-key", "client_credentials", &json!({ "key": key(ed(), "ec") }))?)?;
    assert_eq!(other.says("error").await?, "invalid_client", "another's key");
    Ok(())
}

#[tokio::test]
async fn authlib_comes_by_tokens_too_and_with_its_certificate_by_ones_that_are_bound_to_it() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let shown = secret(&gateway, "by-secret").await?;
    let mut key = ec();
    key["kid"] = "ec".into();
    for (id, how) in [
        ("by-secret", json!({ "secret": shown, "method": "client_secret_basic" })),
        ("by-secret", json!({ "secret": shown, "method": "client_secret_post" })),
        ("by-key", json!({ "key": key, "method": "private_key_jwt", "alg": "ES256", "kid": "ec" })),
    ] {
        let mut program = Program::python(&wish(&gateway, id, "client_credentials", &how)?)?;
        program.says("tokens").await.with_context(|| format!("{id} {how}"))?;
        assert_eq!(program.says("used").await?["status"], 200, "{how}");
    }
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let mut program = Program::python(&wish(&gateway, "tool", "authorization_code", &json!({}))?)?;
    says_yes(&mira, &mut program).await?;
    assert!(program.says("tokens").await?["refresh_token"].is_string());
    assert_eq!(program.says("used").await?["status"], 200);
    assert!(program.says("renewed").await?["refresh_token"].is_string());
    assert_eq!(program.says("revoked").await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_person_lets_a_tool_act_for_them_and_takes_it_back() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    for (id, dpop) in [("tool", false), ("tool", true), ("bound", true)] {
        let how = json!({ "renew": 2, "dpop": dpop, "revoke": "refresh_token" });
        let mut program = Program::node(&wish(&gateway, id, "authorization_code", &how)?)?;
        says_yes(&mira, &mut program).await?;
        let tokens = program.says("tokens").await?;
        assert!(tokens["refresh"].is_string(), "{tokens}");
        assert_eq!(program.says("used").await?["status"], 200);
        let heard = upstream.last();
        assert_eq!(heard.header("remote-user"), Some("mira@acme.example"), "it acts as the person: {}", heard.head);
        let (first, second) = (program.says("renewed").await?, program.says("renewed").await?);
        assert_ne!(first["refresh"], second["refresh"]);
        assert_eq!(program.says("used").await?["status"], 200);
        assert_eq!(program.says("revoked").await?, "refresh_token");
        assert_eq!(program.says("used").await?["status"], 401, "what it may do has ended, its access tokens, too");
        let refused = program.says("renewed").await?;
        assert_eq!(refused["error"], "invalid_grant", "{refused}");
    }
    // One that must bind its tokens comes by none without a proof.
    let mut program = Program::node(&wish(&gateway, "bound", "authorization_code", &json!({}))?)?;
    says_yes(&mira, &mut program).await?;
    assert_eq!(program.says("error").await?, "invalid_request");
    Ok(())
}

#[tokio::test]
async fn a_device_shows_a_code_and_waits_for_its_person() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    for (answer, wanted) in [("allow", "tokens"), ("deny", "error")] {
        let mut program = Program::node(&wish(&gateway, "tool", "device_code", &json!({ "renew": 1 }))?)?;
        let code = program.says("user_code").await?.as_str().context("no code")?.to_owned();
        let (mut browser, page) = mira.opens(&gateway.at("acme", "/oauth2/device")?).await?;
        let wrong = browser.submit(&page, &[("user_code", "BBBB-BBBB")]).await?;
        assert!(wrong.status == 422 && wrong.body.contains("No device shows this code"), "{}", wrong.body);
        let page = browser.submit(&wrong, &[("user_code", &code.to_lowercase())]).await?;
        assert!(page.body.contains("on a device in front of you"), "{}", page.body);
        let done = browser.submit(&page, &[("answer", answer)]).await?;
        assert_eq!(done.status, 200, "{}", done.body);
        let told = program.says(wanted).await?;
        if wanted == "tokens" {
            assert_eq!(program.says("used").await?["status"], 200);
            program.says("renewed").await?;
        } else {
            assert_eq!(told, "access_denied");
        }
        // A code is answered once.
        let page = browser.open(&gateway.at("acme", "/oauth2/device")?).await?;
        let again = browser.submit(&page, &[("user_code", &code)]).await?;
        assert_eq!(again.status, 422, "{}", again.body);
    }
    Ok(())
}

/// A tool's tokens, come by over the wire.
struct Held {
    access: String,
    refresh: String,
}

/// The person lets `tool` act for them; the story holds its tokens.
async fn held(gateway: &Gateway, person: &Person) -> anyhow::Result<Held> {
    let given = redeem(gateway, &code(gateway, person).await?).await?.1;
    let text = |name: &str| given[name].as_str().map(str::to_owned).with_context(|| format!("{given}"));
    Ok(Held { access: text("access_token")?, refresh: text("refresh_token")? })
}

/// The person's yes, on its way to `tool`.
async fn code(gateway: &Gateway, person: &Person) -> anyhow::Result<String> {
    let mut open = gateway.at("acme", "/oauth2/authorize")?;
    open.query_pairs_mut()
        .append_pair("client_id", "tool")
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", "http://127.0.0.1:9/callback")
        .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        .append_pair("code_challenge_method", "S256");
    let (mut browser, page) = person.opens(&open).await?;
    let back = allow(&mut browser, &page).await?.location()?;
    Ok(back.query_pairs().find(|(name, _)| name == "code").context("no code")?.1.into_owned())
}

async fn redeem(gateway: &Gateway, code: &str) -> anyhow::Result<(u16, Value)> {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    exchange(
        gateway,
        &[("grant_type", "authorization_code"), ("client_id", "tool"), ("code", code), ("code_verifier", verifier)],
    )
    .await
}

async fn exchange(gateway: &Gateway, form: &[(&str, &str)]) -> anyhow::Result<(u16, Value)> {
    sends(gateway, "/oauth2/token", form).await
}

async fn sends(gateway: &Gateway, path: &str, form: &[(&str, &str)]) -> anyhow::Result<(u16, Value)> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut client = Client::program();
    let at = gateway.at("acme", path)?;
    let reply = client.send(Method::POST, &at, Some(("application/x-www-form-urlencoded", body))).await?;
    Ok((reply.status.as_u16(), reply.json()?))
}

async fn renew(gateway: &Gateway, refresh: &str) -> anyhow::Result<(u16, Value)> {
    exchange(gateway, &[("grant_type", "refresh_token"), ("client_id", "tool"), ("refresh_token", refresh)]).await
}

async fn shows(gateway: &Gateway, line: &str, token: &str) -> anyhow::Result<u16> {
    Ok(gateway.on.ask("echo.acme", line, &format!("authorization: Bearer {token}\r\n")).await?.status())
}

/// G15: 200 at once have one successor; the one that comes later ends the family, access tokens and all.
#[tokio::test]
async fn of_200_clients_with_one_refresh_token_one_goes_on_and_a_replay_ends_the_family() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let tokens = held(&gateway, &mira).await?;
    let race = (0..200).map(|_| renew(&gateway, &tokens.refresh));
    let answers = futures_util::future::try_join_all(race).await?;
    let won: Vec<_> = answers.iter().filter(|(status, _)| *status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", answers.iter().map(|(status, _)| status).collect::<Vec<_>>());
    assert!(answers.iter().all(|(status, told)| *status == 200 || told["error"] == "invalid_grant"));
    let next = won[0].1["refresh_token"].as_str().context("no successor")?.to_owned();
    let (status, told) = renew(&gateway, &next).await?;
    assert_eq!(status, 200, "whoever won goes on: {told}");
    let access = told["access_token"].as_str().context("no token")?.to_owned();
    assert_eq!(shows(&gateway, "GET /studies", &access).await?, 200);
    // What was used eleven seconds ago is no race any more: the row is made older, as the clock would.
    gateway.on.by_hand("UPDATE refresh_tokens SET used_at = used_at - 11000000 WHERE used_at IS NOT NULL").await?;
    assert_eq!(renew(&gateway, &tokens.refresh).await?.0, 400);
    let last = told["refresh_token"].as_str().context("no successor")?;
    assert_eq!(renew(&gateway, last).await?.1["error"], "invalid_grant", "the youngest ends with the oldest");
    assert_eq!(shows(&gateway, "GET /studies", &access).await?, 401, "and the access token with them");
    let entries = gateway.on.does(&["audit", "list", "--tenant", "acme", "--format", "json"]).await?;
    assert!(entries.contains("refresh-reuse"), "{entries}");
    Ok(())
}

#[tokio::test]
async fn a_token_opens_its_app_for_its_scope_as_its_person_and_no_more() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).app("notes", upstream.port, "").start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let tokens = held(&gateway, &mira).await?;
    assert_eq!(shows(&gateway, "GET /studies", &tokens.access).await?, 200);
    let heard = upstream.count();
    // What the policies say is said of the person: a second factor is asked for as ever.
    let refused =
        gateway.on.ask("echo.acme", "GET /secret", &format!("authorization: Bearer {}\r\n", tokens.access)).await?;
    assert_eq!(refused.status(), 401);
    assert!(refused.header("www-authenticate").is_some_and(|told| told.contains("insufficient_user_authentication")));
    // Another app, another tenant's app, pages of ours.
    let bearer = format!("authorization: Bearer {}\r\n", tokens.access);
    for (host, line) in [("notes.acme", "GET /x"), ("echo.north", "GET /x")] {
        assert_eq!(gateway.on.ask(host, line, &bearer).await?.status(), 401, "{host}");
    }
    assert_eq!(gateway.on.ask("acme", "GET /api/v1/users", &bearer).await?.status(), 401, "the API takes a session");
    // A smaller scope is a smaller token.
    let form =
        [("grant_type", "refresh_token"), ("client_id", "tool"), ("refresh_token", &tokens.refresh), ("scope", "read")];
    let (_, smaller) = exchange(&gateway, &form).await?;
    let smaller = smaller["access_token"].as_str().context("no token")?.to_owned();
    assert_eq!(shows(&gateway, "GET /studies", &smaller).await?, 200);
    let bearer = format!("authorization: Bearer {smaller}\r\ncontent-length: 0\r\n");
    let posted = gateway.on.ask("echo.acme", "POST /studies", &bearer).await?;
    assert_eq!(
        (posted.status(), posted.header("www-authenticate").is_some_and(|t| t.contains("insufficient_scope"))),
        (403, true)
    );
    assert_eq!(upstream.count(), heard + 1, "nothing else was let through");
    Ok(())
}

/// G20, G21: what is shown as a token of ours is one or is refused; what is somebody else's is nobody's, and passed on.
#[tokio::test]
async fn a_token_that_is_not_ours_opens_nothing() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let token = held(&gateway, &mira).await?.access;
    let parts: Vec<_> = token.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let encode = |value: &Value| base64_url(value.to_string().as_bytes());
    let none = encode(&json!({ "alg": "none", "typ": "at+jwt" }));
    let hs = encode(&json!({ "alg": "HS256", "typ": "at+jwt", "kid": "x" }));
    let jku = encode(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "x", "jku": "https://evil.example" }));
    let issuer = gateway.at("acme", "/")?.origin().ascii_serialization();
    let badly_made = encode(&json!({ "iss": issuer, "exp": "soon" }));
    let heard = upstream.count();
    for forged in [
        format!("{none}.{body}."),
        format!("{head}.{badly_made}.{signature}"),
        format!("{head}.{body}"),
        format!("\t{head}.{body}.{signature}.d.e"),
        format!("{hs}.{body}.{signature}"),
        format!("{jku}.{body}.{signature}"),
        format!("{head}.{body}.{}", "A".repeat(86)),
        format!("{head}.{body}."),
        format!("cardea_key_{}", "A".repeat(43)),
        "cardea_key_".to_owned(),
        format!("a.{}.c", "b".repeat(9_000)),
    ] {
        let reply =
            gateway.on.ask("echo.acme", "GET /public/x", &format!("authorization: Bearer {forged}\r\n")).await?;
        let told = reply.header("www-authenticate").unwrap_or_default().to_owned();
        assert!(reply.status() == 401 && told.contains("invalid_token"), "{forged}: {} {told}", reply.status());
    }
    let both = format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n");
    assert_eq!(gateway.on.ask("echo.acme", "GET /studies", &both).await?.status(), 400);
    assert_eq!(upstream.count(), heard);
    // An app's own tokens are the app's: a visitor reads what is public, and the service is told what it knows.
    for foreign in ["Bearer abc", "Bearer a.b.c", "Basic YTpi"] {
        let reply = gateway.on.ask("echo.acme", "GET /public/x", &format!("authorization: {foreign}\r\n")).await?;
        assert_eq!(reply.status(), 200, "{foreign}");
        let heard = upstream.last();
        assert_eq!(heard.header("authorization"), Some(foreign));
    }
    Ok(())
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn what_a_program_may_do_ends_with_its_person_its_client_and_their_word() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let within = async |what: &str, token: &str| {
        let refused = async {
            while shows(&gateway, "GET /studies", token).await? == 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(1), refused).await.with_context(|| format!("{what} is not heard"))?
    };
    for (nth, end) in ["suspend", "end-sessions", "portal", "delete"].iter().enumerate() {
        let person = gateway.person(&format!("p{nth}@acme.example"), &["readers"]).await?;
        let tokens = held(&gateway, &person).await?;
        assert_eq!(shows(&gateway, "GET /studies", &tokens.access).await?, 200);
        match *end {
            "portal" => {
                let (mut browser, page) = person.opens(&gateway.at("acme", "/programs")?).await?;
                assert!(page.body.contains("The tool"), "{}", page.body);
                let action = page.body.split("action=\"/programs/").nth(1).and_then(|rest| rest.split('"').next());
                let to = gateway.at("acme", &format!("/programs/{}", action.context("no button")?))?;
                let done = browser.send(Method::POST, &to, None).await?;
                assert_eq!(done.status, 303, "{}", done.body);
            }
            "delete" => {
                gateway.on.does(&["user", "--tenant", "acme", "delete", &person.email, "--yes"]).await?;
            }
            command => {
                gateway.on.does(&["user", "--tenant", "acme", command, &person.email]).await?;
            }
        }
        within(end, &tokens.access).await?;
        assert_eq!(renew(&gateway, &tokens.refresh).await?.1["error"], "invalid_grant", "{end}");
    }
    Ok(())
}

/// A yes lay with the client, or with a device, while all that its person had let programs do was ended: redeemed afterwards, it made
/// a grant that nothing ended.
#[tokio::test]
async fn a_yes_from_before_the_end_is_worth_nothing_after_it() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = plan(upstream.port).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let waiting = code(&gateway, &mira).await?;
    let (_, begun) = sends(&gateway, "/oauth2/device_authorization", &[("client_id", "tool")]).await?;
    let text = |name: &str| begun[name].as_str().with_context(|| format!("{begun}"));
    let (mut browser, page) = mira.opens(&gateway.at("acme", "/oauth2/device")?).await?;
    let page = browser.submit(&page, &[("user_code", text("user_code")?)]).await?;
    assert_eq!(browser.submit(&page, &[("answer", "allow")]).await?.status, 200);
    gateway.on.does(&["user", "--tenant", "acme", "end-sessions", &mira.email]).await?;
    let (status, told) = redeem(&gateway, &waiting).await?;
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")), "{told}");
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "tool"),
        ("device_code", text("device_code")?),
    ];
    let (status, told) = exchange(&gateway, &poll).await?;
    assert_eq!((status, &told["error"]), (400, &json!("invalid_grant")), "{told}");
    // What they say from now on is worth what it always was.
    held(&gateway, &mira).await?;
    Ok(())
}
