//! Failures as people see them: each reason in plain words, with the way on.

use axum::{http::StatusCode, response::Response};
use cardea_core::{Assurance, Reason};

use super::{Look, Notice, Page, Step, notice::Tone};

/// What a failure has to do with linking accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Linking {
    /// Nothing.
    #[default]
    Apart,
    /// The account that opens nothing may be linked.
    Possible,
    /// It is linking that failed.
    Failed,
}

/// What a failure's page may tell.
#[derive(Debug, Clone)]
pub struct Failure<'a> {
    /// The tenant's look; [`Look::bare`] where no tenant is known.
    pub look: &'a Look,
    /// Why.
    pub reason: Reason,
    /// The app's name as people read it.
    pub app: Option<&'a str>,
    /// Who is signed in, so that a no to the wrong account is understood.
    pub signed_in_as: Option<&'a str>,
    /// Where a challenge is met: sign-in or step-up.
    pub challenge: Option<&'a str>,
    /// Where a second factor is added, for whoever has none.
    pub add_factor: Option<&'a str>,
    /// Where a new sign-in begins, for failures of one.
    pub start_again: Option<&'a str>,
    /// What linking accounts has to do with it.
    pub linking: Linking,
    /// The assurance that is asked for, and what a provider's word is worth, where that is too little.
    pub too_weak: Option<(Assurance, Assurance)>,
    /// The id of the request's entry.
    pub request_id: Option<String>,
}

impl<'a> Failure<'a> {
    /// A failure of which only the reason is known.
    pub fn new(look: &'a Look, reason: Reason) -> Self {
        Self {
            look,
            reason,
            app: None,
            signed_in_as: None,
            challenge: None,
            add_factor: None,
            start_again: None,
            linking: Linking::Apart,
            too_weak: None,
            request_id: None,
        }
    }

    /// The page.
    pub fn notice(&self) -> Notice<'a> {
        let (words, steps) = (self.look.w.failure(self.reason), &self.look.w.failure_steps);
        // Of an account that is somebody else's its own words say all.
        let not_linked = self.linking == Linking::Failed && self.reason != Reason::AccountTaken;
        // Membership is the tenant's to give, whichever app was asked.
        let app = self.app.filter(|_| self.reason != Reason::NotAMember).unwrap_or(&self.look.name);
        Notice {
            look: self.look,
            status: StatusCode::from_u16(self.reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            tone: tone(self.reason),
            title: if not_linked { steps.not_linked.to_string() } else { words.title.with(app) },
            why: match self.too_weak {
                Some((asked, said)) => {
                    let named = |level: Assurance| self.look.w.assurance(&level.level());
                    format!("{} {}", words.why.with(app), steps.asked_and_said.with_both(named(asked), named(said)))
                }
                None => words.why.with(app),
            },
            next: match self.add_factor {
                _ if not_linked => steps.link_again.to_string(),
                // First what they can do by themselves.
                _ if self.linking == Linking::Possible => format!("{} {}", steps.link_may_help, words.next),
                Some(_) if self.reason == Reason::Denied => format!("{} {}", steps.factor_may_help, words.next),
                _ => words.next.to_string(),
            },
            signed_in_as: self.signed_in_as.map(str::to_owned),
            steps: self.steps(),
            request_id: self.request_id.clone(),
        }
    }

    /// The page as a response with its status and security headers; the entry learns the reason of it.
    pub fn respond(&self) -> Response {
        let mut response = self.notice().respond();
        response.extensions_mut().insert(self.reason);
        response
    }

    fn steps(&self) -> Vec<Step> {
        let w = &self.look.w.failure_steps;
        let mut steps = Vec::new();
        let mut add = |text: &super::words::Text, href: Option<&str>| {
            if let Some(href) = href {
                steps.push(Step { text: text.to_string(), href: href.to_owned() });
            }
        };
        match self.reason {
            _ if self.linking == Linking::Failed => add(&w.to_factors, self.start_again),
            Reason::SignInRequired | Reason::SessionEnded => add(&w.sign_in, self.challenge.or(self.start_again)),
            Reason::StepUpRequired => add(&w.confirm, self.challenge),
            Reason::UserSuspended => add(&w.another_account, self.challenge.or(self.start_again)),
            _ => add(&w.start_again, self.start_again),
        }
        add(&w.add_factor, self.add_factor);
        // The portal would only say the same once more.
        add(&w.apps, self.look.home.as_deref().filter(|_| self.reason != Reason::UserSuspended));
        steps
    }
}

/// What the page shows beside its title.
fn tone(reason: Reason) -> Tone {
    match reason {
        Reason::SignInRequired
        | Reason::StepUpRequired
        | Reason::SecondFactorRequired
        | Reason::SessionEnded
        | Reason::SignInExpired
        | Reason::CodeSpent
        | Reason::TooManyAttempts
        | Reason::TooManyRequests
        | Reason::RateLimited
        | Reason::FactorRejected
        | Reason::NotFound
        | Reason::UnknownHost
        | Reason::Conflict
        | Reason::Overloaded => Tone::Mend,
        _ if reason.status() >= 500 => Tone::Fault,
        _ => Tone::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use askama::Template;

    #[test]
    fn every_reason_has_a_page_with_its_status_and_id() {
        let look = Look::bare();
        for reason in Reason::ALL {
            let mut failure = Failure::new(&look, *reason);
            failure.request_id = Some("019ab000-0000-7000-8000-000000000000".to_owned());
            let notice = failure.notice();
            assert_eq!(notice.status.as_u16(), reason.status());
            let html = notice.render().unwrap();
            assert!(html.contains("019ab000-0000-7000-8000-000000000000"), "{reason}");
            assert!(html.contains("<h1"), "{reason}");
            assert!(!html.contains("{}"), "{reason}");
        }
    }

    #[test]
    fn whoever_has_no_second_factor_is_told_where_to_add_one_and_nobody_else_is() {
        let look = Look::bare();
        let mut failure = Failure::new(&look, Reason::Denied);
        assert!(!failure.notice().render().unwrap().contains("second factor"));
        failure.add_factor = Some("https://id.acme.example/factors");
        let html = failure.notice().render().unwrap();
        for told in ["Add a second factor to your account first", "https://id.acme.example/factors"] {
            assert!(html.contains(told), "{html}");
        }
        let asks = html.find("ask your administrator").unwrap();
        assert!(html.find("Add a second factor to your account first").unwrap() < asks, "{html}");
    }

    #[test]
    fn whoever_is_suspended_reads_so_and_may_sign_in_as_somebody_else() {
        let look = Look::bare();
        let mut failure = Failure::new(&look, Reason::UserSuspended);
        failure.challenge = Some("https://id.acme.example/sign-in");
        let notice = failure.notice();
        assert_eq!((notice.status.as_u16(), notice.steps.len()), (403, 1));
        let html = notice.render().unwrap();
        for told in ["Your account is suspended", "https://id.acme.example/sign-in"] {
            assert!(html.contains(told), "{html}");
        }
    }

    #[test]
    fn linking_is_spoken_of_where_it_is_possible_and_its_failure_leads_back() {
        let look = Look::bare();
        let mut failure = Failure::new(&look, Reason::NotAMember);
        let told = |failure: &Failure<'_>| failure.notice().render().unwrap();
        assert!(!told(&failure).contains("link that one"));
        failure.linking = Linking::Possible;
        assert!(told(&failure).contains("link that one under “Ways to sign in”"), "{}", told(&failure));
        for reason in [Reason::ProviderRefused, Reason::Conflict, Reason::AccountTaken] {
            let factors = "https://id.acme.example/factors";
            let failure =
                Failure { linking: Linking::Failed, start_again: Some(factors), ..Failure::new(&look, reason) };
            let html = told(&failure);
            assert!(html.contains(factors) && html.contains("Back to my ways to sign in"), "{html}");
            assert_eq!(html.contains("The account was not linked"), reason != Reason::AccountTaken, "{html}");
        }
    }

    #[test]
    fn whoever_shows_too_little_reads_what_was_asked_and_what_was_said() {
        let look = Look::bare();
        let too_weak = Some((Assurance::Two, Assurance::One));
        let add_factor = Some("https://id.acme.example/factors");
        let failure = Failure { too_weak, add_factor, ..Failure::new(&look, Reason::WordTooWeak) };
        let html = failure.notice().render().unwrap();
        for told in ["Two factors", "One factor", "https://id.acme.example/factors"] {
            assert!(html.contains(told), "{told}: {html}");
        }
    }

    #[test]
    fn the_entry_learns_why() {
        let response = Failure::new(&Look::bare(), Reason::CodeSpent).respond();
        assert_eq!(response.extensions().get::<Reason>(), Some(&Reason::CodeSpent));
    }

    #[test]
    fn hostile_names_stay_text() {
        let look = Look::bare();
        let mut failure = Failure::new(&look, Reason::UpstreamBroken);
        failure.app = Some("<img src=x onerror=alert(1)>");
        let html = failure.notice().render().unwrap();
        assert!(!html.contains("<img"), "{html}");
        assert!(html.contains("&#60;img"), "{html}");
    }
}
