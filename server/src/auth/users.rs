//! The accounts, looked up by the name that a client gives.
//!
//! Names are compared without case, and a Windows domain (`CORP\alice`) is ignored. An unknown name is answered
//! with a dummy hash, so that it costs the same work as a known one.

use std::collections::HashMap;
use std::net::IpAddr;

use rustls_pki_types::UnixTime;

use super::nt_hash::NtHash;

/// Longest user name that is looked up, in bytes. EAP and PPP cannot carry more than 253 in one name field.
pub const NAME_MAX: usize = 253;

/// One account.
pub struct User {
    /// As the operator wrote it.
    pub name: String,
    /// Proof of the password.
    pub nt_hash: NtHash,
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

/// Why an account with the right password may not log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// See [`User::disabled`].
    Disabled,
    /// See [`User::expires`].
    Expired,
}

impl User {
    /// Whether the account may log in at `wall`, apart from its password.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit(&self, wall: UnixTime) -> Result<(), Barred> {
        if self.disabled {
            return Err(Barred::Disabled);
        }
        match self.expires {
            Some(end) if end.as_secs() <= wall.as_secs() => Err(Barred::Expired),
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
    dummy: NtHash,
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
        Ok(Self { users: table, dummy })
    }

    /// The account of a name as a client gives it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.get(&canonical(name))
    }

    /// The account of a name and the hash to check its password against: a dummy for an unknown name.
    #[must_use]
    pub fn credential(&self, name: &str) -> (Option<&User>, &NtHash) {
        let user = self.find(name);
        (user, user.map_or(&self.dummy, |u| &u.nt_hash))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user(name: &str, password: &str) -> User {
        User {
            name: name.to_owned(),
            nt_hash: NtHash::of_password(password),
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

    #[test]
    fn an_unknown_user_has_the_dummy_hash() {
        let table = table(vec![user("alice", "a")]);
        let (found, hash) = table.credential("mallory");
        assert!(found.is_none());
        assert!(hash.ct_eq(&NtHash::from_bytes([7; 16])));
        assert!(table.credential("alice").1.ct_eq(&NtHash::of_password("a")));
    }

    #[test]
    fn rejects_names_that_a_client_cannot_tell_apart() {
        let error = UserTable::new([user("Alice", "a"), user("aLICE", "b")], NtHash::from_bytes([0; 16])).err();
        assert_eq!(error, Some(DuplicateUser { first: "Alice".into(), second: "aLICE".into() }));
    }

    #[test]
    fn an_account_ends_at_its_expiry() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let account = User { expires: Some(at(1000)), ..user("alice", "a") };
        assert_eq!(account.admit(at(999)), Ok(()));
        assert_eq!(account.admit(at(1000)), Err(Barred::Expired));
        assert_eq!(User { disabled: true, ..account }.admit(at(999)), Err(Barred::Disabled));
    }
}
