//! The answer of the data plane in Envoy's words.

use cardea_proxy::{Body, Vouched};
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use http_body_util::BodyExt as _;

use super::generated::{
    envoy::{
        config::core::v3::{HeaderValue as Value, HeaderValueOption},
        service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse},
        r#type::v3::HttpStatus,
    },
    google::rpc::Status,
};

/// gRPC's words for a no (google.rpc.Code).
const PERMISSION_DENIED: i32 = 7;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

/// Between us and Envoy only, or of no use to a service.
const NOT_PASSED_ON: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::VIA,
];

/// A yes with what the service is told, or the no that the client gets.
pub(super) async fn of(response: Response<Body>) -> CheckResponse {
    match response.extensions().get::<Vouched>() {
        Some(vouched) => yes(response.headers(), vouched),
        None => no(response).await,
    }
}

fn yes(told: &HeaderMap, vouched: &Vouched) -> CheckResponse {
    let passed = told.iter().filter(|(name, value)| !NOT_PASSED_ON.contains(name) && !value.is_empty());
    // Named, and empty: nothing of it is left.
    let emptied = told.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| name.to_string());
    let answer = OkHttpResponse {
        headers: passed.map(|(name, value)| option(name, value)).collect(),
        headers_to_remove: vouched.withheld().iter().map(ToString::to_string).chain(emptied).collect(),
        response_headers_to_add: cookies(told),
    };
    CheckResponse {
        status: Some(Status { code: 0, message: String::new() }),
        http_response: Some(HttpResponse::OkResponse(answer)),
    }
}

async fn no(response: Response<Body>) -> CheckResponse {
    let (head, body) = response.into_parts();
    let code = match head.status {
        StatusCode::UNAUTHORIZED | StatusCode::SEE_OTHER => UNAUTHENTICATED,
        status if status.is_server_error() => UNAVAILABLE,
        _ => PERMISSION_DENIED,
    };
    // INVARIANT: never a 2xx, whatever came back.
    let status = if head.status.is_success() { StatusCode::FORBIDDEN } else { head.status };
    let sent = head.headers.iter().filter(|(name, _)| **name != header::CONNECTION && **name != header::CONTENT_LENGTH);
    // Ours are made in memory; one that breaks off is told without words.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let answer = DeniedHttpResponse {
        status: Some(HttpStatus { code: status.as_u16().into() }),
        headers: sent.map(|(name, value)| option(name, value)).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    CheckResponse {
        status: Some(Status { code, message: String::new() }),
        http_response: Some(HttpResponse::DeniedResponse(answer)),
    }
}

fn cookies(told: &HeaderMap) -> Vec<HeaderValueOption> {
    told.get_all(header::SET_COOKIE).iter().map(|value| option(&header::SET_COOKIE, value)).collect()
}

fn option(name: &HeaderName, value: &http::HeaderValue) -> HeaderValueOption {
    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
    HeaderValueOption { header: Some(Value { key: name.to_string(), value, raw_value: Vec::new() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_yes_that_nobody_vouched_for_is_a_no() {
        let answer = of(Response::new(Body::full("<p>welcome".to_owned()))).await;
        let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else { panic!("{answer:?}") };
        assert_eq!((denied.status.unwrap().code, answer.status.unwrap().code), (403, PERMISSION_DENIED));
    }
}
