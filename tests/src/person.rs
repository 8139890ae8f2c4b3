//! People, and how they get through every page of a sign-in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use serde::Deserialize;
use url::Url;

use crate::{
    Client, Reply,
    process::{python, run},
};

/// Somebody who can sign in.
#[derive(Debug, Clone, Deserialize)]
pub struct Person {
    /// Their tenant.
    pub tenant: String,
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: String,
    /// The base32 secret of their one-time codes, where they have them.
    pub totp: Option<String>,
    /// The half minute of the last code that was typed: each opens one door.
    #[serde(skip)]
    last: Arc<AtomicI64>,
}

/// More pages than any sign-in of ours has.
const PAGES: usize = 6;

impl Person {
    /// A browser in which this person has opened `url` and signed in as far as that page asks.
    pub async fn opens(&self, url: &Url) -> anyhow::Result<(Client, Reply)> {
        let mut client = Client::browser();
        let page = client.open(url).await?;
        let page = self.answer(&mut client, page).await?;
        Ok((client, page))
    }

    /// Answers every page of a sign-in or step-up until another page comes.
    pub async fn answer(&self, client: &mut Client, mut page: Reply) -> anyhow::Result<Reply> {
        for _ in 0..PAGES {
            let has = |field: &str| crate::form::find(&page.body, field).is_some();
            if has("code") {
                page = client.submit(&page, &[("code", &self.code().await?)]).await?;
            } else if has("password") {
                let both = [("password", self.password.as_str()), ("email", self.email.as_str())];
                let fields = if has("email") { &both[..] } else { &both[..1] };
                page = client.submit(&page, fields).await?;
            } else if has("email") {
                page = client.submit(&page, &[("email", &self.email)]).await?;
            } else if let Some(way) = crate::form::link(&page.body, "/sign-in/with/") {
                page = client.open(&page.url.join(&way)?).await?;
            } else {
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// Somebody without one-time codes.
    pub fn new(tenant: &str, email: &str, password: &str) -> Self {
        let (tenant, email, password) = (tenant.to_owned(), email.to_owned(), password.to_owned());
        Self { tenant, email, password, totp: None, last: Arc::default() }
    }

    /// Steps up to two factors, in a browser that is signed in, and ends at the page asked for.
    pub async fn steps_up(&self, client: &mut Client, sign_in: &Url, to: &Url) -> anyhow::Result<Reply> {
        let mut url = sign_in.join("/sign-in/step-up")?;
        url.query_pairs_mut().append_pair("need", "2").append_pair("to", to.as_str());
        let page = client.open(&url).await?;
        let page = self.answer(client, page).await?;
        anyhow::ensure!(page.url == *to, "the step-up ended at {}: {} {}", page.url, page.status, page.body);
        Ok(page)
    }

    /// A one-time code that was not typed yet. Servers take those of the half minutes before and after this one too, for
    /// clocks that are a little off; so there are three at any time, and no story has to wait for the next.
    #[allow(clippy::disallowed_methods, reason = "the codes of a real process follow the machine's clock")]
    pub async fn code(&self) -> anyhow::Result<String> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 30)?;
        let step = (self.last.load(Ordering::SeqCst) + 1).max(now - 1);
        anyhow::ensure!(step <= now + 1, "all codes of this minute are spent");
        self.last.store(step, Ordering::SeqCst);
        one_time_code(self.totp.as_deref().context("this person has no one-time codes")?, step * 30).await
    }

    /// The code of so many half minutes ago.
    #[allow(clippy::disallowed_methods, reason = "the codes of a real process follow the machine's clock")]
    pub async fn code_of_steps_ago(&self, steps: i64) -> anyhow::Result<String> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 30)?;
        one_time_code(self.totp.as_deref().context("this person has no one-time codes")?, (now - steps) * 30).await
    }

    /// The code that was typed last.
    pub async fn spent_code(&self) -> anyhow::Result<String> {
        let secret = self.totp.as_deref().context("this person has no one-time codes")?;
        one_time_code(secret, self.last.load(Ordering::SeqCst) * 30).await
    }
}

/// The one-time code of a second since 1970, made by an implementation that is not ours.
pub async fn one_time_code(secret: &str, at: i64) -> anyhow::Result<String> {
    let mut command = python("python");
    let program = "import pyotp, sys; print(pyotp.TOTP(sys.argv[1]).at(int(sys.argv[2])))";
    command.args(["-c", program, secret, &at.to_string()]);
    let (status, out, err) = run(command).await?;
    anyhow::ensure!(status == 0, "pyotp: {err}");
    Ok(out.trim().to_owned())
}
