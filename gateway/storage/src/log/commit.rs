//! The committer: gives entries their place and link, and writes them in groups.
//!
//! A group that failed may have been written all the same. Before it is tried again its last place is looked up: if the
//! very link that was computed for it stands there, it is on disk. So no failure makes a duplicate or a gap.
//!
//! It writes with a connection of its own, of SQLite's own kind: through the common one each value would be copied twice
//! more, and nothing is written so often. Whatever fails on it, it is closed, and the next try opens another.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cardea_audit::{Break, Entry, Hash, Head, chain};
use cardea_core::{AppId, Clock, TenantId};
use cardea_identity::sealing::EntrySealer;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, Transaction};
use tokio::time::Instant;

use super::{
    FaultHook, LogLimits, Moment,
    queue::{Next, Pending, Queue},
};
use crate::{
    Store, StoreFault,
    row::{Read, number, owner},
};

type Owner = Option<TenantId>;

pub(super) struct Committer {
    store: Store,
    queue: Arc<Queue>,
    limits: LogLimits,
    clock: Arc<dyn Clock>,
    hook: Option<Arc<dyn FaultHook>>,
    /// Heads as this process knows them; the table has the last word.
    heads: HashMap<Owner, Head>,
    /// What seals each log, as far as this process knows; the table has the last word here, too.
    sealers: HashMap<Owner, Sealing>,
    /// A key was not the one that stands: all are to be read anew.
    outdated: bool,
    group: Vec<Pending>,
    statements: HashMap<usize, Arc<str>>,
    words: Words,
}

/// Words of closed lists as statements take them, each made once: a row holds the same ones as the row before. Looked through
/// from the front, since nearly every entry is a request that was allowed.
#[derive(Default)]
struct Words(Vec<Arc<str>>);

impl Words {
    fn of(&mut self, word: &'static str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        self.0.push(Arc::clone(&word));
        word
    }
}

/// What seals a log, with the name of its key.
struct Sealing {
    key: Vec<u8>,
    sealer: EntrySealer,
}

/// An entry with everything that its row holds.
struct Placed<'a> {
    entry: &'a Entry,
    head: Head,
    leaf: Hash,
    sealed: Vec<u8>,
}

/// The first pause after a failure, and the longest: soon enough that a passing fault goes unnoticed, seldom enough
/// that a lasting one costs nothing.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// After the last handle is gone: how often writing is tried before what waits is given up.
const LAST_TRIES: u32 = 20;

/// Rows in one statement. Powers of four, so that few statements are prepared and each is used again.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// A group of at most so many lets requests go first after each sixteen of its entries, which take a tenth of a millisecond: who
/// waits behind a whole one waits for ten times that. A larger one comes of a load under which it would fall ever further behind.
const FEW: usize = 256;
const AT_ONCE: usize = 16;

const COLUMNS: usize = 14;

/// What was contended where another process has changed the key of a log.
const KEY: &str = "the log's key";

impl Committer {
    pub(super) async fn open(
        store: &Store,
        queue: Arc<Queue>,
        limits: LogLimits,
        clock: Arc<dyn Clock>,
        hook: Option<Arc<dyn FaultHook>>,
    ) -> Result<Self, StoreFault> {
        let statements = ROWS.into_iter().map(|rows| (rows, insert_sql(rows))).collect();
        let heads = read_heads(store).await?;
        Ok(Self {
            store: store.clone(),
            queue,
            limits,
            clock,
            hook,
            heads,
            sealers: HashMap::new(),
            outdated: false,
            group: Vec::new(),
            statements,
            words: Words::default(),
        })
    }

    /// Writes until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        while let Next::Entries(urgent) = self.queue.next().await {
            if !urgent {
                // Running out of time is how a group usually ends.
                let _ = tokio::time::timeout(self.limits.gather, self.queue.gather(self.limits.batch)).await;
            }
            self.queue.take(self.limits.batch, &mut self.group);
            if !self.write_group().await {
                return;
            }
        }
    }

    /// Writes the group, however often that takes. `false`: the log is closed, and it cannot be written.
    async fn write_group(&mut self) -> bool {
        let (mut pause, longest) = PAUSES;
        let mut tries = 0;
        let mut expected: Option<(Owner, Head)> = None;
        let begun = Instant::now();
        loop {
            match self.try_group(&mut expected).await {
                Ok(()) => {
                    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.queue.written(&mut self.group, micros);
                    return true;
                }
                Err(fault) => self.note(&fault),
            }
            tries += 1;
            if self.queue.is_closed() && tries >= LAST_TRIES {
                tracing::error!(entries = self.group.len(), "the log is closed with entries that cannot be written");
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    fn note(&mut self, fault: &StoreFault) {
        // Another process may have written: what is remembered is worth nothing now.
        self.heads.clear();
        self.sealers.clear();
        self.outdated |= matches!(fault, StoreFault::Contended { what: KEY });
        if matches!(fault, StoreFault::Contended { .. }) {
            tracing::debug!("another process wrote to the log, or changed its key; trying again behind it");
            return;
        }
        let why = fault.with_causes();
        tracing::warn!(error = why, entries = self.group.len(), "a group of entries could not be written");
        let before = self.clock.now().minus(self.limits.oldest);
        self.queue.failed(&mut self.group, before, &why);
    }

    /// One try. `expected` remembers where the try before would have left the last entry's log.
    async fn try_group(&mut self, expected: &mut Option<(Owner, Head)>) -> Result<(), StoreFault> {
        if let Some((owner, head)) = expected
            && is_written(&self.store, owner.as_ref(), head).await?
        {
            return Ok(());
        }
        *expected = None;
        self.fault(Moment::BeforeWrite)?;
        self.learn_sealers().await?;
        let _turn = self.store.turn().await?;
        let mut rest = self.store.log_connection().lock().await;
        // Put back only after success.
        let mut own = match rest.take() {
            Some(own) => own,
            None => self.store.connect_log().await?,
        };
        let mut tx = own.begin_with("BEGIN IMMEDIATE").await?;
        let (placed, moves) = place(&mut tx, &self.heads, &mut self.sealers, &self.group).await?;
        for (owner, (from, to)) in &moves {
            move_head(&mut tx, owner.as_ref(), from, to).await?;
        }
        insert(&mut tx, &self.statements, &mut self.words, placed).await?;
        self.fault(Moment::BeforeCommit)?;
        *expected = moves.iter().next().map(|(owner, (_, to))| (owner.clone(), *to));
        tx.commit().await?;
        *rest = Some(own);
        self.fault(Moment::AfterCommit)?;
        self.heads.extend(moves.into_iter().map(|(owner, (_, to))| (owner, to)));
        Ok(())
    }

    /// Gets what seals the logs of this group's entries. Before the turn to write, since a key may have to be made.
    async fn learn_sealers(&mut self) -> Result<(), StoreFault> {
        for (tenant, _) in runs(&self.group) {
            if self.sealers.contains_key(tenant) {
                continue;
            }
            if self.outdated {
                self.store.refresh_keys(tenant.as_ref()).await?;
            }
            let sealer = self.store.sealer(tenant.as_ref()).await?;
            let key = sealer.ids().next().map(|id| id.as_bytes().to_vec()).unwrap_or_default();
            let sealer = EntrySealer::new(sealer, owner(tenant.as_ref()));
            self.sealers.insert(tenant.clone(), Sealing { key, sealer });
        }
        self.outdated = false;
        Ok(())
    }

    fn fault(&self, moment: Moment) -> Result<(), StoreFault> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook.at(moment)).map_err(StoreFault::Log)
    }
}

type Moves = HashMap<Owner, (Head, Head)>;

/// Gives each entry its place, the next of its log, linked to the one before, and seals it for that place.
async fn place<'a>(
    tx: &mut Transaction<'_, Sqlite>,
    known: &HashMap<Owner, Head>,
    sealers: &mut HashMap<Owner, Sealing>,
    group: &'a [Pending],
) -> Result<(Vec<Placed<'a>>, Moves), StoreFault> {
    let mut moves = Moves::new();
    let mut placed = Vec::with_capacity(group.len());
    for (tenant, run) in runs(group) {
        let sealing = sealers.get_mut(tenant).ok_or(StoreFault::NoKey)?;
        let head = match moves.get_mut(tenant) {
            Some((_, head)) => head,
            None => {
                still_seals(tx, tenant.as_ref(), &sealing.key).await?;
                let head = match known.get(tenant) {
                    Some(head) => *head,
                    None => read_head(tx, tenant.as_ref()).await?,
                };
                &mut moves.entry(tenant.clone()).or_insert((head, head)).1
            }
        };
        for Pending { entry, .. } in run {
            if group.len() <= FEW && placed.len() % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let mut sealed = entry.body()?;
            let leaf = chain::leaf(&sealed);
            *head = head.after(&leaf);
            sealing.sealer.seal(head.size - 1, &head.link, &mut sealed)?;
            placed.push(Placed { entry, head: *head, leaf, sealed });
        }
    }
    Ok((placed, moves))
}

/// The group by owners, in its order: entries that follow one another in the same log are looked up for once.
fn runs(group: &[Pending]) -> impl Iterator<Item = (&Owner, &[Pending])> {
    let runs = group.chunk_by(|one, next| one.entry.tenant == next.entry.tenant);
    runs.filter_map(|run| Some((&run.first()?.entry.tenant, run)))
}

/// INVARIANT: the key is the one that stands in this transaction, as wherever something is sealed.
async fn still_seals(
    tx: &mut Transaction<'_, Sqlite>,
    tenant: Option<&TenantId>,
    key: &[u8],
) -> Result<(), StoreFault> {
    let sql = "SELECT id FROM tenant_keys WHERE tenant = $1 AND sealed <> '' ORDER BY nth DESC LIMIT 1";
    let row = sqlx::query::<Sqlite>(sql).bind(owner(tenant)).fetch_optional(&mut **tx).await?;
    let stands: Option<Vec<u8>> = row.map(|row| row.try_get("id")).transpose()?;
    if stands.as_deref() == Some(key) { Ok(()) } else { Err(StoreFault::Contended { what: KEY }) }
}

async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    statements: &HashMap<usize, Arc<str>>,
    words: &mut Words,
    placed: Vec<Placed<'_>>,
) -> Result<(), StoreFault> {
    let mut left = placed.len();
    let most = if left <= FEW { AT_ONCE } else { usize::MAX };
    let mut rows = placed.into_iter();
    for size in ROWS.into_iter().filter(|&size| size <= most) {
        let Some(sql) = statements.get(&size) else { continue };
        while left >= size {
            left -= size;
            let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(Arc::clone(sql)));
            for Placed { entry, head, leaf, sealed } in rows.by_ref().take(size) {
                let facets = entry.facets();
                query = query
                    .bind(entry.tenant.as_ref().map_or_else(|| words.of(owner(None)), TenantId::shared))
                    .bind(number(head.size - 1))
                    .bind(entry.id.to_string())
                    .bind(entry.at.as_micros())
                    .bind(words.of(facets.event))
                    .bind(facets.app.map(AppId::shared))
                    .bind(facets.caller.into_owned())
                    .bind(facets.person.map(|person| person.to_string()))
                    .bind(facets.reason.map(|reason| words.of(reason)))
                    .bind(facets.verdict.map(|verdict| words.of(verdict)))
                    .bind(i64::from(entry.is_admission()))
                    .bind(sealed)
                    .bind(leaf.to_vec())
                    .bind(head.link.to_vec());
            }
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

fn insert_sql(rows: usize) -> Arc<str> {
    // Marks without numbers: SQLite keeps names of the others in a list that each bind walks, so that the cost of a
    // statement would grow with the square of its rows.
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    // A statement that fails takes back the rows before it, and SQLite keeps a copy of each page for that. Here a failure
    // takes back the whole group (its transaction is dropped), so the copies would be for nothing: `OR FAIL` makes none.
    let sql = "INSERT OR FAIL INTO log (tenant, seq, id, at, event, app, caller, person, reason, verdict, admission, sealed, leaf, link) VALUES ";
    format!("{sql}{}", vec![row; rows].join(", ")).into()
}

/// Moves a head by compare-and-set: if another process has moved it, the whole group is placed anew.
async fn move_head(
    tx: &mut Transaction<'_, Sqlite>,
    tenant: Option<&TenantId>,
    from: &Head,
    to: &Head,
) -> Result<(), StoreFault> {
    let done = sqlx::query::<Sqlite>(
        "INSERT INTO log_heads (tenant, size, link) VALUES ($1, $2, $3) ON CONFLICT (tenant) \
         DO UPDATE SET size = excluded.size, link = excluded.link WHERE log_heads.size = $4 AND log_heads.link = $5",
    )
    .bind(owner(tenant))
    .bind(number(to.size))
    .bind(to.link.to_vec())
    .bind(number(from.size))
    .bind(from.link.to_vec())
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreFault::Contended { what: "the log's head" }) }
}

/// Read where it is to be moved: whoever else writes waits until this has ended, so that a second try always succeeds.
async fn read_head(tx: &mut Transaction<'_, Sqlite>, tenant: Option<&TenantId>) -> Result<Head, StoreFault> {
    let sql = "SELECT size, link FROM log_heads WHERE tenant = $1";
    let row = sqlx::query::<Sqlite>(sql).bind(owner(tenant)).fetch_optional(&mut **tx).await?;
    let Some(row) = row else { return Ok(Head::EMPTY) };
    let (size, link): (i64, Vec<u8>) = (row.try_get("size")?, row.try_get("link")?);
    let size = u64::try_from(size).map_err(|why| StoreFault::corrupt("size", why))?;
    Ok(Head { size, link: hash(link, "link")? })
}

/// Whether the entry that was to be a log's last stands where it was to stand.
async fn is_written(store: &Store, tenant: Option<&TenantId>, head: &Head) -> Result<bool, StoreFault> {
    // Not from the readers: once this has begun to write, nothing of the try before can still be on its way.
    let mut tx = store.write().await?;
    let row = sqlx::query("SELECT link FROM log WHERE tenant = $1 AND seq = $2")
        .bind(owner(tenant))
        .bind(number(head.size.saturating_sub(1)))
        .fetch_optional(&mut *tx)
        .await?;
    Ok(row.map(|row| row.bytes("link")).transpose()?.is_some_and(|link| link == head.link))
}

/// All heads, each held against the entry that it names and the one that must not be there.
async fn read_heads(store: &Store) -> Result<HashMap<Owner, Head>, StoreFault> {
    let rows = sqlx::query(
        "SELECT h.tenant, h.size, h.link, e.link AS last, n.seq AS beyond FROM log_heads h \
         LEFT JOIN log e ON e.tenant = h.tenant AND e.seq = h.size - 1 \
         LEFT JOIN log n ON n.tenant = h.tenant AND n.seq = h.size",
    )
    .fetch_all(store.reader())
    .await?;
    let mut heads = HashMap::with_capacity(rows.len());
    for row in rows {
        let owner = row.owner("tenant")?;
        let head = Head { size: row.count("size")?, link: hash(row.bytes("link")?, "link")? };
        let last = row.opt_bytes("last")?;
        let found = match last {
            _ if row.opt_int("beyond")?.is_some() => Some(Break::Rewritten { size: head.size }),
            None => Some(Break::Truncated { known: head.size, found: head.size.saturating_sub(1) }),
            Some(link) if link != head.link => Some(Break::Rewritten { size: head.size }),
            Some(_) => None,
        };
        if let Some(found) = found {
            let log = owner.map_or_else(|| "operator".to_owned(), |tenant| tenant.to_string());
            return Err(StoreFault::Broken { log, found });
        }
        heads.insert(owner, head);
    }
    Ok(heads)
}

/// A stored hash.
pub(crate) fn hash(bytes: Vec<u8>, what: &'static str) -> Result<Hash, StoreFault> {
    Hash::try_from(bytes).map_err(|bytes| StoreFault::corrupt(what, format!("{} bytes, not 32", bytes.len())))
}
