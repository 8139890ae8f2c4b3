//! A program's request: its form, and how it is answered. What stands twice in a form was refused before it came here.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::Response,
};
use cardea_audit::Event;
use cardea_core::{Reason, Timestamp};
use cardea_proxy::{Admitted, SiteRole};

use super::told::{self, No};
use crate::{House, house::Doer, state::TenantState};

/// A request of a program to one of its addresses.
pub(super) struct Asked {
    pub(super) house: Arc<House>,
    pub(super) tenant: Arc<TenantState>,
    pub(super) headers: HeaderMap,
    pub(super) admitted: Admitted,
    form: BTreeMap<String, String>,
}

/// The largest form: a client's assertion and a refresh token have two kilobytes together.
const LARGEST: usize = 64 * 1024;

impl FromRequest<Arc<House>> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let nowhere = |reason| {
            let mut failure = told::json(StatusCode::NOT_FOUND, &serde_json::json!({ "error": "not_found" }));
            failure.extensions_mut().insert(reason);
            failure
        };
        let admitted = head.extensions.get::<Admitted>().cloned();
        let admitted = admitted.ok_or_else(|| nowhere(Reason::Internal))?;
        // An app's host has addresses of ours, but not these.
        if !matches!(admitted.site().role, SiteRole::SignIn) {
            return Err(nowhere(Reason::NotFound));
        }
        let tenant = house.tenant(&admitted.tenant().id).ok_or_else(|| nowhere(Reason::Internal))?;
        let asked = Self { house: Arc::clone(house), tenant, headers: head.headers, admitted, form: BTreeMap::new() };
        let kind = asked.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let no = |says| asked.refused(&No::request(says));
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(no("send a form: `application/x-www-form-urlencoded`"));
        }
        let body = Bytes::from_request(Request::new(body), house).await;
        let Ok(body) = body else { return Err(no("the form cannot be read")) };
        if body.len() > LARGEST {
            return Err(no("the form is larger than 64 KiB"));
        }
        let mut form = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&body) {
            if form.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(no("a parameter stands twice"));
            }
        }
        Ok(Self { form, ..asked })
    }
}

impl Asked {
    /// A parameter; one without a value is as if it were not there (RFC 6749 section 3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    pub(super) fn need(&self, name: &'static str, says: &'static str) -> Result<&str, No> {
        self.get(name).ok_or_else(|| No::request(says))
    }

    /// When the request came.
    pub(super) fn now(&self) -> Timestamp {
        self.admitted.at()
    }

    /// Who does what follows, as entries tell it.
    pub(super) fn doer(&self) -> Doer {
        Doer::noting(&self.admitted).with_agent(&self.headers)
    }

    /// The answer, or what a program is told instead; an entry tells why.
    pub(super) fn answered(&self, result: Result<Response, No>) -> Response {
        result.unwrap_or_else(|no| self.refused(&no))
    }

    fn refused(&self, no: &No) -> Response {
        match no {
            No::Refused(refusal) => {
                if let Some(detail) = &refusal.detail {
                    let (client, error) = (refusal.client.clone(), refusal.error.into());
                    let event = Event::ClientRefused { client, error, detail: detail.clone() };
                    self.house.note(self.tenant.id(), &self.doer(), event);
                }
                refusal.respond(self.headers.contains_key(AUTHORIZATION))
            }
            No::Broken(fault) => told::broken(fault),
        }
    }
}
