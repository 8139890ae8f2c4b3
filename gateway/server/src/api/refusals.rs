//! What every address of the API may answer beside what it is for: the refusals that stand before it, and a fault of ours.
//! Described here once, so that no operation can leave one out.

use utoipa::openapi::{
    OpenApi, Ref, RefOr,
    content::ContentBuilder,
    path::{Operation, Parameter, ParameterIn, PathItem},
    response::{Response, ResponseBuilder},
};

/// What may come of any call, whatever it is for.
const ALWAYS: [(&str, &str); 3] = [
    ("401", "nobody is signed in, the session has ended, or a stronger sign-in is asked for: `challenge` says which"),
    ("403", "the policies say no, the account is suspended, or a page of another site asked"),
    (
        "503",
        "the store, the log or the tenant cannot be had now, or too much is asked for at once; `Retry-After` says when to try again",
    ),
];

/// What comes of a call that names something.
const UNKNOWN: (&str, &str) = ("404", "nothing of that name is there");

/// What comes of a call that says something.
const UNREADABLE: (&str, &str) = ("422", "what was sent does not say what it should");

const PROBLEM: &str = "application/problem+json";

/// Adds them to every operation, and says of each refusal that it is problem details (RFC 9457).
pub(super) fn describe(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        operations(item).for_each(complete);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn complete(operation: &mut Operation) {
    let places: Vec<_> = operation.parameters.iter().flatten().filter_map(place).collect();
    let names = places.contains(&ParameterIn::Path);
    let says = operation.request_body.is_some() || places.contains(&ParameterIn::Query);
    let beside = ALWAYS.into_iter().chain(names.then_some(UNKNOWN)).chain(says.then_some(UNREADABLE));
    let answers = &mut operation.responses.responses;
    for (status, description) in beside {
        let plain = || RefOr::T(ResponseBuilder::new().description(description).build());
        answers.entry(status.to_owned()).or_insert_with(plain);
    }
    for (status, answer) in answers.iter_mut() {
        match answer {
            RefOr::T(answer) if status.as_str() >= "400" => tell(answer),
            // OpenAPI wants every answer described, also where there is nothing to say.
            RefOr::T(answer) if answer.description.is_empty() => answer.description = "done".to_owned(),
            _ => {}
        }
    }
}

fn place(parameter: &RefOr<Parameter>) -> Option<ParameterIn> {
    match parameter {
        RefOr::T(parameter) => Some(parameter.parameter_in.clone()),
        RefOr::Ref(_) => None,
    }
}

fn tell(answer: &mut Response) {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build();
    answer.content.insert(PROBLEM.to_owned(), RefOr::T(body));
}
