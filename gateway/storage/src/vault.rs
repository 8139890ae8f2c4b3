//! The tenants' keys: random, sealed under the operator's key, opened in memory. Whoever writes seals under the key that
//! stands in the very transaction; whoever reads what was sealed under a key that is not known yet reads the keys anew. So
//! a key may be replaced, by whichever process, while others go on.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use cardea_core::{Entropy, Secret, TenantId, entropy};
use cardea_identity::{
    Sealed, Sealer,
    sealing::{CannotOpen, KeyId},
};
use sqlx::any::AnyRow;

use crate::{
    Store, StoreFault,
    limited::Limited,
    reading::Reading,
    row::{Read, owner},
    sealed::Place,
    writing::Writing,
};

/// The opened keys, by their owners; the operator's own have the empty name.
pub(crate) struct Vault {
    operator: RwLock<Option<Sealer>>,
    rings: RwLock<HashMap<Box<str>, Sealer>>,
    /// Reads the operator's keys anew.
    reread: OnceLock<Reread>,
    entropy: Option<Arc<dyn Entropy>>,
}

/// Reads the operator's keys from where they lie.
type Reread = Box<dyn Fn() -> Option<Sealer> + Send + Sync>;

/// One owner's keys that are not destroyed, the one that seals first.
const KEYS: &str = "SELECT id, sealed FROM tenant_keys WHERE tenant = $1 AND sealed <> '' ORDER BY nth DESC";

impl Vault {
    /// Keys that open under `operator`; without it nothing is sealed and nothing opened, and without randomness nothing is
    /// sealed.
    pub(crate) fn new(operator: Option<Sealer>, entropy: Option<Arc<dyn Entropy>>) -> Self {
        Self { operator: RwLock::new(operator), rings: RwLock::default(), reread: OnceLock::new(), entropy }
    }

    pub(crate) fn operator(&self) -> Result<Sealer, StoreFault> {
        self.operator.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreFault::Keyless)
    }

    /// The operator's key that seals: the one that the operator's own key is sealed under in this transaction, so that no key
    /// is made under one that another process has replaced.
    async fn sealing_operator(&self, tx: &mut Writing) -> Result<Sealer, StoreFault> {
        let operator = self.operator()?;
        let rows = sqlx::query(KEYS).bind(owner(None)).fetch_all(&mut **tx).await?;
        let Some(own) = rows.first() else { return Ok(operator) };
        let id = Sealed::from_stored(own.text("sealed")?).key_id().ok_or(StoreFault::OtherKey)?;
        let led = operator.led_by(id).or_else(|| self.reread()?.led_by(id));
        led.ok_or(StoreFault::OtherKey)
    }

    /// The operator's keys as they lie there now: they may have been replaced since.
    fn reread(&self) -> Option<Sealer> {
        let operator = self.reread.get()?()?;
        self.take_operator(operator.clone());
        Some(operator)
    }

    pub(crate) fn take_operator(&self, operator: Sealer) {
        *self.operator.write().unwrap_or_else(PoisonError::into_inner) = Some(operator);
    }

    pub(crate) fn entropy(&self) -> Result<&dyn Entropy, StoreFault> {
        self.entropy.as_deref().ok_or(StoreFault::Keyless)
    }

    fn at_hand(&self, owner: &str) -> Option<Sealer> {
        self.rings.read().unwrap_or_else(PoisonError::into_inner).get(owner).cloned()
    }

    /// Remembers an owner's keys, or that there are none.
    pub(crate) fn keep(&self, owner: &str, ring: Option<&Sealer>) {
        let mut rings = self.rings.write().unwrap_or_else(PoisonError::into_inner);
        match ring {
            Some(ring) => rings.insert(owner.into(), ring.clone()),
            None => rings.remove(owner),
        };
    }

    fn opened(&self, owner: &str, row: &AnyRow) -> Result<Secret<[u8; 32]>, StoreFault> {
        let sealed = Sealed::from_stored(row.text("sealed")?);
        let place = Place::Key { owner, id: &row.bytes("id")? }.to_string();
        let opened = self.operator()?.open(&place, &sealed).ok();
        let opened = opened.or_else(|| self.reread()?.open(&place, &sealed).ok());
        let bytes = opened.ok_or(StoreFault::OtherKey)?;
        bytes.expose().as_slice().try_into().map(Secret::new).map_err(|_| StoreFault::OtherKey)
    }

    fn ring(&self, owner: &str, rows: &[AnyRow]) -> Result<Option<Sealer>, StoreFault> {
        let keys = rows.iter().map(|row| self.opened(owner, row)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Ok(None);
        }
        Ok(Some(Sealer::ring(&keys)?))
    }

    /// The keys that are kept for an owner; nothing is remembered of them.
    async fn read(&self, from: &mut Limited, owner: &str) -> Result<Option<Sealer>, StoreFault> {
        let rows = sqlx::query(KEYS).bind(owner).fetch_all(from).await?;
        self.ring(owner, &rows)
    }

    /// Makes a key that seals from now on, once the transaction ends well.
    pub(crate) async fn make(&self, tx: &mut Writing, owner: &str) -> Result<(), StoreFault> {
        let entropy = self.entropy()?;
        let key = Secret::new(entropy::bytes::<32>(entropy));
        let id = Sealer::new(&key)?.ids().next().ok_or(CannotOpen)?;
        let place = Place::Key { owner, id: id.as_bytes() }.to_string();
        let sealed = self.sealing_operator(tx).await?.seal(&place, key.expose(), entropy)?;
        // Names meet once in four thousand million keys; then the insertion fails, and the next try draws another key.
        sqlx::query(
            "INSERT INTO tenant_keys (tenant, id, nth, sealed) \
             SELECT $1, $2, COALESCE(MAX(nth), 0) + 1, $3 FROM tenant_keys WHERE tenant = $1",
        )
        .bind(owner)
        .bind(id.as_bytes().to_vec())
        .bind(sealed.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// The owner's keys as they stand in the transaction, made where there are none. Nothing is remembered.
    pub(crate) async fn read_or_make(&self, tx: &mut Writing, owner: &str) -> Result<Sealer, StoreFault> {
        if let Some(ring) = self.read(tx, owner).await? {
            return Ok(ring);
        }
        self.make(tx, owner).await?;
        self.read(tx, owner).await?.ok_or(StoreFault::NoKey)
    }
}

impl Store {
    /// What seals and opens for a tenant, or for the operator's own. A key is made where there is none.
    pub async fn sealer(&self, tenant: Option<&TenantId>) -> Result<Sealer, StoreFault> {
        if let Some(sealer) = self.sealer_at_hand(tenant) {
            return Ok(sealer);
        }
        let (owner, vault) = (owner(tenant), self.vault());
        let sealer = match self.kept_key(owner).await? {
            Some(sealer) => sealer,
            None => {
                let mut tx = self.write().await?;
                let sealer = vault.read_or_make(&mut tx, owner).await?;
                tx.commit().await?;
                sealer
            }
        };
        vault.keep(owner, Some(&sealer));
        Ok(sealer)
    }

    async fn kept_key(&self, owner: &str) -> Result<Option<Sealer>, StoreFault> {
        let read = async { Ok(self.vault().read(&mut self.reader().acquire().await?, owner).await) };
        self.engine().promptly(read).await?
    }

    /// Whether there is a key for a tenant, or for the operator's own. None is made.
    pub(crate) async fn has_key(&self, tenant: Option<&TenantId>) -> Result<bool, StoreFault> {
        if self.sealer_at_hand(tenant).is_some() {
            return Ok(true);
        }
        let kept = self.kept_key(owner(tenant)).await?;
        Ok(kept.is_some())
    }

    /// The same, if it was asked for before.
    pub fn sealer_at_hand(&self, tenant: Option<&TenantId>) -> Option<Sealer> {
        self.vault().at_hand(owner(tenant))
    }

    /// The same, knowing at least that key, if it is kept.
    pub(crate) async fn sealer_with(&self, tenant: Option<&TenantId>, id: Option<KeyId>) -> Result<Sealer, StoreFault> {
        let sealer = self.sealer(tenant).await?;
        if id.is_none_or(|id| sealer.has(id)) {
            return Ok(sealer);
        }
        self.refresh_keys(tenant).await?;
        self.sealer(tenant).await
    }

    /// The same, knowing every key that a column of these rows was sealed under, if it is kept.
    pub(crate) async fn opener(
        &self,
        tenant: Option<&TenantId>,
        rows: &[AnyRow],
        column: &'static str,
    ) -> Result<Sealer, StoreFault> {
        let sealer = self.sealer(tenant).await?;
        for row in rows {
            if KeyId::of(&row.bytes(column)?).is_some_and(|id| !sealer.has(id)) {
                self.refresh_keys(tenant).await?;
                return self.sealer(tenant).await;
            }
        }
        Ok(sealer)
    }

    /// Begins to write what is to be sealed. INVARIANT: the key is the one that stands in this transaction, so that nothing
    /// is sealed under one that another process has replaced.
    pub(crate) async fn write_sealed(&self, tenant: Option<&TenantId>) -> Result<(Writing, Sealer), StoreFault> {
        self.sealer(tenant).await?;
        let mut tx = self.write().await?;
        let sealer = self.sealer_in(&mut tx, tenant).await?;
        Ok((tx, sealer))
    }

    /// The same in one tenant's rows and nothing else: see [`Store::write_in`].
    pub(crate) async fn write_sealed_in(&self, tenant: &TenantId) -> Result<(Writing, Sealer), StoreFault> {
        self.sealer(Some(tenant)).await?;
        let mut tx = self.write_in(tenant).await?;
        let sealer = self.sealer_in(&mut tx, Some(tenant)).await?;
        Ok((tx, sealer))
    }

    /// Begins to look for what is found by a mark: keys and rows as of one moment, so that what is marked anew meanwhile is not
    /// passed over.
    pub(crate) async fn read_marks(&self, tenant: &TenantId) -> Result<(Reading, Sealer), StoreFault> {
        self.sealer(Some(tenant)).await?;
        let mut tx = self.moment().await?;
        let sealer = self.sealer_in(&mut tx, Some(tenant)).await?;
        Ok((tx, sealer))
    }

    /// What seals in a transaction under way, for an owner who has a key.
    pub(crate) async fn sealer_in(&self, tx: &mut Limited, tenant: Option<&TenantId>) -> Result<Sealer, StoreFault> {
        let rows = sqlx::query(KEYS).bind(owner(tenant)).fetch_all(tx).await?;
        let stands = rows.iter().map(|row| row.bytes("id")).collect::<Result<Vec<_>, _>>()?;
        if let Some(known) = self.sealer_at_hand(tenant)
            && known.ids().map(|id| id.as_bytes().to_vec()).eq(stands)
        {
            return Ok(known);
        }
        let ring = self.vault().ring(owner(tenant), &rows)?;
        self.vault().keep(owner(tenant), ring.as_ref());
        // None: destroyed this moment, with its tenant.
        ring.ok_or(StoreFault::NoKey)
    }

    /// How the operator's keys are read anew, when something is sealed under another than those that were given.
    pub fn reread_operator_by(&self, reread: impl Fn() -> Option<Sealer> + Send + Sync + 'static) {
        let _ = self.vault().reread.set(Box::new(reread));
    }

    /// Reads the keys anew: they were replaced, or destroyed.
    pub async fn refresh_keys(&self, tenant: Option<&TenantId>) -> Result<(), StoreFault> {
        let ring = self.kept_key(owner(tenant)).await?;
        self.vault().keep(owner(tenant), ring.as_ref());
        Ok(())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}
