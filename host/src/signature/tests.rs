//! Signatures against the vectors of RFC 8032 and the keys of RFC 8410.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

/// RFC 8032 section 7.1, tests 1 to 3: secret key, public key, message, signature.
const VECTORS: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9\
         b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1\
         1d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d\
         c6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

/// RFC 8410 sections 10.1 and 10.3: a signing key without and with its public key.
const KEY_FILES: [&str; 2] = [
    "-----BEGIN PRIVATE KEY-----\n\
     MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
     -----END PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\n\
     MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
     oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
     Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
     -----END PRIVATE KEY-----\n",
];
const KEY_FILE_PUBLIC: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

#[test]
fn signs_and_verifies_as_the_rfc_does() {
    for [secret, public, message, signature] in VECTORS.map(|vector| vector.map(hex)) {
        let key = SigningKey::from_seed(&secret.try_into().unwrap());
        assert_eq!(key.trusted_key().to_string(), BASE64.encode(public));
        let made = key.sign(&message);
        assert_eq!(made.to_string(), BASE64.encode(signature));
        let trusted = [key.trusted_key()];
        assert_eq!(verify(&trusted, &message, &made).unwrap(), trusted[0]);
    }
}

#[test]
fn tells_whose_key_signed() {
    let keys = [1, 2, 3].map(|seed| key(seed).trusted_key());
    let signature = key(2).sign(b"bytes");
    assert_eq!(verify(&keys, b"bytes", &signature).unwrap(), keys[1]);
}

#[test]
fn believes_no_other_key_and_no_other_bytes() {
    let keys = [1, 2].map(|seed| key(seed).trusted_key());
    for (signer, bytes) in [(3, &b"bytes"[..]), (1, b"byteS"), (1, b"bytes "), (1, b"")] {
        let refused = verify(&keys, bytes, &key(signer).sign(b"bytes")).unwrap_err();
        assert!(matches!(refused, SignatureError::Untrusted { keys: 2 }));
    }
    let refused = verify(&[], b"bytes", &key(1).sign(b"bytes")).unwrap_err();
    assert!(matches!(refused, SignatureError::NobodyTrusted));
}

#[test]
fn believes_no_signature_with_a_bit_changed() {
    let octets = key(1).sign(b"bytes").0.to_bytes();
    for bit in 0..octets.len() * 8 {
        let mut changed = octets;
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = Signature(ed25519_dalek::Signature::from_bytes(&changed));
        assert!(verify(&[key(1).trusted_key()], b"bytes", &changed).is_err());
    }
}

#[test]
fn refuses_what_is_no_public_key() {
    let good = key(1).trusted_key().to_string();
    let secret = KEY_FILES[0].to_owned();
    // The neutral element: whoever trusted it would believe anybody.
    let weak = BASE64.encode([&[1][..], &[0; 31]].concat());
    for text in ["", "x", &good[1..], &good.replace('=', "A"), &secret, &weak] {
        let refused = text.parse::<TrustedKey>().unwrap_err();
        assert!(matches!(refused, SignatureError::TrustedKey(_)), "{text}");
        let shown = format!("{refused} {refused:?}");
        assert!(text.len() < 8 || !shown.contains(&text[..8]), "{shown}");
    }
    assert_eq!(
        format!("\t{good}\n").parse::<TrustedKey>().unwrap(),
        key(1).trusted_key()
    );
}

#[test]
fn reads_the_key_files_that_others_write() {
    let directory = tempfile::tempdir().unwrap();
    for (number, text) in KEY_FILES.iter().enumerate() {
        let path = directory.path().join(number.to_string());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let key = SigningKey::read(&path).unwrap();
        assert_eq!(key.trusted_key().to_string(), KEY_FILE_PUBLIC);
    }
}

#[test]
fn writes_a_key_file_for_its_owner_alone_and_over_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    key(1).write_new(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(
        SigningKey::read(&path).unwrap().trusted_key(),
        key(1).trusted_key()
    );

    let refused = key(2).write_new(&path).unwrap_err();
    assert!(matches!(refused, SignatureError::File { .. }), "{refused}");
    assert_eq!(
        SigningKey::read(&path).unwrap().trusted_key(),
        key(1).trusted_key()
    );
}

#[test]
fn writes_a_key_as_openssl_does() {
    let directory = tempfile::tempdir().unwrap();
    let (given, path) = (directory.path().join("given"), directory.path().join("key"));
    fs::write(&given, KEY_FILES[0]).unwrap();
    fs::set_permissions(&given, fs::Permissions::from_mode(0o400)).unwrap();
    SigningKey::read(&given).unwrap().write_new(&path).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), KEY_FILES[0]);
}

#[test]
fn refuses_a_key_file_that_others_can_read_or_that_holds_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    key(1).write_new(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = SigningKey::read(&path).unwrap_err();
        assert!(
            matches!(refused, SignatureError::Exposed { .. }),
            "{refused}"
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let endless = good.repeat(100);
    for text in [
        "",
        "x",
        &good[..good.len() / 2],
        &good.replace("PRIVATE", "PUBLIC"),
        &endless,
    ] {
        fs::write(&path, text).unwrap();
        let refused = SigningKey::read(&path).unwrap_err();
        assert!(matches!(refused, SignatureError::KeyFile(_)), "{refused}");
    }
    let missing = SigningKey::read(&directory.path().join("none")).unwrap_err();
    assert!(matches!(missing, SignatureError::File { .. }), "{missing}");
}

#[test]
fn shows_no_secret() {
    let key = key(7);
    let shown = format!("{key:?} {:?} {:?}", key.trusted_key(), key.sign(b""));
    assert!(!shown.contains(&BASE64.encode([7; 32])[..8]), "{shown}");
    assert!(!shown.contains("7, 7"), "{shown}");
    assert!(shown.contains(&key.trusted_key().to_string()), "{shown}");
}

/// Making keys is slow where nothing is optimised.
static KEYS: LazyLock<[SigningKey; 4]> = LazyLock::new(|| [1, 2, 3, 4].map(key));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_signed_is_believed_after_both_are_written_and_read(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        signer in 0..4_usize,
    ) {
        let key = &KEYS[signer];
        let signature: Signature = key.sign(&bytes).to_string().parse().unwrap();
        let trusted: TrustedKey = key.trusted_key().to_string().parse().unwrap();
        prop_assert_eq!(verify(&[trusted], &bytes, &signature).unwrap(), trusted);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,100}|[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}=") {
        let _ = text.parse::<TrustedKey>();
        let _ = text.parse::<Signature>();
    }
}
