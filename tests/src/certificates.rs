//! Certificates that only an authority of a test's own vouches for.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Writes `authority.pem`, and for `name` a certificate and a key: `NAME.pem` and `NAME.key`.
pub fn write(directory: &Path, name: &str) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &authority)?;
    std::fs::write(directory.join("authority.pem"), authority.pem())?;
    std::fs::write(directory.join(format!("{name}.pem")), certificate.pem())?;
    std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}
