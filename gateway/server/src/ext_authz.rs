//! Envoy's external authorization over gRPC: a proxy that carries an app asks here about each of its requests.
//!
//! INVARIANT: a question goes the way of every request, through the data plane's door for questions. A yes is what the data
//! plane vouches for; whatever else comes back is a no.

use std::{net::IpAddr, sync::Arc};

use cardea_proxy::{Body, Connection, Description, Proxy};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tonic::Status;

use generated::envoy::{
    config::core::v3::address,
    service::auth::v3::{
        AttributeContext, CheckRequest, CheckResponse,
        attribute_context::HttpRequest,
        authorization_server::{Authorization, AuthorizationServer},
    },
};

mod answer;
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::cloned_instead_of_copied,
    reason = "generated from gateway/protocols"
)]
mod generated;
mod listener;

pub(crate) use listener::ExtAuthz;
pub use listener::Fault;

/// One connection's worth of the service.
struct Desk {
    proxy: Arc<Proxy>,
    connection: Arc<Connection>,
}

fn service(proxy: Arc<Proxy>, connection: Arc<Connection>) -> AuthorizationServer<Desk> {
    // A message holds a request's head, which has a limit of its own below this one.
    const MESSAGE: usize = 512 * 1024;
    AuthorizationServer::new(Desk { proxy, connection }).max_decoding_message_size(MESSAGE)
}

#[tonic::async_trait]
impl Authorization for Desk {
    async fn check(&self, request: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.ok_or_else(|| Status::invalid_argument("no attributes"))?;
        let request = described(attributes).map_err(Status::invalid_argument)?;
        let response = self.proxy.handle(&self.connection, request).await;
        // Whoever asks has to show who it is anew: that is no answer about the request.
        if self.connection.certificate.as_ref().is_some_and(|certificate| certificate.has_ended()) {
            return Err(Status::unauthenticated("certificate-ended"));
        }
        Ok(tonic::Response::new(answer::of(response).await))
    }
}

/// The request that stands for the described one.
fn described(attributes: AttributeContext) -> Result<Request<Body>, &'static str> {
    let client = client(&attributes).ok_or("no client address")?;
    let http = attributes.request.and_then(|request| request.http).ok_or("no http request")?;
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = headers(&http)?;
    request.extensions_mut().insert(Description {
        method: http.method,
        scheme: http.scheme,
        authority: http.host,
        target: http.path,
        client,
    });
    Ok(request)
}

fn client(attributes: &AttributeContext) -> Option<IpAddr> {
    match attributes.source.as_ref()?.address.as_ref()?.address.as_ref()? {
        address::Address::SocketAddress(socket) => socket.address.parse().ok(),
    }
}

/// The described headers, without the pseudo-headers among them. What is no header refuses the question.
fn headers(http: &HttpRequest) -> Result<HeaderMap, &'static str> {
    let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|one| {
        let value = if one.raw_value.is_empty() { one.value.as_bytes() } else { &one.raw_value[..] };
        (one.key.as_str(), value)
    });
    let joined = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut headers = HeaderMap::new();
    for (name, value) in raw.chain(joined).filter(|(name, _)| !name.starts_with(':')) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header name that is none")?;
        let value = HeaderValue::from_bytes(value).map_err(|_| "a header value that is none")?;
        headers.append(name, value);
    }
    Ok(headers)
}
