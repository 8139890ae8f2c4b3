//! A file of people becomes people of the pool: all of them, or none where one row is wrong. Done once more, it changes
//! nothing: so whatever broke off half-way is made whole by doing it again.

use std::io;

use aws_lc_rs::digest::{self, SHA256};
use cardea_audit::Event;
use cardea_core::{Diagnostic, Diagnostics, UserId};
use cardea_identity::{
    Status, User,
    import::{self, Import, MOST_TOLD, Row, on_line},
};
use cardea_storage::{Inserted, TicketKind};
use futures_util::future::try_join_all;

use super::{ChangeFault, Doer, House, Invited, subject};
use crate::{fingerprint::hex, state::TenantState};

/// How a file is to be taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Importing {
    /// Takes the good rows though others are wrong.
    pub partial: bool,
    /// Changes nothing, and tells what it would change.
    pub dry_run: bool,
    /// Makes an invitation for each who is added.
    pub links: bool,
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Imported {
    /// Who was added, or would be, by the lines of the file; with links, also whom an earlier try that broke off left
    /// without one.
    pub added: Vec<Added>,
    /// How many were there already, just as the file says.
    pub unchanged: u64,
    /// Rows that were left out.
    pub refused: u64,
    /// What is wrong with them.
    pub mistakes: Diagnostics,
    /// Whether anything may have changed: not for a trial, nor where a row is wrong and all were to be good.
    pub applied: bool,
}

/// Somebody from a file.
#[derive(Debug)]
pub struct Added {
    /// The line.
    pub line: u64,
    /// Who.
    pub user: User,
    /// The invitation, where one was to be made.
    pub invited: Option<Invited>,
}

/// People added in one step. A few milliseconds in which nobody else writes.
const STEP: usize = 250;

impl House {
    /// Reads `file` into the tenant's pool. `source` names it in what is told.
    pub async fn import_users(
        &self,
        tenant: &TenantState,
        (source, file): (&str, impl io::Read + Send + 'static),
        how: Importing,
        doer: &Doer,
    ) -> Result<Imported, ChangeFault> {
        let (read, file) = self.read_import(tenant, source.to_owned(), file).await?;
        let mut came = Imported { refused: read.bad, mistakes: read.mistakes, ..Imported::default() };
        let (mut new, mut without) = (Vec::new(), Vec::new());
        for row in read.rows {
            match self.store.user_by_email(tenant.id(), &row.email).await? {
                None => new.push(row),
                Some(there) if !says_the_same(&there, &row) => came.refuse(already(source, &row)),
                Some(there) if self.lacks_link(tenant, &there, how).await? => {
                    without.push(Added { line: row.line, user: there, invited: None });
                }
                Some(_) => came.unchanged += 1,
            }
        }
        came.mistakes.0.sort_by_key(|one| one.line);
        came.applied = !how.dry_run && (how.partial || came.refused == 0);
        if !came.applied {
            came.added = new.into_iter().map(|row| self.to_be(tenant, row)).chain(without).collect();
            return Ok(came);
        }
        // Durable before anybody is there: whatever breaks off from here on, the log tells by which file they came.
        let rows = (new.len() + without.len()) as u64;
        self.record(tenant.id(), doer, Event::UsersImportBegun { file: file.clone(), rows }).await?;
        self.invite_all(tenant, without, doer, &mut came).await?;
        let mut rows = new.into_iter().map(|row| self.to_be(tenant, row)).peekable();
        while rows.peek().is_some() {
            let step: Vec<_> = rows.by_ref().take(STEP).collect();
            self.add(tenant, (source, step), how, doer, &mut came).await?;
        }
        let Imported { unchanged, refused, .. } = came;
        let event = Event::UsersImported { file, added: came.added.len() as u64, unchanged, refused };
        self.record(tenant.id(), doer, event).await?;
        Ok(came)
    }

    /// Reads a file, and gives its hash too. Not on a thread that answers requests.
    async fn read_import(
        &self,
        tenant: &TenantState,
        source: String,
        file: impl io::Read + Send + 'static,
    ) -> Result<(Import, String), ChangeFault> {
        let turn = self.importing.turn(tenant.id()).await.map_err(|_| ChangeFault::Busy)?;
        let groups: Vec<_> = tenant.bundle.groups.keys().cloned().collect();
        let name = source.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut hashed = Hashed { file, context: digest::Context::new(&SHA256) };
            let read = import::read(&source, &mut hashed, &groups.iter().collect());
            read.map(|read| (read, hex(hashed.context.finish().as_ref())))
        });
        let broken = |error: tokio::task::JoinError| {
            ChangeFault::Invalid(Diagnostic::new(name, format!("reading broke off: {error}")))
        };
        reading.await.map_err(broken)?.map_err(ChangeFault::Invalid)
    }

    /// Whether somebody who is there is to have a link and has none: an earlier try broke off before it was made.
    async fn lacks_link(&self, tenant: &TenantState, there: &User, how: Importing) -> Result<bool, ChangeFault> {
        if !how.links || there.status != Status::Invited {
            return Ok(false);
        }
        let (kind, subject) = (TicketKind::Invitation, there.id.to_string());
        Ok(self.store.tickets(tenant.id(), kind, Some(&subject), self.now()).await?.is_empty())
    }

    /// Makes a link for each, with its entry.
    async fn invite_all(
        &self,
        tenant: &TenantState,
        people: Vec<Added>,
        doer: &Doer,
        came: &mut Imported,
    ) -> Result<(), ChangeFault> {
        for mut one in people {
            one.invited = Some(self.send_invitation(tenant, one.user.clone(), &[], doer).await?);
            came.added.push(one);
        }
        Ok(())
    }

    /// The user that a row makes.
    fn to_be(&self, tenant: &TenantState, row: Row) -> Added {
        let now = self.now();
        let user = User {
            id: UserId::mint(now, &*self.entropy),
            tenant: tenant.id().clone(),
            email: row.email,
            name: row.name,
            status: Status::Invited,
            groups: row.groups,
            created: now,
            changed: now,
            last_seen: None,
            attributes: cardea_core::Attributes::default(),
        };
        Added { line: row.line, user, invited: None }
    }

    /// Adds some, each with an entry. If we crash between the two, doing it again finds them there.
    async fn add(
        &self,
        tenant: &TenantState,
        (source, step): (&str, Vec<Added>),
        how: Importing,
        doer: &Doer,
        came: &mut Imported,
    ) -> Result<(), ChangeFault> {
        let users: Vec<_> = step.iter().map(|one| one.user.clone()).collect();
        let inserted = self.store.insert_users(tenant.id(), &users).await?;
        let mut done = Vec::with_capacity(step.len());
        for (one, inserted) in step.into_iter().zip(inserted) {
            if inserted == Inserted::Done {
                done.push(one);
            } else {
                let mistake =
                    Diagnostic::new(source, format!("`{}` was added by somebody else just now", one.user.email));
                came.refuse(on_line(mistake, one.line));
            }
        }
        if how.links {
            return self.invite_all(tenant, done, doer, came).await;
        }
        let entries = done.iter().map(|Added { user, .. }| {
            let event = Event::UserAdded { user: subject(user), groups: user.groups.clone() };
            self.record(tenant.id(), doer, event)
        });
        try_join_all(entries).await?;
        came.added.extend(done);
        Ok(())
    }
}

impl Imported {
    fn refuse(&mut self, mistake: Diagnostic) {
        self.refused += 1;
        if self.mistakes.0.len() < MOST_TOLD {
            self.mistakes.push(mistake);
        }
    }

    /// Whether the file was refused as a whole, and nothing was changed. A row may turn out wrong later, when others are
    /// added: their links must not be lost.
    pub const fn is_refused(&self, how: Importing) -> bool {
        self.refused > 0 && !how.partial && !self.applied
    }
}

fn says_the_same(there: &User, row: &Row) -> bool {
    let mut groups = there.groups.clone();
    groups.sort();
    there.name == row.name && groups == row.groups
}

fn already(source: &str, row: &Row) -> Diagnostic {
    let one =
        Diagnostic::new(source, format!("`{}` is in the pool already, with another name or other groups", row.email));
    on_line(one.help("leave the row out; who is there is changed in the console or by the API"), row.line)
}

/// A file that is hashed as it is read, so that its entry names it.
struct Hashed<R> {
    file: R,
    context: digest::Context,
}

impl<R: io::Read> io::Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.context.update(&into[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_was_changed_is_said_only_where_it_is_true() {
        let came = |refused, applied| Imported { refused, applied, ..Imported::default() };
        let how = |partial| Importing { partial, ..Importing::default() };
        assert!(came(1, false).is_refused(how(false)));
        assert!(!came(1, true).is_refused(how(false)), "somebody else was quicker with one row, and others were added");
        assert!(!came(1, false).is_refused(how(true)), "a trial that takes the good rows");
        assert!(!came(0, true).is_refused(how(false)));
    }
}
