//! Reading rows: text, numbers, times, bytes and JSON. What cannot be read back is a fault that names its column.

use std::fmt::Display;

use cardea_core::{TenantId, Timestamp};
use serde::de::DeserializeOwned;
use sqlx::{Row, any::AnyRow};

use crate::StoreFault;

/// Reads columns by name.
pub(crate) trait Read {
    fn text(&self, column: &'static str) -> Result<String, StoreFault>;
    fn opt_text(&self, column: &'static str) -> Result<Option<String>, StoreFault>;
    fn int(&self, column: &'static str) -> Result<i64, StoreFault>;
    fn opt_int(&self, column: &'static str) -> Result<Option<i64>, StoreFault>;
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreFault>;
    fn opt_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreFault>;

    /// A count or number that is never below zero.
    fn count(&self, column: &'static str) -> Result<u64, StoreFault> {
        u64::try_from(self.int(column)?).map_err(|why| StoreFault::corrupt(column, why))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, StoreFault> {
        self.int(column).map(Timestamp::from_micros)
    }

    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreFault> {
        Ok(self.opt_int(column)?.map(Timestamp::from_micros))
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreFault> {
        serde_json::from_str(&self.text(column)?).map_err(|why| StoreFault::corrupt(column, why))
    }

    /// Text that `parse` makes a value of.
    fn parsed<T, E: Display>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, StoreFault> {
        parse(&self.text(column)?).map_err(|why| StoreFault::corrupt(column, why))
    }

    /// A tenant, or the operator under the empty name.
    fn owner(&self, column: &'static str) -> Result<Option<TenantId>, StoreFault> {
        match self.text(column)?.as_str() {
            "" => Ok(None),
            name => TenantId::parse(name).map(Some).map_err(|why| StoreFault::corrupt(column, why)),
        }
    }
}

impl Read for AnyRow {
    fn text(&self, column: &'static str) -> Result<String, StoreFault> {
        Ok(self.try_get(column)?)
    }
    fn opt_text(&self, column: &'static str) -> Result<Option<String>, StoreFault> {
        Ok(self.try_get(column)?)
    }
    fn int(&self, column: &'static str) -> Result<i64, StoreFault> {
        Ok(self.try_get(column)?)
    }
    fn opt_int(&self, column: &'static str) -> Result<Option<i64>, StoreFault> {
        Ok(self.try_get(column)?)
    }
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreFault> {
        Ok(self.try_get(column)?)
    }
    fn opt_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(self.try_get(column)?)
    }
}

/// One statement of a common beginning (a literal constant) and its end; composed once, when first used.
macro_rules! const_sql {
    ($start:expr, $end:literal) => {{
        static SQL: std::sync::LazyLock<&'static str> =
            std::sync::LazyLock::new(|| format!("{}{}", $start, $end).leak());
        *SQL
    }};
}
pub(crate) use const_sql;

/// Whose a row is. One that no tenant can have concerns none: it is told, and passed over.
pub(crate) fn whose(row: &AnyRow, column: &'static str) -> Option<TenantId> {
    let found = row.parsed(column, TenantId::parse);
    let told = |fault: &StoreFault| tracing::error!(error = fault.with_causes(), "a row of no tenant is passed over");
    found.inspect_err(told).ok()
}

/// How a log's or secret's owner is written: the operator's own has the empty name, which no tenant can have.
pub(crate) fn owner(tenant: Option<&TenantId>) -> &str {
    tenant.map_or("", TenantId::as_str)
}

/// A number as SQL takes it; beyond what it takes, the greatest.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
