//! The committer: gives entries their place and link, and writes them in groups.
//!
//! A group that failed may have been written all the same. Before it is tried again its last place is looked up: if the
//! very link that was computed for it stands there, it is on disk. So no failure makes a duplicate or a gap.
//!
//! Whatever fails on the connection that it writes with, that is closed, and the next try opens another (`group.rs`).

use std::{collections::HashMap, sync::Arc, time::Duration};

use cardea_audit::{Break, Entry, Hash, Head, chain};
use cardea_core::{Clock, TenantId};
use cardea_identity::sealing::EntrySealer;
use sqlx::Connection as _;
use tokio::time::Instant;

use super::{
    FaultHook, LogLimits, Moment,
    group::{GroupTx, insert_sql},
    queue::{Next, Pending, Queue},
};
use crate::{
    Store, StoreFault,
    engine::Engine,
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
pub(super) struct Words(Vec<Arc<str>>);

impl Words {
    pub(super) fn of(&mut self, word: &'static str) -> Arc<str> {
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
pub(super) struct Placed<'a> {
    pub(super) entry: &'a Entry,
    pub(super) head: Head,
    pub(super) leaf: Hash,
    pub(super) sealed: Vec<u8>,
}

/// The first pause after a failure, and the longest: soon enough that a passing fault goes unnoticed, seldom enough
/// that a lasting one costs nothing.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// The longest that a server may take for a group.
const PATIENCE: Duration = Duration::from_secs(10);

/// After the last handle is gone: how often writing is tried before what waits is given up.
const LAST_TRIES: u32 = 20;

/// Rows in one statement. Powers of four, so that few statements are prepared and each is used again.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// A group of at most so many lets requests go first after each sixteen of its entries, which take a tenth of a millisecond: who
/// waits behind a whole one waits for ten times that. A larger one comes of a load under which it would fall ever further behind.
const FEW: usize = 256;
const AT_ONCE: usize = 16;

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
        let statements = ROWS.into_iter().map(|rows| (rows, insert_sql(store.engine(), rows))).collect();
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
        let store = self.store.clone();
        let moves = match store.engine() {
            Engine::Sqlite => {
                let _turn = store.turn().await?;
                let mut rest = store.log_connection().lock().await;
                // Put back only after success.
                let mut own = match rest.take() {
                    Some(own) => own,
                    None => store.connect_log().await?,
                };
                let mut tx = own.begin_with(Engine::Sqlite.begins()).await?;
                let moves = self.write(&mut tx, expected).await?;
                tx.commit().await?;
                *rest = Some(own);
                moves
            }
            Engine::Postgres => {
                let mut tx = store.write().await?;
                // What hangs is told as a failure, and tried again.
                let written = tokio::time::timeout(PATIENCE, self.write(&mut tx, expected)).await;
                let moves = written.map_err(|_| sqlx::Error::PoolTimedOut)??;
                tx.commit().await?;
                moves
            }
        };
        self.fault(Moment::AfterCommit)?;
        self.heads.extend(moves.into_iter().map(|(owner, (_, to))| (owner, to)));
        Ok(())
    }

    /// Writes the group in a transaction, which is then to be committed; tells which heads move.
    async fn write(
        &mut self,
        tx: &mut impl GroupTx,
        expected: &mut Option<(Owner, Head)>,
    ) -> Result<Moves, StoreFault> {
        let (placed, moves) = place(tx, &self.heads, &mut self.sealers, &self.group).await?;
        for (owner, (from, to)) in &moves {
            if !tx.move_head(owner.as_ref(), from, to).await? {
                return Err(StoreFault::Contended { what: "the log's head" });
            }
        }
        insert(tx, &self.statements, &mut self.words, placed).await?;
        self.fault(Moment::BeforeCommit)?;
        *expected = moves.iter().next().map(|(owner, (_, to))| (owner.clone(), *to));
        Ok(moves)
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
    tx: &mut impl GroupTx,
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
                // INVARIANT: the key is the one that stands in this transaction, as wherever something is sealed.
                if tx.key(tenant.as_ref()).await?.as_deref() != Some(&*sealing.key) {
                    return Err(StoreFault::Contended { what: KEY });
                }
                let head = match known.get(tenant) {
                    Some(head) => *head,
                    // Read where it is to be moved: whoever else writes waits until this has ended, so that a second try always
                    // succeeds.
                    None => tx.head(tenant.as_ref()).await?,
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

/// Writes the rows, many in one statement.
async fn insert(
    tx: &mut impl GroupTx,
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
            tx.insert(Arc::clone(sql), words, rows.by_ref().take(size).collect()).await?;
        }
    }
    Ok(())
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
