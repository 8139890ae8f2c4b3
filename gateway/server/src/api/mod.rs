//! The admin API under `/api/v1/`, and the console that speaks to it. Every address is behind a permit already: the
//! built-in policies let administrators in, at assurance 2. Whatever changes something spends that permit, and its entry
//! is on disk before the answer.

mod accounts;
mod apps;
mod asked;
pub mod console;
mod groups;
mod import;
mod log;
mod me;
mod overview;
mod policies;
mod problem;
mod refusals;
mod sessions;
mod times;
mod users;

use std::sync::Arc;

use axum::{Router, middleware::from_fn};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::House;

pub(crate) use times::rewrite as rewrite_times;

/// Where the API begins.
const BASE: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cardea admin API",
        description = "What administrators of a tenant do: people, apps, policies and the log. Served at each tenant's sign-in \
                       host; a browser's session at assurance 2 is the credential. Errors are problem details (RFC 9457) with a \
                       stable `reason`; lists are paged by `cursor`, and refuse a parameter that they do not know (422); times are \
                       RFC 3339.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(problem::ProblemBody, problem::Challenge)),
    tags(
        (name = "overview", description = "Who one is, and how things stand"),
        (name = "people", description = "Users, groups and sessions"),
        (name = "apps", description = "Protected applications, and trying a request on them"),
        (name = "policies", description = "Policy sets: checked, activated, kept as versions"),
        (name = "log", description = "Entries, and why a decision fell as it did")
    )
)]
struct Document;

fn described() -> OpenApiRouter<Arc<House>> {
    OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(overview::overview))
        .routes(routes!(users::list, users::invite))
        .routes(routes!(import::import))
        .routes(routes!(users::one, users::delete))
        .routes(routes!(users::suspend))
        .routes(routes!(users::activate))
        .routes(routes!(users::invite_again))
        .routes(routes!(users::reset))
        .routes(routes!(users::enrol))
        .routes(routes!(users::set_groups))
        .routes(routes!(users::set_attributes))
        .routes(routes!(accounts::unlink))
        .routes(routes!(sessions::end_all))
        .routes(routes!(sessions::end_one))
        .routes(routes!(groups::list))
        .routes(routes!(apps::list))
        .routes(routes!(apps::one))
        .routes(routes!(apps::try_it))
        .routes(routes!(policies::active))
        .routes(routes!(policies::schema))
        .routes(routes!(policies::check))
        .routes(routes!(policies::activate))
        .routes(routes!(policies::versions))
        .routes(routes!(policies::version))
        .routes(routes!(policies::activate_again))
        .routes(routes!(log::list))
        .routes(routes!(log::one))
        .routes(routes!(describe))
}

/// The API's description, as it is served and committed beside the source.
pub fn document() -> openapi::OpenApi {
    let mut document = OpenApiRouter::with_openapi(Document::openapi()).nest(BASE, described()).into_openapi();
    refusals::describe(&mut document);
    document
}

/// The console and the API.
pub fn routes() -> Router<Arc<House>> {
    let (api, _) = described().split_for_parts();
    let api = api.fallback(problem::no_such_address).method_not_allowed_fallback(problem::no_such_method);
    Router::new().nest(BASE, api.layer(from_fn(problem::render))).merge(console::routes())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "overview", responses((status = 200, description = "OpenAPI 3.1")))]
async fn describe() -> axum::Json<openapi::OpenApi> {
    axum::Json(document())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The committed description is what the types say; `CARDEA_WRITE=1` writes it anew.
    #[test]
    fn the_committed_description_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = format!("{}\n", document().to_pretty_json().unwrap());
        if std::env::var_os("CARDEA_WRITE").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == now, "run `CARDEA_WRITE=1 cargo test -p cardea --lib api` and commit `openapi.json`");
    }

    #[test]
    fn every_change_can_be_refused_as_the_description_says() {
        let document = serde_json::to_value(document()).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let described = operation["summary"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described, "{method} {path} has no summary");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path} never succeeds");
                for status in ["401", "403", "503"] {
                    assert!(answers.contains_key(status), "{method} {path} hides that it may answer {status}");
                }
                let refusals = answers.iter().filter(|(status, _)| status.as_str() >= "400");
                for (status, answer) in refusals {
                    let told = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(told, "#/components/schemas/ProblemBody", "{method} {path} {status}");
                }
            }
        }
    }

    /// All of a query's parameters were said to stand in the address, and to be required.
    #[test]
    fn a_parameter_stands_in_the_address_only_where_that_names_it() {
        let document = serde_json::to_value(document()).unwrap();
        let mut places = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let name = parameter["name"].as_str().unwrap();
                    let place = if path.contains(&format!("{{{name}}}")) { "path" } else { "query" };
                    assert_eq!(parameter["in"], place, "{name} of {method} {path}");
                    assert_eq!(parameter["required"], place == "path", "{name} of {method} {path}");
                    *places.entry(place).or_insert(0) += 1;
                }
            }
        }
        assert!(places["path"] > 10 && places["query"] > 10, "{places:?}");
    }
}
