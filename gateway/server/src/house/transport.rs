//! How services are reached: over what, and trusting whom. Files of roots are named from the configuration's folder.

use std::path::Path;

use cardea_core::{
    Diagnostic,
    resources::{TenantSpec, UpstreamSpec},
};
use cardea_proxy::upstream::{Transport, tls};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::House;

impl House {
    /// As the gateway reaches it: by the tenant's own authority where a SPIFFE ID is named.
    pub(crate) fn transport(&self, tenant: &TenantSpec, upstream: &UpstreamSpec) -> Result<Transport, Diagnostic> {
        match &upstream.spiffe_id {
            Some(spiffe_id) => self.ca.transport(&tenant.id, spiffe_id).map_err(wrong),
            None => by_roots(upstream, &self.config.folder),
        }
    }
}

/// The same, tried before anything is changed: files are read, but no authority is asked, since a new tenant has none yet.
/// Nothing can be sent to a service of the tenant's own by it.
pub(crate) fn tried(upstream: &UpstreamSpec, folder: &Path) -> Result<Transport, Diagnostic> {
    if upstream.spiffe_id.is_some() { to_nobody(upstream) } else { by_roots(upstream, folder) }
}

/// For whoever only looks: reads nothing and reaches nobody.
pub(crate) fn to_nobody(upstream: &UpstreamSpec) -> Result<Transport, Diagnostic> {
    if !upstream.is_https() {
        return Ok(Transport::Plain);
    }
    tls::nobody().map(Transport::Tls).map_err(wrong)
}

fn by_roots(upstream: &UpstreamSpec, folder: &Path) -> Result<Transport, Diagnostic> {
    if !upstream.is_https() {
        return Ok(Transport::Plain);
    }
    let Some(file) = &upstream.ca_file else { return tls::public(None).map(Transport::Tls).map_err(wrong) };
    let path = folder.join(file);
    let unread = |why: &dyn std::fmt::Display| {
        Diagnostic::new("", format!("ca_file `{}` cannot be used: {why}", path.display()))
            .help("name a PEM file of certificates that the gateway may read, from the configuration's folder")
    };
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let roots = read.map_err(|error| unread(&error))?;
    tls::public(Some(&roots)).map(Transport::Tls).map_err(|error| unread(&error))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn wrong(error: impl ToString) -> Diagnostic {
    Diagnostic::new("", error.to_string())
}
