//! A program's token, verified, with all that a decision needs; and what is asked of it before it counts: that it is for this app,
//! bound to who shows it, and good for what is asked.

use std::{collections::BTreeSet, sync::Arc};

use cardea_audit::event::Program;
use cardea_core::{
    AccessKeyId, AppId, Assurance, Caller, GrantId, TenantId, Timestamp, TokenId, UserId, caller::UserFacts,
};
use cardea_identity::oauth2::{Scope, access_token::Confirmation};
use cardea_policy::Principal;
use futures_util::future::BoxFuture;

use crate::StoreFault;

/// A token that verified, prebuilt for many requests. Kept in memory by the server.
#[derive(Debug)]
pub struct LiveToken {
    /// Its tenant.
    pub tenant: TenantId,
    /// By which program it is shown, as entries tell it.
    pub by: Arc<Program>,
    /// In whose name; none where a service account asks in its own.
    pub user: Option<Arc<UserFacts>>,
    /// What it is good for.
    pub scope: Scope,
    /// The apps that it is for.
    pub apps: BTreeSet<AppId>,
    /// How sure we were of the person.
    pub assurance: Option<Assurance>,
    /// The factors that they had used.
    pub factors: Vec<&'static str>,
    /// When they had proven who they are.
    pub signed_in_at: Option<Timestamp>,
    /// What it is bound to.
    pub bound: Option<Confirmation>,
    /// From when it is good for nothing.
    pub ends_at: Timestamp,
    principal: Principal,
    factor_words: Vec<Arc<str>>,
}

/// What a [`LiveToken`] is made of beside its program.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its tenant.
    pub tenant: TenantId,
    /// Who asks: a person, or a service account.
    pub caller: Caller,
    /// What it is good for.
    pub scope: Scope,
    /// The apps that it is for.
    pub apps: BTreeSet<AppId>,
    /// How sure we were of the person.
    pub assurance: Option<Assurance>,
    /// The factors that they had used.
    pub factors: Vec<&'static str>,
    /// When they had proven who they are.
    pub signed_in_at: Option<Timestamp>,
    /// What it is bound to.
    pub bound: Option<Confirmation>,
    /// From when it is good for nothing.
    pub ends_at: Timestamp,
}

/// A token as a request shows it. INVARIANT: no `Debug` but its kind; it opens something.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The text.
    pub text: &'a str,
    /// Whether it came with a proof of possession (`Authorization: DPoP`).
    pub with_proof: bool,
}

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("with_proof", &self.with_proof).finish_non_exhaustive()
    }
}

/// What a shown text is.
#[derive(Debug, Clone)]
pub enum Judged {
    /// A token of the tenant's that is good.
    Good(Arc<LiveToken>),
    /// It says that it is one, and is not, or is no longer. The text is for the entry.
    Refused(&'static str),
    /// It is somebody else's: the app's own, perhaps. It is nobody for us, and passed on.
    Foreign,
}

/// Tokens of programs. Implementations verify each once, and hear of every end.
pub trait Tokens: Send + Sync + 'static {
    /// What memory knows of this text, without waiting. `None` means "ask [`Tokens::judge`]".
    fn known(&self, tenant: &TenantId, shown: Shown<'_>, now: Timestamp) -> Option<Arc<LiveToken>>;

    /// What this text is, asking the store.
    fn judge<'a>(
        &'a self,
        tenant: &'a TenantId,
        shown: Shown<'a>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Judged, StoreFault>>;

    /// The token as it is now; none where it is good for nothing any more. Asked for open streams after a change; it counts as no use.
    fn current<'a>(
        &'a self,
        token: &'a Arc<LiveToken>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Arc<LiveToken>>, StoreFault>>;
}

impl LiveToken {
    /// Prepares a token, which the caller has judged to be good.
    pub fn new(said: Said, by: Program) -> Self {
        let user = match &said.caller {
            Caller::User(user) => Some(Arc::clone(user)),
            _ => None,
        };
        Self {
            tenant: said.tenant,
            by: Arc::new(by),
            user,
            principal: Principal::of(&said.caller),
            scope: said.scope,
            apps: said.apps,
            assurance: said.assurance,
            factor_words: said.factors.iter().map(|name| Arc::from(*name)).collect(),
            factors: said.factors,
            signed_in_at: said.signed_in_at,
            bound: said.bound,
            ends_at: said.ends_at,
        }
    }

    /// Whether its time is not over at `now`. That it was ended is heard of otherwise.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.ends_at
    }

    /// Who asks, as policies see them.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(crate) fn factor_words(&self) -> &[Arc<str>] {
        &self.factor_words
    }

    /// Whether an end concerns it.
    pub fn is_of(&self, end: Ended) -> bool {
        match end {
            Ended::Grant(id) => self.by.grant == Some(id),
            Ended::Token(id) => self.by.token == Some(id),
            Ended::AccessKey(id) => self.by.access_key == Some(id),
            Ended::User(id) => self.user.as_ref().is_some_and(|user| user.id == id),
        }
    }
}

/// What has ended, or is another now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What a person let a client do.
    Grant(GrantId),
    /// An access token.
    Token(TokenId),
    /// A personal access key.
    AccessKey(AccessKeyId),
    /// Whatever a user let programs do.
    User(UserId),
}
