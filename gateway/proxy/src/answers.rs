//! Fixed answers in a service's stead. Taken with the permit in hand, as forwarding is.

use bytes::Bytes;
use cardea_core::{Diagnostic, Diagnostics, resources::AnswerSpec};
use cardea_policy::Patterns;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::{Body, Canonical};

/// An app's answers, by method and pattern.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_method: Vec<(Method, Patterns<usize>)>,
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answers {
    /// Compiles answers that were checked; what is wrong with them is named again.
    pub(crate) fn new(source: &str, specs: &[AnswerSpec], found: &mut Diagnostics) -> Self {
        let mut own = Self::default();
        for (nth, spec) in specs.iter().enumerate() {
            match (Answer::new(spec), Method::from_bytes(spec.method.as_bytes())) {
                (Some(answer), Ok(method)) => {
                    own.answers.push(answer);
                    own.patterns(method).insert(source, &spec.pattern, nth, found);
                }
                _ => found.push(Diagnostic::new(source, format!("the answer at `{}` cannot be sent", spec.pattern))),
            }
        }
        own
    }

    fn patterns(&mut self, method: Method) -> &mut Patterns<usize> {
        let at = self.by_method.iter().position(|(own, _)| *own == method).unwrap_or(self.by_method.len());
        if at == self.by_method.len() {
            self.by_method.push((method, Patterns::default()));
        }
        &mut self.by_method[at].1
    }

    /// The answer to a request, where one is declared. An answer to `GET` holds for `HEAD`, unless that has one of its own.
    pub(crate) fn to(&self, canonical: &Canonical) -> Option<Response<Body>> {
        let at = |method: &Method| {
            let (_, patterns) = self.by_method.iter().find(|(own, _)| own == method)?;
            patterns.at(canonical.path())
        };
        let method = canonical.method();
        let nth = at(method).or_else(|| if *method == Method::HEAD { at(&Method::GET) } else { None })?;
        self.answers.get(*nth).map(Answer::response)
    }
}

impl Answer {
    fn new(spec: &AnswerSpec) -> Option<Self> {
        let mut headers = HeaderMap::new();
        for (name, value) in &spec.headers {
            headers.insert(HeaderName::try_from(name.as_str()).ok()?, HeaderValue::try_from(value.as_str()).ok()?);
        }
        // What one was permitted to read, no cache may give to another; nor is a redirect remembered for good by mistake.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if let Some(target) = &spec.redirect {
            headers.insert(header::LOCATION, HeaderValue::try_from(target.as_str()).ok()?);
        } else if !spec.body.is_empty() {
            headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        Some(Self {
            status: StatusCode::from_u16(spec.code()).ok()?,
            headers,
            body: Bytes::copy_from_slice(spec.body.as_bytes()),
        })
    }

    fn response(&self) -> Response<Body> {
        let mut response =
            Response::new(if self.body.is_empty() { Body::empty() } else { Body::full(self.body.clone()) });
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        response
    }
}
