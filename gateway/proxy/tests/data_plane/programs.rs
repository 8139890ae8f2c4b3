//! Tokens of programs: what one opens, and each way in which it opens nothing.

use std::{collections::BTreeSet, sync::Arc};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_audit::{Event, event::Program};
use cardea_core::{
    AppId, Assurance, Caller, ClientId, Clock as _, GrantId, GroupId, TenantId, Timestamp, TokenId, UserId,
    caller::UserFacts,
};
use cardea_identity::oauth2::{Scope, access_token::Confirmation};
use cardea_proxy::{
    Changed, LiveToken,
    live_token::{Ended, Judged, Said},
};
use jsonwebtoken::{
    Algorithm, Header,
    jwk::{CommonParameters, Jwk, ThumbprintHash},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    house::{APP_HOST, House, Plan},
    reply::Reply,
    service::Service,
};

/// What a chemist let a program do in the app, changed as wished; shown as `text`.
fn lend(house: &House, text: &str, change: impl FnOnce(&mut Said)) -> GrantId {
    let (now, entropy) = (house.lent.clock.now(), &house.lent.entropy);
    let facts = UserFacts {
        id: UserId::mint(now, entropy),
        email: "mira@acme.test".to_owned(),
        name: "Mira".to_owned(),
        groups: vec![GroupId::parse("chemists").unwrap()],
        attributes: cardea_core::Attributes::default(),
    };
    let mut said = Said {
        tenant: TenantId::parse("acme").unwrap(),
        caller: Caller::User(Arc::new(facts)),
        scope: Scope::parse("read").unwrap(),
        apps: BTreeSet::from([AppId::parse("records").unwrap()]),
        assurance: Some(Assurance::One),
        factors: vec!["password"],
        signed_in_at: Some(now),
        bound: None,
        ends_at: now.plus(std::time::Duration::from_secs(600)),
    };
    change(&mut said);
    let grant = GrantId::mint(now, entropy);
    let client = Some(ClientId::parse("tool").unwrap());
    let by = Program { client, grant: Some(grant), token: Some(TokenId::mint(now, entropy)), access_key: None };
    house.lent.tokens.lock().unwrap().insert(text.to_owned(), Judged::Good(Arc::new(LiveToken::new(said, by))));
    grant
}

async fn ask(house: &House, line: &str, shown: &str) -> Reply {
    house.ask(line, &format!("authorization: {shown}\r\n")).await
}

#[tokio::test]
async fn a_token_opens_its_app_for_its_scope_and_reaches_no_service() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    lend(&house, "good", |_| {});
    assert_eq!(ask(&house, "GET /studies", "Bearer good").await.status(), 200);
    let heard = service.last();
    assert_eq!((heard.header("remote-user"), heard.header("authorization")), (Some("mira@acme.test"), None));
    assert_eq!(service.count(), 1);
    // The policies would let her write, and do not let her read this with one factor.
    assert_eq!(ask(&house, "POST /studies", "Bearer good").await.reason().as_deref(), Some("insufficient-scope"));
    assert_ne!(ask(&house, "GET /secret", "Bearer good").await.status(), 200);
    // What nobody of ours knows is the app's own, and its bearer a visitor.
    assert_ne!(ask(&house, "GET /studies", "Bearer other").await.status(), 200);
    assert_eq!(service.count(), 1);
}

/// Each row: what the token is, how it is shown, and why it opens nothing; with the same token a visitor would be let in.
#[tokio::test]
async fn a_token_that_is_not_good_here_opens_not_even_what_is_public() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let key = || Some(Confirmation::Key("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned()));
    lend(&house, "plain", |_| {});
    lend(&house, "key", |said| said.bound = key());
    lend(&house, "certificate", |said| said.bound = Some(Confirmation::of_certificate(b"another's")));
    lend(&house, "elsewhere", |said| said.apps = BTreeSet::from([AppId::parse("wiki").unwrap()]));
    lend(&house, "of-another", |said| said.tenant = TenantId::parse("south").unwrap());
    lend(&house, "over", |said| said.ends_at = Timestamp::from_secs(1));
    house.lent.tokens.lock().unwrap().insert("forged".to_owned(), Judged::Refused("its signature does not verify"));
    let proof = "dpop: e30.e30.e30\r\n";
    for (shown, more, reason, why) in [
        ("Bearer forged", "", "token-refused", "its signature does not verify"),
        ("Bearer over", "", "token-refused", "it is another tenant's, or over"),
        ("Bearer of-another", "", "token-refused", "it is another tenant's, or over"),
        ("Bearer elsewhere", "", "token-refused", "it is for another app"),
        ("DPoP plain", proof, "proof-refused", "it is not bound to a key"),
        ("Bearer key", "", "proof-refused", "it is bound to a key, and came without its proof"),
        ("Bearer key", proof, "proof-refused", "it is bound to a key, and came without its proof"),
        ("DPoP key", "", "proof-refused", "it needs one proof, and came with none or several"),
        ("DPoP key", "dpop: a\r\ndpop: b\r\n", "proof-refused", "it needs one proof, and came with none or several"),
        ("DPoP key", proof, "proof-refused", "its header cannot be read"),
        ("Bearer certificate", "", "proof-refused", "its certificate is not the connection's"),
        ("DPoP certificate", proof, "proof-refused", "it is bound to a certificate"),
    ] {
        let before = house.lent.entries.lock().unwrap().len();
        let reply = house.ask("GET /public", &format!("authorization: {shown}\r\n{more}")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (401, Some(reason)), "{shown} {more}: {}", reply.0);
        assert!(reply.header("www-authenticate").is_some(), "{shown}: {}", reply.0);
        house.wait_for_entries(before + 1).await;
        let entries = house.lent.entries.lock().unwrap();
        let Event::Request(entry) = &entries[before].event else { panic!("{:?}", entries[before]) };
        assert_eq!(entry.detail.as_deref(), Some(why), "{shown} {more}");
    }
    assert_eq!(service.count(), 0);
    assert_eq!(house.ask("GET /public", "").await.status(), 200);
    house.lent.sessions_fail.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(ask(&house, "GET /public", "Bearer plain").await.status(), 503, "a fault is no visitor");
}

/// A key by which a program shows that a token is its own.
struct Own {
    key: jsonwebtoken::EncodingKey,
    jwk: Jwk,
}

impl Own {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap().to_pkcs8v1().unwrap();
        let key = jsonwebtoken::EncodingKey::from_ec_der(pair.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common = CommonParameters::default();
        Self { key, jwk }
    }

    fn bound(&self) -> Option<Confirmation> {
        Some(Confirmation::Key(self.jwk.thumbprint(ThumbprintHash::SHA256).unwrap()))
    }

    /// A proof for `GET /public` with that token (RFC 9449 section 4.2), by the name `jti`.
    fn proof(&self, house: &House, token: &str, jti: &str) -> String {
        let header =
            Header { typ: Some("dpop+jwt".into()), jwk: Some(self.jwk.clone()), ..Header::new(Algorithm::ES256) };
        let ath = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        let (htu, iat) = (format!("http://{APP_HOST}/public"), house.lent.clock.now().as_secs());
        let claims = serde_json::json!({ "jti": jti, "htm": "GET", "htu": htu, "iat": iat, "ath": ath });
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

/// Each proof opens once, and only what is bound to its own key.
#[tokio::test]
async fn a_proof_opens_once_and_for_the_token_of_its_key_alone() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let (own, anothers) = (Own::new(), Own::new());
    lend(&house, "token", |said| said.bound = own.bound());
    lend(&house, "second", |said| said.bound = own.bound());
    let ask =
        async |proof: &str| house.ask("GET /public", &format!("authorization: DPoP token\r\ndpop: {proof}\r\n")).await;
    let refused = |reply: &Reply| (reply.status(), reply.reason().as_deref() == Some("proof-refused")) == (401, true);

    // What is refused is not spent: whoever guessed a name would else keep its owner out.
    let reply = ask(&anothers.proof(&house, "token", "one")).await;
    assert!(refused(&reply), "of another key: {}", reply.0);
    let reply = ask(&own.proof(&house, "second", "one")).await;
    assert!(refused(&reply), "for another token: {}", reply.0);
    assert_eq!(service.count(), 0);

    let proof = own.proof(&house, "token", "one");
    let reply = ask(&proof).await;
    assert_eq!(reply.status(), 200, "{}", reply.0);
    assert_eq!(service.last().header("dpop"), None, "the service was sent it");
    for (proof, what) in [(proof, "shown again"), (own.proof(&house, "token", "one"), "made again by the same name")] {
        let reply = ask(&proof).await;
        assert!(refused(&reply), "{what}: {}", reply.0);
    }
    assert_eq!(ask(&own.proof(&house, "token", "two")).await.status(), 200);
    assert_eq!(service.count(), 2);
}

/// A proxy that carries the app would send its service the token.
#[tokio::test]
async fn no_token_is_believed_where_another_proxy_carries_the_app() {
    let house = Plan::carried("dialect = 'nginx'").open().await;
    lend(&house, "good", |_| {});
    let told = "x-original-method: GET\r\nx-original-uri: /public\r\nx-forwarded-proto: http\r\n";
    assert_eq!(house.ask("GET /.cardea/authorize", told).await.status(), 200);
    let reply = house.ask("GET /.cardea/authorize", &format!("{told}authorization: Bearer good\r\n")).await;
    assert_eq!(reply.status(), 401, "{}", reply.0);
}

/// A stream that a program opened ends with what its person let it do.
#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let (service, url) = Service::start().await;
    let (pieces, receiver) = tokio::sync::mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    let house = Plan::at(&url).open().await;
    let grant = lend(&house, "good", |_| {});
    pieces.send(bytes::Bytes::from_static(b"data: first\n\n")).unwrap();
    let mut socket = tokio::net::TcpStream::connect(house.address).await.unwrap();
    let request = format!("GET /stream HTTP/1.1\r\nhost: {APP_HOST}\r\nauthorization: Bearer good\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("first") {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0, "{}", String::from_utf8_lossy(&seen));
    }
    // Another's end leaves it open.
    house.proxy.changed(Changed::Program(Ended::Token(TokenId::mint(Timestamp::from_secs(1), &house.lent.entropy))));
    pieces.send(bytes::Bytes::from_static(b"data: second\n\n")).unwrap();
    while !String::from_utf8_lossy(&seen).contains("second") {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0, "{}", String::from_utf8_lossy(&seen));
    }
    house.lent.tokens.lock().unwrap().clear();
    house.proxy.changed(Changed::Program(Ended::Grant(grant)));
    let ends = async { while matches!(socket.read_buf(&mut seen).await, Ok(more) if more > 0) {} };
    tokio::time::timeout(std::time::Duration::from_secs(2), ends).await.expect("it goes on");
    assert!(!String::from_utf8_lossy(&seen).ends_with("0\r\n\r\n"), "it looks like a proper end");
}
