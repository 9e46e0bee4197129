//! The accounts, looked up by the name that a client gives.
//!
//! Names are compared without case, and a Windows domain (`CORP\alice`) is ignored. An unknown name is answered
//! with a dummy hash, so that it costs the same work as a known one.

use std::collections::HashMap;
use std::net::IpAddr;

use rustls_pki_types::UnixTime;

use cygnet_ppp::auth::{Credentials, MutualProof, Proof, Verdict, Verifier};

use super::certificate;
use super::nt_hash::NtHash;

/// Longest part of a client's text that goes into a message for the operator, bytes.
const SHOWN_MAX: usize = 64;

/// One account.
pub struct User {
    /// As the operator wrote it.
    pub name: String,
    /// What is known of the password.
    pub verifier: Verifier,
    /// Group, for its rules.
    pub group: Option<String>,
    /// Fixed inner addresses, at most one per family.
    pub addresses: Vec<IpAddr>,
    /// From then on logins fail.
    pub expires: Option<UnixTime>,
    /// Highest number of sessions at the same time; `None`: no limit.
    pub devices: Option<u32>,
    /// Logins fail.
    pub disabled: bool,
}

/// Why somebody with a name and a password, or with a certificate, may not log in. For the operator; the client is told no difference.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such account.
    #[error("there is no user {user:?}; add one with `cygnet user add`")]
    UnknownUser {
        /// The name the client gave, at most 64 bytes of it.
        user: String,
    },
    /// The account exists.
    #[error("wrong password for user {user:?}; check it on the device, or set a new one with `cygnet user passwd`")]
    WrongPassword {
        /// The account.
        user: String,
    },
    /// The password was right, but the account has expired.
    #[error("the account of user {user:?} has expired; change `expires` to admit it again")]
    Expired {
        /// The account.
        user: String,
    },
    /// The password was right, but the account is disabled.
    #[error("the account of user {user:?} is disabled")]
    Disabled {
        /// The account.
        user: String,
    },
    /// A certificate that names nobody.
    #[error("the client's certificate has no name; issue one with a mail address or a host name in subjectAltName")]
    Nameless,
    /// CHAP-MD5 cannot be checked against a hash.
    #[error(
        "the client of user {user:?} uses CHAP-MD5, for which the gateway has to know the password itself; give the user \
         a `password` instead of `nt_hash`, or remove \"chap-md5\" from `ppp_auth` and allow MS-CHAPv2 on the device"
    )]
    NeedsClearPassword {
        /// The account.
        user: String,
    },
}

impl Rejection {
    /// Whether it is a guess that counts against source and name, see [`super::throttle`].
    #[must_use]
    pub fn is_guess(&self) -> bool {
        !matches!(self, Self::NeedsClearPassword { .. } | Self::Nameless)
    }
}

/// Somebody who is let in.
pub struct Admitted<'a> {
    /// The account.
    pub user: &'a User,
    /// MS-CHAPv2's proof for the client.
    pub proof: Option<MutualProof>,
}

impl From<Admitted<'_>> for Verdict {
    fn from(admitted: Admitted<'_>) -> Self {
        Self::Accepted { user: admitted.user.name.clone(), proof: admitted.proof }
    }
}

impl User {
    /// Whether the account may log in at `wall`, apart from its password.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit(&self, wall: UnixTime) -> Result<(), Rejection> {
        let user = || self.name.clone();
        if self.disabled {
            return Err(Rejection::Disabled { user: user() });
        }
        match self.expires {
            Some(end) if end.as_secs() <= wall.as_secs() => Err(Rejection::Expired { user: user() }),
            _ => Ok(()),
        }
    }
}

/// Two accounts have names that differ in case or domain only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the users {first:?} and {second:?} have the same name apart from case and domain")]
pub struct DuplicateUser {
    /// One of them.
    pub first: String,
    /// The other one.
    pub second: String,
}

/// All accounts.
pub struct UserTable {
    users: HashMap<String, User>,
    dummy: Verifier,
}

impl UserTable {
    /// Makes the table. `dummy` is any random hash.
    ///
    /// # Errors
    /// If two names are the same to a client.
    pub fn new(users: impl IntoIterator<Item = User>, dummy: NtHash) -> Result<Self, DuplicateUser> {
        let mut table = HashMap::new();
        for user in users {
            let second = user.name.clone();
            if let Some(first) = table.insert(canonical(&second), user) {
                let first: User = first;
                return Err(DuplicateUser { first: first.name.clone(), second });
            }
        }
        Ok(Self { users: table, dummy: Verifier::of_nt_hash(dummy) })
    }

    /// The account of a name as a client gives it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.get(&canonical(name))
    }

    /// Who the client is. An unknown name costs the same work as a known one; the password comes before anything else
    /// about the account, so that nobody learns of accounts without it.
    ///
    /// # Errors
    /// Why nobody is let in.
    pub fn check(&self, credentials: &Credentials, wall: UnixTime) -> Result<Admitted<'_>, Rejection> {
        let account = self.find(credentials.user());
        let proof = credentials.prove(account.map_or(&self.dummy, |user| &user.verifier));
        let user = account.ok_or_else(|| Rejection::UnknownUser { user: shown(credentials.user()) })?;
        match proof {
            Proof::Right(proof) => user.admit(wall).map(|()| Admitted { user, proof }),
            Proof::Wrong => Err(Rejection::WrongPassword { user: user.name.clone() }),
            Proof::NeedsClearPassword => Err(Rejection::NeedsClearPassword { user: user.name.clone() }),
        }
    }

    /// Whose a verified client certificate (DER) is: the first account that one of its [names](certificate::names) belongs
    /// to. Without such an account the certificate speaks for itself, and the result is the first of its names.
    ///
    /// # Errors
    /// Why nobody is let in.
    pub fn check_certificate(&self, der: &[u8], wall: UnixTime) -> Result<String, Rejection> {
        let mut names = certificate::names(der);
        if let Some(user) = names.iter().find_map(|name| self.find(name)) {
            return user.admit(wall).map(|()| user.name.clone());
        }
        if names.is_empty() { Err(Rejection::Nameless) } else { Ok(names.swap_remove(0)) }
    }

    /// All accounts in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }
}

/// The user's name without a Windows domain: what follows the last backslash (RFC 2759 section 4 hashes this part).
#[must_use]
pub fn without_domain(name: &str) -> &str {
    name.rsplit_once('\\').map_or(name, |(_, user)| user)
}

/// The one form that all spellings of a user's name share: no domain, lower case. Also the key to count failures by.
#[must_use]
pub fn canonical(name: &str) -> String {
    without_domain(name).to_lowercase()
}

/// The beginning of a name, fit for a message to the operator. It is printed with escapes.
fn shown(name: &str) -> String {
    let end = (0..=SHOWN_MAX.min(name.len())).rev().find(|&n| name.is_char_boundary(n));
    let (head, tail) = name.split_at(end.unwrap_or(0));
    if tail.is_empty() { head.to_owned() } else { format!("{head}...") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cygnet_ppp::auth::mschapv2::{self, Challenges};
    use cygnet_ppp::auth::{Password, chap_md5};

    use super::*;

    fn user(name: &str, password: &str) -> User {
        User {
            name: name.to_owned(),
            verifier: Verifier::of_password(password),
            group: None,
            addresses: Vec::new(),
            expires: None,
            devices: None,
            disabled: false,
        }
    }

    fn table(users: Vec<User>) -> UserTable {
        UserTable::new(users, NtHash::from_bytes([7; 16])).ok().unwrap()
    }

    #[test]
    fn finds_a_user_whatever_the_case_and_domain() {
        let table = table(vec![user("Alice", "a"), user("bob@corp.example", "b")]);
        for name in ["alice", "ALICE", r"CORP\alice", r"corp.example\Alice"] {
            assert_eq!(table.find(name).map(|u| u.name.as_str()), Some("Alice"), "{name}");
        }
        assert!(table.find("BOB@corp.example").is_some());
        assert!(table.find("bob").is_none());
        assert!(table.find(r"alice\").is_none());
    }

    const CHALLENGE: [u8; 16] = [3; 16];

    /// What a client sends by each method that needs no clear password.
    fn logins(name: &str, password: &str) -> [Credentials; 2] {
        let pap = Credentials::Pap { user: name.to_owned(), password: Password::new(password.as_bytes()) };
        let user_name = mschapv2::after_domain(name.as_bytes());
        let challenges = Challenges { authenticator: &CHALLENGE, peer: &CHALLENGE, user_name };
        let nt_response = mschapv2::nt_response(&NtHash::of_password(password), &challenges);
        [pap, Credentials::ms_chap_v2(name.as_bytes(), &CHALLENGE, &CHALLENGE, &nt_response)]
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn rejection(table: &UserTable, credentials: &Credentials) -> Option<Rejection> {
        table.check(credentials, at(1000)).err()
    }

    #[test]
    fn lets_in_who_knows_the_password_whatever_the_spelling_of_the_name() {
        let table = table(vec![user("Alice", "secret")]);
        for name in ["Alice", "ALICE", r"CORP\alice"] {
            for login in logins(name, "secret") {
                let admitted = table.check(&login, at(1000)).ok().unwrap();
                assert_eq!(admitted.user.name, "Alice");
                assert_eq!(admitted.proof.is_some(), matches!(login, Credentials::MsChapV2 { .. }));
            }
        }
    }

    #[test]
    fn the_password_comes_first() {
        let expired = User { expires: Some(at(1000)), ..user("old", "secret") };
        let disabled = User { disabled: true, ..user("off", "secret") };
        let table = table(vec![expired, disabled, user("alice", "secret")]);
        for (name, password, reason) in [
            ("nobody", "secret", Rejection::UnknownUser { user: "nobody".into() }),
            ("alice", "Secret", Rejection::WrongPassword { user: "alice".into() }),
            ("old", "secret", Rejection::Expired { user: "old".into() }),
            ("old", "wrong", Rejection::WrongPassword { user: "old".into() }),
            ("off", "secret", Rejection::Disabled { user: "off".into() }),
            ("off", "wrong", Rejection::WrongPassword { user: "off".into() }),
        ] {
            for login in logins(name, password) {
                assert_eq!(rejection(&table, &login), Some(reason.clone()), "{name}");
            }
            assert!(reason.is_guess());
        }
    }

    #[test]
    fn the_password_of_the_dummy_lets_nobody_in() {
        let table = UserTable::new([user("alice", "a")], NtHash::of_password("dummy")).ok().unwrap();
        for login in logins("mallory", "dummy") {
            assert!(matches!(rejection(&table, &login), Some(Rejection::UnknownUser { .. })));
        }
    }

    #[test]
    fn chap_md5_needs_the_password_itself() {
        let hashed = User { verifier: Verifier::of_nt_hash(NtHash::of_password("a")), ..user("hashed", "a") };
        let table = table(vec![hashed, user("alice", "a")]);
        let login = |name: &str| Credentials::ChapMd5 {
            user: name.to_owned(),
            identifier: 1,
            challenge: CHALLENGE,
            response: chap_md5(1, b"a", &CHALLENGE),
        };
        assert_eq!(table.check(&login("alice"), at(0)).ok().unwrap().user.name, "alice");
        let reason = rejection(&table, &login("hashed")).unwrap();
        assert_eq!(reason, Rejection::NeedsClearPassword { user: "hashed".into() });
        assert!(!reason.is_guess());
        assert!(reason.to_string().contains("give the user a `password` instead of `nt_hash`"));
        assert_eq!(rejection(&table, &login("mallory")), Some(Rejection::UnknownUser { user: "mallory".into() }));
    }

    fn certificate_of(names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let mail = |name: &String| rcgen::SanType::Rfc822Name(name.as_str().try_into().unwrap());
        params.subject_alt_names = names.iter().map(mail).collect();
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_that_of_the_account_that_has_one_of_its_names() {
        let off = User { disabled: true, ..user("off@example.org", "a") };
        let table = table(vec![user("Alice@Example.org", "a"), off]);
        let check = |names: &[&str]| table.check_certificate(&certificate_of(names), at(1000));
        assert_eq!(check(&["alice@example.org"]), Ok("Alice@Example.org".to_owned()));
        assert_eq!(check(&["other@example.org", "alice@example.org"]), Ok("Alice@Example.org".to_owned()));
        assert_eq!(check(&["other@example.org", "second@example.org"]), Ok("other@example.org".to_owned()));
        assert_eq!(check(&["off@example.org"]), Err(Rejection::Disabled { user: "off@example.org".into() }));
        assert_eq!(check(&["other@example.org", "off@example.org"]).ok(), None);
        assert_eq!(check(&[]), Err(Rejection::Nameless));
    }

    #[test]
    fn long_names_are_shown_cut_at_a_character() {
        assert_eq!(shown("alice"), "alice");
        let shown = shown(&"ä".repeat(50));
        assert_eq!(shown, format!("{}...", "ä".repeat(32)));
    }

    #[test]
    fn rejects_names_that_a_client_cannot_tell_apart() {
        let error = UserTable::new([user("Alice", "a"), user("aLICE", "b")], NtHash::from_bytes([0; 16])).err();
        assert_eq!(error, Some(DuplicateUser { first: "Alice".into(), second: "aLICE".into() }));
    }

    #[test]
    fn an_account_ends_at_its_expiry() {
        let account = User { expires: Some(at(1000)), ..user("alice", "a") };
        assert_eq!(account.admit(at(999)), Ok(()));
        assert_eq!(account.admit(at(1000)), Err(Rejection::Expired { user: "alice".into() }));
        let disabled = User { disabled: true, ..account };
        assert_eq!(disabled.admit(at(999)), Err(Rejection::Disabled { user: "alice".into() }));
    }
}
