//! Signing keys of assertions: made ahead, published, used, retired, by a schedule that needs nobody.

use cardea_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::sealing::Sealed;

/// A signing key as stores keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// `kid`: the key's JWK thumbprint (RFC 7638).
    pub id: String,
    /// The tenant that signs with it.
    pub tenant: TenantId,
    /// The PKCS#8 private key, sealed for `signing-key/<id>`.
    pub sealed: Sealed,
    /// The public key: uncompressed P-256 point, base64url.
    pub public: String,
    /// When it was made, and published from then on.
    pub created: Timestamp,
    /// From when it signs.
    pub signs_from: Timestamp,
    /// From when it signs no more.
    pub signs_until: Timestamp,
    /// From when it is no longer published, and may be deleted.
    pub published_until: Timestamp,
}
