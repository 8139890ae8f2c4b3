//! Room for requests in flight: whoever takes much leaves some to others.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cardea_core::{Reason, TenantId, entropy::Fixed};
use cardea_identity::Handle;
use cardea_proxy::{Limits, OwnApps, Site, SiteRole, Snapshot, Tenant};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    house::{APP_HOST, House, Plan, SIGN_IN_HOST},
    limits::{rest, silent},
    reply::Reply,
};

const OTHERS_HOST: &str = "records.other.test";

/// A house whose app hangs, behind a listed proxy.
async fn hanging(limits: Limits) -> House {
    let mut plan = Plan::at(&silent().await).trusting("127.0.0.0/8");
    plan.limits = Limits { concurrency: 100, reserved_percent: 0, ..limits };
    plan.open().await
}

/// Shares of this many among a hundred.
fn shares(client: u8, app: u8, tenant: u8) -> Limits {
    Limits { client_percent: client, app_percent: app, tenant_percent: tenant, ..Limits::default() }
}

fn from(client: &str) -> String {
    format!("x-forwarded-for: {client}\r\n")
}

impl House {
    /// Requests that hang, as many as are given.
    async fn hang(&self, more: &[String]) -> Vec<TcpStream> {
        let mut waiting = Vec::new();
        for more in more {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n{more}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            waiting.push(stream);
        }
        while self.figure("cardea_in_flight") < waiting.len() as u64 {
            tokio::task::yield_now().await;
        }
        waiting
    }
}

fn told(reply: &Reply) -> (u16, Option<String>) {
    (reply.status(), reply.reason())
}

fn refused(status: u16, reason: Reason) -> (u16, Option<String>) {
    (status, Some(reason.code().to_owned()))
}

#[tokio::test]
async fn one_client_takes_its_share_and_no_more() {
    let house = hanging(shares(2, 100, 100)).await;
    let cookie = format!("cookie: {}\r\n", house.chemist());
    let _two = house.hang(&[from("192.0.2.1"), from("192.0.2.1")]).await;
    let third = house.ask("GET /public", &from("192.0.2.1")).await;
    assert_eq!(told(&third), refused(429, Reason::TooManyRequests));
    assert_eq!(third.header("retry-after"), Some("1"));
    let pages = house.ask_sign_in("GET /sign-in", &from("192.0.2.1")).await;
    assert_eq!(told(&pages), refused(429, Reason::TooManyRequests), "whatever it asks for");
    // The service's own silence is all that the others wait for: at another address, or known at this one.
    assert_eq!(house.ask("GET /public", &from("192.0.2.2")).await.status(), 504);
    assert_eq!(house.ask("GET /x", &format!("{}{cookie}", from("192.0.2.1"))).await.status(), 504);
}

#[tokio::test]
async fn whoever_is_signed_in_has_a_share_of_their_own_wherever_they_are() {
    let house = hanging(shares(2, 100, 100)).await;
    let (one, other) = (house.chemist(), house.chemist());
    let at = |cookie: &str, client: &str| format!("{}cookie: {cookie}\r\n", from(client));
    let _two = house.hang(&[at(&one, "192.0.2.1"), at(&one, "192.0.2.2")]).await;
    let third = house.ask("GET /x", &at(&one, "192.0.2.3")).await;
    assert_eq!(told(&third), refused(429, Reason::TooManyRequests));
    assert_eq!(house.ask("GET /x", &at(&other, "192.0.2.1")).await.status(), 504);
}

/// A handle that was made up costs its sender nothing, and makes the store be asked.
#[tokio::test]
async fn questions_to_a_slow_store_leave_room_for_others() {
    for (limits, client, no) in [
        (shares(2, 100, 100), "192.0.2.1", refused(429, Reason::TooManyRequests)),
        (shares(100, 100, 2), "192.0.2.2", refused(503, Reason::Overloaded)),
    ] {
        let house = hanging(limits).await;
        let known = format!("cookie: {}\r\n", house.chemist());
        house.lent.sessions_hang.store(true, Ordering::SeqCst);
        let handle = Handle::draw(&Fixed::new(99)).expose_text();
        let made_up = |client: &str| format!("{}cookie: cardea={handle}\r\n", from(client));
        let _two = house.hang(&[made_up("192.0.2.1"), made_up("192.0.2.1")]).await;
        assert_eq!(told(&house.ask("GET /x", &made_up(client)).await), no);
        // Whom memory knows need not wait for the store.
        assert_eq!(house.ask("GET /x", &format!("{}{known}", from("192.0.2.1"))).await.status(), 504);
    }
}

#[tokio::test]
async fn an_app_that_hangs_leaves_room_for_the_others() {
    let house = hanging(shares(100, 2, 100)).await;
    let _two = house.hang(&[from("192.0.2.1"), from("192.0.2.2")]).await;
    assert_eq!(told(&house.ask("GET /public", &from("192.0.2.3")).await), refused(503, Reason::Overloaded));
    assert_eq!(house.ask_sign_in("GET /sign-in", &from("192.0.2.3")).await.status(), 200);
}

#[tokio::test]
async fn a_tenant_whose_apps_hang_leaves_room_for_the_others() {
    let house = hanging(shares(100, 100, 2)).await;
    house.joined_by_another_tenant();
    let _two = house.hang(&[from("192.0.2.1"), from("192.0.2.2")]).await;
    let pages = house.ask_sign_in("GET /sign-in", &from("192.0.2.3")).await;
    assert_eq!(told(&pages), refused(503, Reason::Overloaded), "its own pages, too");
    let ask = format!("GET /sign-in HTTP/1.1\r\nhost: {OTHERS_HOST}\r\nconnection: close\r\n\r\n");
    assert_eq!(house.raw(ask.as_bytes()).await.status(), 200);
}

#[tokio::test]
async fn what_is_for_our_pages_comes_soon_or_leaves_its_place() {
    let mut plan = Plan::at(&silent().await);
    plan.limits.own_body = Duration::from_secs(1);
    let house = plan.open().await;
    let ask = |length: usize| {
        let origin = format!("origin: http://{SIGN_IN_HOST}\r\nsec-fetch-site: same-origin");
        format!("POST /sign-in HTTP/1.1\r\nhost: {SIGN_IN_HOST}\r\n{origin}\r\ncontent-length: {length}\r\n\r\nab")
    };
    let mut late = TcpStream::connect(house.address).await.unwrap();
    late.write_all(ask(1_000).as_bytes()).await.unwrap();
    assert_eq!(told(&rest(&mut late).await), refused(408, Reason::TooSlow));
    let whole = house.raw(ask(2).replace("content-length", "connection: close\r\ncontent-length").as_bytes()).await;
    assert_eq!(whole.status(), 200);
}

impl House {
    /// Another tenant's sign-in host is there, too.
    fn joined_by_another_tenant(&self) {
        let now = self.proxy.snapshot();
        let acme = &now.hosts[SIGN_IN_HOST].tenant;
        let OwnApps { sign_in, portal, console, machines, decisions } = &acme.own;
        let own = OwnApps {
            sign_in: Arc::clone(sign_in),
            portal: Arc::clone(portal),
            console: Arc::clone(console),
            machines: Arc::clone(machines),
            decisions: Arc::clone(decisions),
        };
        let other = Tenant {
            id: TenantId::parse("other").unwrap(),
            name: "Other".to_owned(),
            accent: None,
            logo: None,
            language: acme.language,
            sign_in_host: OTHERS_HOST.into(),
            sign_in_origin: format!("http://{OTHERS_HOST}"),
            trust_domain: "other.cardea.internal".to_owned(),
            rate: None,
            policy: acme.policy.clone(),
            own,
            engine: Arc::clone(&acme.engine),
        };
        let site = Site { host: OTHERS_HOST.into(), tenant: Arc::new(other), role: SiteRole::SignIn };
        let mut hosts = now.hosts.clone();
        hosts.insert(OTHERS_HOST.into(), Arc::new(site));
        self.proxy.swap(Snapshot { hosts, closed: now.closed.clone(), settings: Arc::clone(&now.settings) });
    }
}
