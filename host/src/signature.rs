//! Signatures of components: Ed25519 ([RFC 8032]) over the exact bytes of a component.
//!
//! ```text
//!  signing key ─▶ public key ─▶ components.trusted_keys ─┐
//!       └─ sign ─▶ component.wasm.sig ───────────────────┴─▶ verify: whose key, or why not
//! ```
//!
//! A public key is the base64 of its 32 octets, a signature that of its 64. A signing key is
//! kept as PKCS #8 in PEM ([RFC 8410]), which `openssl pkey` reads and writes too.
//!
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032
//! [RFC 8410]: https://www.rfc-editor.org/rfc/rfc8410

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{
    SecretKey, Signer, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use std::{
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    str::FromStr,
};

/// Longest key file that is read, in bytes: a key has 119, comments may stand around it.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// Why something is not signed, or not believed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A public key that is none. It is not shown: it may be a secret in the wrong place.
    #[error(
        "not a public key: {0}; give the line that `heplake component keygen` or `sign` prints, the \
         base64 of 32 octets"
    )]
    TrustedKey(&'static str),
    /// A signature that is none.
    #[error(
        "not a signature: {0}; give what `heplake component sign` writes, the base64 of 64 octets"
    )]
    Signature(&'static str),
    /// There is nobody to believe.
    #[error("no key is trusted: name one in components.trusted_keys")]
    NobodyTrusted,
    /// Signed by somebody else, or other bytes.
    #[error(
        "signed by none of the {keys} trusted keys, or not these bytes: sign exactly this file with \
         `heplake component sign`, or add the signer's public key to components.trusted_keys"
    )]
    Untrusted {
        /// Number of keys that were tried.
        keys: usize,
    },
    /// A key file cannot be read or written.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Others than its owner can read or change a key file.
    #[error(
        "{path} can be read or changed by others (mode {mode:03o}): run `chmod 600 {path}`, and \
         make a new key if others had access"
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// A key file that holds no signing key.
    #[error(
        "{0} holds no Ed25519 signing key (PKCS #8, \"BEGIN PRIVATE KEY\"): make one with `heplake \
         component keygen`"
    )]
    KeyFile(String),
}

/// A public key whose signatures are believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrustedKey(VerifyingKey);

impl FromStr for TrustedKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let octets = octets(text).map_err(SignatureError::TrustedKey)?;
        let key = VerifyingKey::from_bytes(&octets)
            .map_err(|_| SignatureError::TrustedKey("it is no point of the curve"))?;
        if key.is_weak() {
            // For such a key signatures can be made without a secret.
            return Err(SignatureError::TrustedKey("it is a weak key"));
        }
        Ok(Self(key))
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({self})")
    }
}

/// A signature over the bytes of a component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(ed25519_dalek::Signature);

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let octets = octets(text).map_err(SignatureError::Signature)?;
        Ok(Self(ed25519_dalek::Signature::from_bytes(&octets)))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// Exactly `N` octets in base64, with blanks around it.
fn octets<const N: usize>(text: &str) -> Result<[u8; N], &'static str> {
    let mut octets = [0; N];
    // A longer text cannot be one, and need not be decoded to know.
    let text = text.trim();
    if text.len() != N.div_ceil(3) * 4 {
        return Err("it has another length");
    }
    match BASE64.decode_slice(text, &mut octets) {
        Ok(length) if length == N => Ok(octets),
        Ok(_) => Err("it has another length"),
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => Err("it has another length"),
        Err(_) => Err("it is not base64"),
    }
}

/// Finds the key among `keys` that signed exactly these bytes.
///
/// # Errors
/// None of them did, or there are none.
pub fn verify(
    keys: &[TrustedKey],
    bytes: &[u8],
    signature: &Signature,
) -> Result<TrustedKey, SignatureError> {
    if keys.is_empty() {
        return Err(SignatureError::NobodyTrusted);
    }
    keys.iter()
        .find(|key| key.0.verify_strict(bytes, &signature.0).is_ok())
        .copied()
        .ok_or(SignatureError::Untrusted { keys: keys.len() })
}

/// The secret that signs. Overwritten when it is dropped, and never shown.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of these 32 octets of chance.
    #[must_use]
    pub fn from_seed(seed: &SecretKey) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads a key file that nobody but its owner has access to.
    ///
    /// # Errors
    /// It cannot be read, others can read it too, or it holds no key.
    pub fn read(path: &Path) -> Result<Self, SignatureError> {
        let failed = |source| file_error("cannot read the key file", path, source);
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display().to_string();
            return Err(SignatureError::Exposed { path, mode });
        }
        let mut text = String::new();
        file.take(KEY_FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim())
            .map_err(|_| SignatureError::KeyFile(path.display().to_string()))?;
        Ok(Self(key))
    }

    /// Writes a key file that only its owner can read, and that was not there before.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), SignatureError> {
        let failed = |source| file_error("cannot write the key file", path, source);
        let unfit = |error| failed(io::Error::other(error));
        // Without the public key: OpenSSL reads no PKCS #8 that has it.
        let pem = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        }
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(unfit)?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.write_all(pem.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)
    }

    /// Signs these bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes))
    }

    /// What others know this key's signatures by.
    #[must_use]
    pub fn trusted_key(&self) -> TrustedKey {
        TrustedKey(self.0.verifying_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.trusted_key())
    }
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> SignatureError {
    let path = path.display().to_string();
    SignatureError::File {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
