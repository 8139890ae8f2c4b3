//! PEM (RFC 7468): writing blocks, reading certificates.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::Error;

/// One block, lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    // Base64 is ASCII, so every index is a character boundary.
    for at in (0..body.len()).step_by(64) {
        out.push_str(&body[at..body.len().min(at + 64)]);
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Certificates one after the other, as a chain or bundle file holds them.
pub fn encode_certificates<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> String {
    certificates.into_iter().map(|der| encode("CERTIFICATE", der)).collect()
}

/// All certificates of a PEM text; one that cannot be read spoils all, and none at all is an error.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let broken = |cause: String| Error::Broken { what: "a PEM file of certificates", done: "read", cause };
    let found = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken(error.to_string()))?;
    if found.is_empty() { Err(broken("it holds no certificate".to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_lines_of_64_and_reads_back() {
        let der = CertificateDer::from(vec![7; 100]);
        let text = encode_certificates([&der, &der]);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(certificates(&text).unwrap(), [der.clone(), der]);
        assert!(certificates("no block here").is_err());
        assert!(certificates("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n").is_err());
    }
}
