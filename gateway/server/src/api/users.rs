//! `/users`: the tenant's people, found, invited, suspended and brought back.
#![allow(unused_qualifications, reason = "the macro that describes query parameters writes its own paths")]

use axum::Json;
use cardea_core::{Attributes, GroupId, Reason, UserId, resources::FactorRules};
use cardea_identity::{Email, Factor, Session, Status, User};
use cardea_storage::{AccountSummary, UserQuery, UserSummary};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    accounts::AccountView,
    asked::{Asked, Filter, Named, Sent},
    problem::{Answer, Problem},
    times::text,
};
use crate::house::Invited;

/// A person of the pool.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserView {
    id: String,
    name: String,
    email: String,
    /// `invited`, `active` or `suspended`.
    status: &'static str,
    /// Groups that the person is put in; those above them are not listed.
    groups: Vec<String>,
    /// What the tenant says of the person beside, as it declares it.
    #[schema(value_type = Object)]
    attributes: Attributes,
    /// Kinds of factors enrolled: `password`, `totp`, `passkey`, `recovery`.
    factors: Vec<&'static str>,
    /// Providers at which the person has an account by which they sign in.
    providers: Vec<String>,
    /// Whether the tenant wants a second factor of the person, who has joined, and they have none.
    lacks_second_factor: bool,
    created_at: String,
    last_seen_at: Option<String>,
}

/// A person with what belongs to them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserDetails {
    #[serde(flatten)]
    user: UserView,
    factor_list: Vec<FactorView>,
    /// Accounts at providers by which the person signs in.
    accounts: Vec<AccountView>,
    sessions: Vec<SessionView>,
}

/// An enrolled factor.
#[derive(Debug, Serialize, ToSchema)]
struct FactorView {
    id: String,
    /// `password`, `totp`, `passkey` or `recovery`.
    kind: &'static str,
    name: String,
    created_at: String,
    last_used_at: Option<String>,
}

/// A live session.
#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    id: String,
    started_at: String,
    last_seen_at: String,
    /// 1, 2 or 3.
    assurance: u8,
    factors: Vec<&'static str>,
    /// The address from which it was begun.
    client: Option<String>,
    /// The browser, shortened: `Firefox on Linux`.
    user_agent: Option<String>,
}

/// A page of people.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserPage {
    items: Vec<UserView>,
    /// To be sent as `cursor` for the next page.
    next: Option<String>,
}

/// Which people to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UserFilter {
    /// Part of the name or address.
    query: Option<String>,
    /// `invited`, `active` or `suspended`.
    status: Option<String>,
    /// Put directly into this group.
    group: Option<String>,
    /// Whether only those who have joined and have no second factor, whether or not the tenant wants one.
    without_second_factor: Option<bool>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// At most so many, up to 200; 50 where not given.
    limit: Option<u32>,
}

/// A person to be invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    email: String,
    name: String,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    groups: Vec<GroupId>,
}

/// A person just invited.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitedView {
    user: UserView,
    /// To be handed to the person; shown this once, good for three days.
    invitation_url: String,
    /// Whether it is sent to the person by e-mail, too: not to one who has joined. Whether it arrives is told by an entry,
    /// `mail-sent` or `mail-failed`.
    mailed: bool,
}

/// A link by which a person adds a first factor beyond the only one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FactorLinkView {
    /// To be handed to the person, who signs in with what they have; shown this once.
    url: String,
    /// Until when it may be used.
    expires_at: String,
    /// Whether it is sent to the person by e-mail, too: not where a code in that mailbox is all that they sign in with.
    mailed: bool,
}

/// The groups that a person is to be in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Groups {
    #[schema(value_type = Vec<String>)]
    groups: Vec<GroupId>,
}

/// What is to be said of a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// Texts, whole numbers, true or false, or lists of texts, by name.
    #[schema(value_type = Object)]
    attributes: Attributes,
}

/// Fifty: a screen and a half.
const PAGE: u32 = 50;

impl UserView {
    /// A person of whom nothing is known but this: who is invited has none of the rest.
    pub(super) fn bare(user: User) -> Self {
        Self::of(UserSummary { user, factors: Vec::new(), accounts: Vec::new() }, &FactorRules::default())
    }

    fn of(summary: UserSummary, rules: &FactorRules) -> Self {
        let lacks = rules.want_second() && summary.lacks_second();
        let UserSummary { user, factors, accounts } = summary;
        let mut providers: Vec<_> = accounts.iter().map(|account| account.provider.to_string()).collect();
        providers.sort_unstable();
        providers.dedup();
        Self {
            id: user.id.to_string(),
            name: user.name,
            email: user.email.to_string(),
            status: user.status.as_str(),
            groups: user.groups.iter().map(ToString::to_string).collect(),
            attributes: user.attributes,
            factors: factors.iter().map(|kind| kind.as_str()).collect(),
            providers,
            lacks_second_factor: lacks,
            created_at: text(user.created),
            last_seen_at: user.last_seen.map(text),
        }
    }
}

impl InvitedView {
    /// Sends the link, where letters are sent, and shows it.
    fn of(invited: Invited, asked: &Asked) -> Self {
        let mailed = asked.house.mail_invitation(&asked.tenant, &invited, asked.noting());
        Self { user: UserView::bare(invited.user), invitation_url: invited.url, mailed }
    }
}

impl From<&Factor> for FactorView {
    fn from(factor: &Factor) -> Self {
        Self {
            id: factor.id.to_string(),
            kind: factor.kind().as_str(),
            name: factor.name.clone(),
            created_at: text(factor.created),
            last_used_at: factor.last_used.map(text),
        }
    }
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            started_at: text(session.created),
            last_seen_at: text(session.last_seen),
            assurance: session.assurance.level(),
            factors: session.factor_names(),
            client: session.client.map(|address| address.to_string()),
            user_agent: Some(session.agent.clone()).filter(|agent| !agent.is_empty()),
        }
    }
}

/// Find people.
#[utoipa::path(get, path = "/users", tag = "people", params(UserFilter), responses((status = 200, body = UserPage)))]
pub(super) async fn list(asked: Asked, Filter(filter): Filter<UserFilter>) -> Answer<Json<UserPage>> {
    let status = match filter.status.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Some(Status::parse(text).ok_or_else(|| Problem::bad(format!("`{text}` is not a status")))?),
        None => None,
    };
    let group = filter.group.as_deref().filter(|text| !text.is_empty()).map(GroupId::parse).transpose();
    let query = UserQuery {
        query: filter.query.filter(|text| !text.trim().is_empty()),
        status,
        group: group.map_err(|error| Problem::bad(error.to_string()))?,
        without_second: filter.without_second_factor.unwrap_or_default(),
        cursor: filter.cursor,
        limit: filter.limit.unwrap_or(PAGE).clamp(1, 200),
    };
    let page = asked.house.store.users(asked.tenant.id(), &query).await?;
    let rules = &asked.tenant.bundle.tenant.factors;
    let items = page.items.into_iter().map(|summary| UserView::of(summary, rules)).collect();
    Ok(Json(UserPage { items, next: page.next }))
}

/// Invite a person into the pool.
#[utoipa::path(
    post, path = "/users", tag = "people", request_body = NewUser,
    responses((status = 201, body = InvitedView), (status = 409, description = "the address is in the pool already"))
)]
pub(super) async fn invite(asked: Asked, Sent(new): Sent<NewUser>) -> Answer<(StatusCode, Json<InvitedView>)> {
    let email = Email::parse(&new.email).map_err(|error| Problem::bad(error.to_string()))?;
    let invited = asked.house.invite_user(&asked.tenant, email, &new.name, &new.groups, &asked.doer()?).await?;
    Ok((StatusCode::CREATED, Json(InvitedView::of(invited, &asked))))
}

/// One person, with factors, accounts and sessions.
#[utoipa::path(
    get, path = "/users/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = UserDetails), (status = 404, description = "there is no such user"))
)]
pub(super) async fn one(asked: Asked, Named(id): Named<UserId>) -> Answer<Json<UserDetails>> {
    let tenant = asked.tenant.id();
    let user = asked.house.store.user(tenant, id).await?.ok_or_else(|| Problem::not_found("user"))?;
    let factors = asked.house.store.factors(tenant, id).await?;
    let accounts = asked.house.store.identities(tenant, id).await?;
    let sessions = asked.house.shared.sessions_of_user(tenant, id, asked.house.now()).await?;
    let mut kinds: Vec<_> = factors.iter().map(Factor::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let summary = UserSummary { user, factors: kinds, accounts: accounts.iter().map(AccountSummary::from).collect() };
    Ok(Json(UserDetails {
        user: UserView::of(summary, &asked.tenant.bundle.tenant.factors),
        factor_list: factors.iter().map(FactorView::from).collect(),
        accounts: accounts.iter().map(AccountView::from).collect(),
        sessions: sessions.iter().map(SessionView::from).collect(),
    }))
}

/// Suspend a person and end every session of theirs.
#[utoipa::path(
    post, path = "/users/{id}/suspend", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 409, description = "oneself"))
)]
pub(super) async fn suspend(asked: Asked, Named(id): Named<UserId>) -> Answer<StatusCode> {
    if asked.user()?.id == id {
        return Err(Problem::new(Reason::Conflict, "you cannot suspend yourself: ask another administrator"));
    }
    asked.house.suspend_user(asked.tenant.id(), id, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a suspended person sign in again.
#[utoipa::path(
    post, path = "/users/{id}/activate", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 409, description = "not suspended"))
)]
pub(super) async fn activate(asked: Asked, Named(id): Named<UserId>) -> Answer<StatusCode> {
    asked.house.activate_user(asked.tenant.id(), id, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new invitation link; older ones are worthless from now on.
#[utoipa::path(
    post, path = "/users/{id}/invite", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = InvitedView), (status = 409, description = "suspended, or oneself"))
)]
pub(super) async fn invite_again(asked: Asked, Named(id): Named<UserId>) -> Answer<Json<InvitedView>> {
    if asked.user()?.id == id {
        return Err(Problem::new(Reason::Conflict, "you cannot invite yourself: your factors are in your portal"));
    }
    let invited = asked.house.invite_again(&asked.tenant, id, &asked.doer()?).await?;
    Ok(Json(InvitedView::of(invited, &asked)))
}

/// Let a person start over: factors and sessions are gone, and a new link is made.
#[utoipa::path(
    post, path = "/users/{id}/reset", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = InvitedView), (status = 409, description = "suspended, or oneself"))
)]
pub(super) async fn reset(asked: Asked, Named(id): Named<UserId>) -> Answer<Json<InvitedView>> {
    if asked.user()?.id == id {
        return Err(Problem::new(Reason::Conflict, "you cannot reset yourself: your factors are in your portal"));
    }
    let Invited { user, url, .. } = asked.house.reset_user(&asked.tenant, id, &asked.doer()?).await?.invited;
    // Handed over by whoever made sure who asks: the mailbox may be what was lost.
    Ok(Json(InvitedView { user: UserView::bare(user), invitation_url: url, mailed: false }))
}

/// Make a link by which a person adds a first factor beyond the only one; what they have stays, older links are worthless.
#[utoipa::path(
    post, path = "/users/{id}/enrol", tag = "people", params(("id" = String, Path)),
    responses(
        (status = 200, body = FactorLinkView),
        (status = 409, description = "not joined, suspended, oneself, or with two factors already"),
    )
)]
pub(super) async fn enrol(asked: Asked, Named(id): Named<UserId>) -> Answer<Json<FactorLinkView>> {
    if asked.user()?.id == id {
        return Err(Problem::new(Reason::Conflict, "you cannot vouch for yourself: ask another administrator"));
    }
    let link = asked.house.make_factor_link(&asked.tenant, id, &asked.doer()?).await?;
    let mailed = asked.house.mail_factor_link(&asked.tenant, &link, asked.noting());
    Ok(Json(FactorLinkView { url: link.url, expires_at: text(link.expires), mailed }))
}

/// Delete a person for good, and end every session of theirs.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 409, description = "oneself"))
)]
pub(super) async fn delete(asked: Asked, Named(id): Named<UserId>) -> Answer<StatusCode> {
    if asked.user()?.id == id {
        return Err(Problem::new(Reason::Conflict, "you cannot delete yourself: ask another administrator"));
    }
    asked.house.delete_user(asked.tenant.id(), id, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put a person into exactly these groups.
#[utoipa::path(
    put, path = "/users/{id}/groups", tag = "people", params(("id" = String, Path)), request_body = Groups,
    responses((status = 204), (status = 422, description = "a group is unknown"))
)]
pub(super) async fn set_groups(
    asked: Asked,
    Named(id): Named<UserId>,
    Sent(wanted): Sent<Groups>,
) -> Answer<StatusCode> {
    asked.house.set_groups(&asked.tenant, id, &wanted.groups, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say exactly this of a person.
#[utoipa::path(
    put, path = "/users/{id}/attributes", tag = "people", params(("id" = String, Path)), request_body = Said,
    responses((status = 204), (status = 422, description = "an attribute is not declared, or of another type"))
)]
pub(super) async fn set_attributes(
    asked: Asked,
    Named(id): Named<UserId>,
    Sent(wanted): Sent<Said>,
) -> Answer<StatusCode> {
    asked.house.set_attributes(&asked.tenant, id, wanted.attributes, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
