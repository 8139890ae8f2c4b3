//! The texts of failures in English.

use cardea_core::Reason;

use super::super::failures::{FailureWords, say};

/// What each failure's page says. A match without a wildcard: a new reason does not compile until it has its words.
pub(super) fn failure(reason: Reason) -> FailureWords {
    match reason {
        Reason::AmbiguousFraming
        | Reason::AmbiguousPath
        | Reason::BadDescription
        | Reason::BadHeader
        | Reason::BadHost
        | Reason::DoubledParameter
        | Reason::UnknownParameter => say(
            "This request can’t be read",
            "The address or the request has more than one reading, so it was not passed on.",
            "Go back and try the link again. If you typed the address, check it.",
        ),
        Reason::BadInput => say(
            "Something in the form is not right",
            "What was sent is incomplete or not what this form expects.",
            "Go back, check the fields and send it again.",
        ),
        Reason::UriTooLong => say(
            "The address is too long",
            "The address that was opened is longer than any that is served here.",
            "Check the link, or start from the app’s first page.",
        ),
        Reason::HeadersTooLarge => say(
            "This request is too large",
            "Your browser sent more data with the request than is accepted, often because of many cookies.",
            "Clear the cookies of this site and try again.",
        ),
        Reason::BodyTooLarge => say(
            "That is too large",
            "What you sent is larger than is accepted here.",
            "Send a smaller file, or split it.",
        ),
        Reason::TooSlow => say(
            "That took too long to arrive",
            "Your connection sent less than is waited for here.",
            "Try again on a faster or steadier connection.",
        ),
        Reason::Misdirected => say(
            "Wrong door",
            "Your browser used a connection that belongs to another site.",
            "Reload the page: your browser then opens a connection of its own.",
        ),
        Reason::UnknownHost => say(
            "There is no site at this address",
            "The gateway knows no app by this host name.",
            "Check the address for typing errors, or ask whoever gave you the link.",
        ),
        Reason::NotFound => say(
            "Page not found",
            "There is nothing at this address. It may have moved, or the link may be wrong.",
            "Check the address, or go to your apps.",
        ),
        Reason::MethodNotAllowed => say(
            "That can’t be done here",
            "This address does not take this kind of request.",
            "Go back and use the page’s own buttons.",
        ),
        Reason::Conflict => say(
            "Someone was faster",
            "What you wanted to change has changed in the meantime.",
            "Go back, reload the page and look at it once more.",
        ),
        Reason::ProxyNotTrusted => say(
            "This is for proxies",
            "Only a proxy that the operator has listed may ask here about a request.",
            "Open the app’s own address.",
        ),
        Reason::CrossSite => say(
            "This was sent from another site",
            "The request came from a page that is not part of this site, so it was not carried out.",
            "If it was you, open the page here and do it again. Otherwise, nothing has happened.",
        ),
        Reason::SignInRequired => say(
            "Sign in to continue",
            "{} is open to people who are signed in.",
            "Sign in, and you return to where you were going.",
        ),
        Reason::StepUpRequired => say(
            "Confirm it’s you",
            "{} asks for a stronger proof before it does this.",
            "Confirm it’s you, and you return to where you were going.",
        ),
        Reason::Denied => say(
            "You don’t have access to this",
            "You are signed in, but the rules of {} do not allow this for your account.",
            "If you need it for your work, ask your administrator and give the request id below.",
        ),
        Reason::SessionEnded => say(
            "Your session has ended",
            "You were away for a while, signed out elsewhere, or an administrator ended the session.",
            "Sign in again, and you return to where you were going.",
        ),
        Reason::TokenRefused | Reason::ProofRefused => say(
            "The program’s token is not good here",
            "It is too old, was taken back, is for another app, or is not the program’s own.",
            "Have the program sign in again. If that does not help, give the request id below.",
        ),
        Reason::InsufficientScope => say(
            "The program may not do this",
            "Its token is good for less than what it asked for.",
            "Have the program ask for more, and say yes when you are asked.",
        ),
        Reason::UserSuspended => say(
            "Your account is suspended",
            "An administrator has paused your access. Nothing of yours is lost.",
            "Ask your administrator, and give the request id below.",
        ),
        Reason::FactorRejected => say(
            "That did not work",
            "What you entered could not be confirmed.",
            "Go back and try again, or use another way to sign in.",
        ),
        Reason::FactorNotAllowed => say(
            "This way of signing in is not allowed",
            "Your organisation has switched it off.",
            "Go back and choose another way to sign in.",
        ),
        Reason::WordTooWeak => say(
            "That sign-in was not strong enough",
            "Your provider knows you, but what it said of your sign-in there is less than this asks for.",
            "Confirm it with another of your ways to sign in, or add one. If you can’t, ask your administrator.",
        ),
        Reason::LinkRequired => say(
            "Adding this takes a link from your administrator",
            "You have one way to sign in so far. Whoever had stolen it could add theirs just as well, so it does not add another by itself.",
            "Ask your administrator for a link. With it you sign in as you always do, and add what you like.",
        ),
        Reason::SecondFactorRequired => say(
            "Add a second factor first",
            "Your organisation asks for a second way to sign in, and you have one so far.",
            "Add one now: the page of your factors says what it takes. After that, everything is open to you as before.",
        ),
        Reason::TooManyAttempts => say(
            "Too many tries",
            "There were more tries than is usual for one person, so there is a short pause.",
            "Wait a little, then try again.",
        ),
        Reason::TooManyRequests => say(
            "Too much at once",
            "More was asked for at the same time than one person, or one network, may ask for.",
            "Wait until the rest has loaded, then try again.",
        ),
        Reason::RateLimited => say(
            "Too many requests",
            "More was asked for in a short time than this service allows.",
            "Wait a moment, then try again.",
        ),
        Reason::SignInExpired => say(
            "This sign-in has expired",
            "It took too long, or it was begun in another browser or tab.",
            "Start again: it takes a few seconds.",
        ),
        Reason::CodeSpent => say(
            "This link no longer works",
            "It was used already, or it is too old.",
            "Start again, or ask whoever sent it for a new one.",
        ),
        Reason::ProviderRejected => say(
            "Your sign-in could not be verified",
            "The answer of your identity provider does not check out, so it was not accepted.",
            "Start again. If it happens twice, tell your administrator and give the request id below.",
        ),
        Reason::ProviderRefused => say(
            "Your provider did not vouch for you",
            "Your identity provider ended the sign-in without confirming who you are.",
            "Try again, or sign in to your provider first. If it keeps happening, ask whoever runs it.",
        ),
        Reason::NotAMember => say(
            "You are not a member here yet",
            "Your provider knows you, but that account opens nothing at {}.",
            "Ask an administrator for an invitation.",
        ),
        Reason::AccountTaken => say(
            "That account belongs to someone else",
            "It is linked to another person here already, and to one only.",
            "Sign in over there with an account of your own, then link that.",
        ),
        Reason::AccountUnlinked => say(
            "That account was unlinked",
            "It opened an account at {} once, and was taken from it.",
            "Sign in another way. An administrator can tell you which ways there are for you.",
        ),
        Reason::ForeignReturn => say(
            "This link leads elsewhere",
            "The page to return to does not belong to your organisation, so you were not sent there.",
            "Go to your apps and open the one that you need.",
        ),
        Reason::EnrolmentSpent => say(
            "This enrolment no longer works",
            "Its token was used already, is unknown, or is too old.",
            "Ask your administrator for a new one.",
        ),
        Reason::RequestNotSigned => say(
            "This certificate can’t be issued",
            "The request asks for something that it may not have.",
            "Check the request against what was granted, and send it again.",
        ),
        Reason::CertificateRejected => say(
            "This certificate is not accepted",
            "It is missing, was issued by someone else, or is past its time.",
            "Enrol again with a new token.",
        ),
        Reason::CertificateEnded => say(
            "This certificate has ended",
            "It was good when the connection was opened, and its time is over.",
            "Connect again with the next one.",
        ),
        Reason::PolicyInvalid => say(
            "These policies can’t take effect",
            "They do not validate, or their own tests fail.",
            "Mend what is marked, then activate them again.",
        ),
        Reason::ProviderUnavailable => say(
            "Your provider can’t be reached",
            "Your identity provider did not answer, so nobody can confirm who you are.",
            "Try again in a moment, or use another way to sign in.",
        ),
        Reason::UpstreamUnreachable => say(
            "{} is not available",
            "You may use it, but the service did not answer.",
            "Try again in a moment. If it stays like this, give the request id below to whoever runs it.",
        ),
        Reason::UpstreamIdentity => say(
            "{} could not be trusted",
            "The service did not prove that it is the right one, so your request was not handed to it.",
            "Tell your administrator, and give the request id below.",
        ),
        Reason::UpstreamBroken => say(
            "{} broke off",
            "The service began to answer and then stopped.",
            "Try again. Before repeating a change, check whether it was made.",
        ),
        Reason::UpstreamTimeout => say(
            "{} takes too long",
            "The service did not answer in time. Your request may still be under way.",
            "Wait a moment and try again. Before repeating a change, check whether it was made.",
        ),
        Reason::StoreUnavailable | Reason::LogUnavailable => say(
            "Access is paused",
            "A part of the gateway that is needed to check access is not available, so nothing is let through.",
            "Try again in a moment. Your work is not affected.",
        ),
        Reason::Overloaded => say(
            "Very busy right now",
            "More is being asked than can be handled at once.",
            "Wait a few seconds and try again.",
        ),
        Reason::TenantUnavailable => say(
            "Access is paused",
            "The latest settings of this place cannot be used, so nothing is let through by the older ones.",
            "Try again in some minutes. If it stays like this, give the request id below to whoever runs the gateway.",
        ),
        Reason::TimedOut => say(
            "That took too long",
            "The request was not finished in time. It may still be under way.",
            "Try again. Before repeating a change, check whether it was made.",
        ),
        Reason::ClientGone => say(
            "The request was cancelled",
            "Your browser closed the connection before the answer was ready.",
            "Reload the page if you still need it.",
        ),
        Reason::Internal => say(
            "Something went wrong on our side",
            "This should not have happened. It has been recorded.",
            "Try again. If it happens twice, tell your administrator and give the request id below.",
        ),
    }
}
