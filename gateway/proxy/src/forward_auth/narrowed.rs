//! What the proxy that asks adds to the address of its question, as oauth2-proxy has it: of whomever the policies let pass, only
//! some are to. It never lets in anybody whom they do not.
//!
//! INVARIANT: a list that stands there narrows, whoever wrote it. Caddy keeps the client's query where the address that it asks at
//! names none: a client that sends the very query that the proxy was given must not switch it off.

use cardea_core::{Caller, Reason, caller::UserFacts};
use cardea_identity::pool::Email;

const GROUPS: &str = "allowed_groups";
const EMAILS: &str = "allowed_emails";
const DOMAINS: &str = "allowed_email_domains";

/// Lists that a person has to be in, each that stands there. An empty list has nobody in it.
#[derive(Debug, Default)]
pub(crate) struct Narrowed {
    /// Groups by their ids.
    groups: Option<Vec<String>>,
    /// Addresses in canonical form.
    emails: Option<Vec<Email>>,
    domains: Option<Vec<Domain>>,
}

/// Why a query narrows nothing, and is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misput {
    pub(crate) reason: Reason,
    /// The parameter, in words.
    pub(crate) what: String,
}

/// Whose the query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// The proxy's that asks.
    Proxy,
    /// The proxy's, or the client's that it asks about.
    Either,
}

#[derive(Debug, PartialEq, Eq)]
enum Domain {
    Itself(String),
    /// What stands below it, and not itself.
    Below(String),
}

impl Narrowed {
    /// Reads the query. What is not known there is refused: it would narrow something that is then wide open. Of one that may be
    /// the client's only what looks like a list is: the rest means something to the service.
    pub(crate) fn read(query: &str, author: Author) -> Result<Self, Misput> {
        let mut narrowed = Self::default();
        for (name, list) in url::form_urlencoded::parse(query.as_bytes()) {
            let items = list.split(',').filter(|item| !item.is_empty());
            let twice = match &*name {
                GROUPS => narrowed.groups.replace(items.map(str::to_owned).collect()).is_some(),
                EMAILS => narrowed.emails.replace(items.filter_map(|item| Email::parse(item).ok()).collect()).is_some(),
                DOMAINS => narrowed.domains.replace(items.filter_map(Domain::read).collect()).is_some(),
                other if author == Author::Either && !looks_like_list(other) => continue,
                other => return Err(Misput::unknown(other)),
            };
            if twice {
                let what = format!("`{name}` stands twice in the question's address");
                return Err(Misput { reason: Reason::DoubledParameter, what });
            }
        }
        Ok(narrowed)
    }

    /// The first list that leaves the caller out.
    pub(crate) fn leaves_out(&self, caller: &Caller) -> Option<&'static str> {
        let user = match caller {
            Caller::User(user) => Some(&**user),
            _ => None,
        };
        let lists = [
            (GROUPS, self.groups.as_ref().map(|ids| user.is_some_and(|user| is_member(user, ids)))),
            (EMAILS, self.emails.as_ref().map(|list| user.is_some_and(|user| is_listed(user, list)))),
            (DOMAINS, self.domains.as_ref().map(|list| user.is_some_and(|user| is_of(user, list)))),
        ];
        lists.into_iter().find(|(_, meets)| *meets == Some(false)).map(|(name, _)| name)
    }
}

fn looks_like_list(name: &str) -> bool {
    let begins = "allowed";
    name.get(..begins.len()).is_some_and(|start| start.eq_ignore_ascii_case(begins))
}

/// Case counts, as it does in the header that names the groups.
fn is_member(user: &UserFacts, ids: &[String]) -> bool {
    ids.iter().any(|id| user.groups.iter().any(|group| group.as_str() == id))
}

fn is_listed(user: &UserFacts, emails: &[Email]) -> bool {
    emails.iter().any(|email| email.as_str() == user.email)
}

fn is_of(user: &UserFacts, domains: &[Domain]) -> bool {
    let domain = user.email.split_once('@').map_or("", |(_, domain)| domain);
    domains.iter().any(|wanted| wanted.holds(domain))
}

impl Misput {
    fn unknown(name: &str) -> Self {
        // Longer than any that somebody meant.
        let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
        let what = format!("a question's address takes `{GROUPS}`, `{EMAILS}` and `{DOMAINS}`, and no `{name}`");
        Self { reason: Reason::UnknownParameter, what }
    }
}

impl Domain {
    /// `acme.example`, or `.acme.example` and `*.acme.example` for what stands below it. What is no domain is nobody's.
    fn read(text: &str) -> Option<Self> {
        let below = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
        // In the form in which addresses have it.
        let domain = Email::parse(&format!("x@{}", below.unwrap_or(text))).ok()?.domain().to_owned();
        Some(if below.is_some() { Self::Below(domain) } else { Self::Itself(domain) })
    }

    fn holds(&self, domain: &str) -> bool {
        match self {
            Self::Itself(wanted) => wanted == domain,
            Self::Below(wanted) => domain.strip_suffix(wanted.as_str()).is_some_and(|below| below.ends_with('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cardea_core::{Attributes, GroupId, Timestamp, UserId, entropy::Fixed};

    use super::*;

    fn mira() -> Caller {
        Caller::User(Arc::new(UserFacts {
            id: UserId::mint(Timestamp::from_micros(1), &Fixed::new(1)),
            email: "mira@lab.acme.test".to_owned(),
            name: "Mira".to_owned(),
            groups: ["chemists", "readers"].map(|id| GroupId::parse(id).unwrap()).to_vec(),
            attributes: Attributes::default(),
        }))
    }

    #[test]
    fn each_list_that_stands_there_has_to_hold_the_person() {
        for (query, left_out_by) in [
            ("", None),
            ("allowed_groups=chemists", None),
            ("allowed_groups=painters,readers", None),
            ("allowed_groups=none", Some(GROUPS)),
            ("allowed_groups=Chemists", Some(GROUPS)),
            ("allowed_groups=chem", Some(GROUPS)),
            ("allowed_groups=", Some(GROUPS)),
            ("allowed_groups", Some(GROUPS)),
            ("allowed_groups=,", Some(GROUPS)),
            ("allowed_emails=eve@acme.test,Mira@LAB.acme.test", None),
            ("allowed_emails=mira%40lab.acme.test", None),
            ("allowed_emails=eve@acme.test", Some(EMAILS)),
            ("allowed_emails=mira", Some(EMAILS)),
            ("allowed_email_domains=other.test,Lab.Acme.test", None),
            ("allowed_email_domains=acme.test", Some(DOMAINS)),
            ("allowed_email_domains=.acme.test", None),
            ("allowed_email_domains=*.acme.test", None),
            ("allowed_email_domains=*.lab.acme.test", Some(DOMAINS)),
            ("allowed_email_domains=.cme.test", Some(DOMAINS)),
            ("allowed_email_domains=*", Some(DOMAINS)),
            ("allowed_email_domains=.", Some(DOMAINS)),
            ("allowed_email_domains=mira@lab.acme.test", Some(DOMAINS)),
            ("allowed_groups=chemists&allowed_email_domains=lab.acme.test", None),
            ("allowed_groups=chemists&allowed_email_domains=other.test", Some(DOMAINS)),
            ("allowed_groups=painters&allowed_emails=mira@lab.acme.test", Some(GROUPS)),
        ] {
            for author in [Author::Proxy, Author::Either] {
                let narrowed = Narrowed::read(query, author).unwrap();
                assert_eq!(narrowed.leaves_out(&mira()), left_out_by, "{query} {author:?}");
                let visitor = narrowed.leaves_out(&Caller::Visitor);
                assert_eq!(visitor.is_none(), query.is_empty(), "{query} {author:?}: a visitor is in no list");
            }
        }
    }

    #[test]
    fn what_is_not_known_there_is_refused_by_its_name() {
        for (query, reason, named) in [
            ("allowed_group=chemists", Reason::UnknownParameter, "no `allowed_group`"),
            ("Allowed_Groups=chemists", Reason::UnknownParameter, "no `Allowed_Groups`"),
            ("allowed_groups=chemists&rd=/", Reason::UnknownParameter, "no `rd`"),
            ("%0a=1", Reason::UnknownParameter, "no `\\n`"),
            ("=1", Reason::UnknownParameter, "no ``"),
            (
                "allowed_groups=chemists&allowed_groups=painters",
                Reason::DoubledParameter,
                "`allowed_groups` stands twice",
            ),
        ] {
            let misput = Narrowed::read(query, Author::Proxy).unwrap_err();
            assert!(misput.reason == reason && misput.what.contains(named), "{query}: {misput:?}");
        }
    }

    #[test]
    fn what_may_be_the_client_s_is_passed_over_unless_it_looks_like_a_list() {
        for (query, left_out_by) in [
            ("x=1", None),
            ("x=1&x=2&rd=/", None),
            ("=1", None),
            ("all%C3%B6wed=1", None),
            ("x=1&allowed_groups=painters", Some(GROUPS)),
        ] {
            assert_eq!(Narrowed::read(query, Author::Either).unwrap().leaves_out(&mira()), left_out_by, "{query}");
        }
        for (query, named) in [
            ("x=1&allowed_group=painters", "no `allowed_group`"),
            ("Allowed-Groups=painters", "no `Allowed-Groups`"),
            ("%61llowed=painters", "no `allowed`"),
            ("allowed_groups=painters&allowed_groups=chemists", "`allowed_groups` stands twice"),
        ] {
            let misput = Narrowed::read(query, Author::Either).unwrap_err();
            assert!(misput.what.contains(named), "{query}: {misput:?}");
        }
    }
}
