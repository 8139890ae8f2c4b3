//! The device grant (RFC 8628): a device shows a short code, a person types it in any browser, and the device is given tokens.

use std::{collections::BTreeSet, time::Duration};

use axum::{http::StatusCode, response::Response};
use cardea_core::{AppId, ClientId, Timestamp, UserId};
use cardea_identity::{
    Ticket, TicketHash,
    guard::{Counts, Limit, Rule},
    oauth2::{
        Scope,
        device::{INTERVAL, UserCode},
    },
    one_time::{OneTime, Purpose},
};
use cardea_storage::StoreFault;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    client::{self, Client},
    consent::{self, Consent},
    form::Asked,
    issue,
    told::{self, No},
};
use crate::{House, state::TenantState};

/// What a device waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    client: ClientId,
}

/// What a short code stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wish {
    device: TicketHash,
    pub(crate) client: ClientId,
    pub(crate) scope: Scope,
    pub(crate) apps: BTreeSet<AppId>,
}

/// What the person said.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Answer {
    Yes(Box<Consent>),
    No,
}

/// `POST /oauth2/device_authorization`.
pub(super) async fn begin(asked: Asked) -> Response {
    let result = begun(&asked).await;
    asked.answered(result)
}

async fn begun(asked: &Asked) -> Result<Response, No> {
    let client = client::of(asked).await?;
    if !client.spec.grants.contains(&cardea_core::resources::GrantType::DeviceCode) {
        let no = No::of("unauthorized_client", "the client may not come by tokens so", "not its grant");
        return Err(no.by(&client.spec.id));
    }
    let scope = issue::scope(asked.get("scope"), &issue::whole_scope(&client)?)?;
    let apps = issue::apps(asked, &client.spec.apps)?;
    let (house, tenant, now) = (&asked.house, asked.tenant.id(), asked.now());
    let limit = Limit { key: format!("device-begins/{}", asked.admitted.client()), rule: BEGINNING };
    if house.shared.attempt(tenant, &limit, now).await?.is_some() {
        return Err(No::yet("slow_down", "too many devices began from this address: wait an hour"));
    }
    let (sealer, entropy) = (house.sealer(tenant).await?, &*house.entropy);
    let (id, code) = (client.spec.id.clone(), UserCode::draw(entropy));
    let waiting = Waiting { client: id.clone() };
    let (device, value) =
        OneTime::issue(Purpose::Device, tenant, &waiting, &sealer, now, entropy).map_err(StoreFault::from)?;
    let wish = Wish { device: device.hash(), client: id, scope, apps };
    let typed = OneTime::under(code.hash(), (Purpose::UserCode, tenant), &wish, &sealer, now, entropy);
    house.shared.put(&value, now).await?;
    house.shared.put(&typed.map_err(StoreFault::from)?, now).await?;
    let (page, code) = (format!("{}/oauth2/device", asked.tenant.route.sign_in_origin), code.expose_text());
    Ok(told::json(
        StatusCode::OK,
        &json!({
            "device_code": device.expose_text(),
            "user_code": code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={code}"),
            "expires_in": Purpose::Device.life().as_secs(),
            "interval": INTERVAL.as_secs(),
        }),
    ))
}

/// Gives a device its tokens once its person has said yes.
pub(super) async fn poll(asked: &Asked, client: &Client<'_>) -> Result<Response, No> {
    let (house, tenant, now) = (&asked.house, &asked.tenant, asked.now());
    let text = asked.need("device_code", "`device_code` is missing")?;
    let hash = Ticket::parse(text).map_err(|_| No::grant("it is no device code of ours"))?.hash();
    let gone = || No::yet("expired_token", "the code is too old, or was used: begin anew");
    let Some(waiting) = house.opened::<Waiting>(tenant, Purpose::Device, &hash, now).await? else {
        return Err(gone());
    };
    if waiting.client != client.spec.id {
        return Err(No::grant("the device code is another client's"));
    }
    let limit = Limit { key: format!("device/{hash}"), rule: PACE };
    if house.shared.attempt(tenant.id(), &limit, now).await?.is_some() {
        return Err(No::yet("slow_down", "ask every five seconds, and five more from now on"));
    }
    let Some(answer) = house.shared.take(tenant.id(), Purpose::DeviceAnswer, &hash, now).await? else {
        return Err(No::yet("authorization_pending", "the person has yet to say yes"));
    };
    let sealer = house.sealer(tenant.id()).await?;
    let answer: Answer = answer
        .open(Purpose::DeviceAnswer, tenant.id(), &sealer, now)
        .map_err(|_| No::grant("the answer does not open"))?;
    if house.shared.take(tenant.id(), Purpose::Device, &hash, now).await?.is_none() {
        return Err(gone());
    }
    match answer {
        Answer::No => Err(No::of("access_denied", "the person said no", "the person said no")),
        Answer::Yes(consent) => consent::grant(asked, client, *consent, (None, "device_code")).await,
    }
}

/// A little less than the interval: a clock that runs a little faster is no haste.
const PATIENCE: Duration = Duration::from_millis(4_500);

/// One question, and the next when that is over.
const PACE: Rule =
    Rule { counts: Counts::Tries, free: 1, first_wait: PATIENCE, longest_wait: PATIENCE, forget: PATIENCE };

impl House {
    /// What a one-time value holds, left where it is; none where it is not there, or does not open.
    async fn opened<T: DeserializeOwned>(
        &self,
        tenant: &TenantState,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<T>, StoreFault> {
        let Some(found) = self.shared.peek(tenant.id(), purpose, hash, now).await? else { return Ok(None) };
        let sealer = self.sealer(tenant.id()).await?;
        Ok(found.open(purpose, tenant.id(), &sealer, now).ok())
    }

    /// What a device wishes for that shows this code. Whoever types codes that are not there is slowed down: `Err` tells the wait.
    pub(crate) async fn device_wish(
        &self,
        tenant: &TenantState,
        (code, user): (&UserCode, UserId),
        now: Timestamp,
    ) -> Result<Result<Option<Wish>, Duration>, StoreFault> {
        let limit = Limit { key: format!("user-code/{user}"), rule: TYPING };
        if let Some(wait) = self.shared.attempt(tenant.id(), &limit, now).await? {
            return Ok(Err(wait));
        }
        let wish = self.opened::<Wish>(tenant, Purpose::UserCode, &code.hash(), now).await?;
        if wish.is_some() {
            self.shared.give_back(tenant.id(), &limit, now).await?;
        }
        Ok(Ok(wish))
    }

    /// Hands the person's answer to the device, once; false where somebody was first.
    pub(crate) async fn device_answer(
        &self,
        tenant: &TenantState,
        (code, wish): (&UserCode, &Wish),
        consent: Option<Consent>,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        if self.shared.take(tenant.id(), Purpose::UserCode, &code.hash(), now).await?.is_none() {
            return Ok(false);
        }
        let answer = consent.map_or(Answer::No, |consent| Answer::Yes(Box::new(consent)));
        let sealer = self.sealer(tenant.id()).await?;
        let place = (Purpose::DeviceAnswer, tenant.id());
        let value = OneTime::under(wish.device, place, &answer, &sealer, now, &*self.entropy)?;
        self.shared.put(&value, now).await?;
        Ok(true)
    }
}

/// A hundred devices of one address within an hour, and then ever slower: whoever begins by the thousand fills the store, and makes
/// codes that somebody types by chance more likely.
const BEGINNING: Rule = Rule {
    counts: Counts::Tries,
    free: 100,
    first_wait: Duration::from_secs(30),
    longest_wait: Duration::from_secs(3600),
    forget: Duration::from_secs(3600),
};

/// Ten codes that are not there, and then ever slower: of 25 milliards of codes nobody finds one.
const TYPING: Rule = Rule {
    counts: Counts::Tries,
    free: 10,
    first_wait: Duration::from_secs(30),
    longest_wait: Duration::from_secs(3600),
    forget: Duration::from_secs(24 * 3600),
};
