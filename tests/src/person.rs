//! People, and how they get through every page of a sign-in.

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
            } else {
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// The one-time code of this moment.
    pub async fn code(&self) -> anyhow::Result<String> {
        one_time_code(self.totp.as_deref().context("this person has no one-time codes")?).await
    }
}

/// A one-time code made by an implementation that is not ours.
pub async fn one_time_code(secret: &str) -> anyhow::Result<String> {
    let mut command = python("python");
    command.args(["-c", "import pyotp, sys; print(pyotp.TOTP(sys.argv[1]).now())", secret]);
    let (status, out, err) = run(command).await?;
    anyhow::ensure!(status == 0, "pyotp: {err}");
    Ok(out.trim().to_owned())
}
