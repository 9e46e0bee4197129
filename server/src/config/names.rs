//! The syntax of names: DNS names, IKE identities, users, interfaces.

use std::net::IpAddr;

use cygnet_ike::identity::Identity;

use super::defaults::{INTERFACE_NAME_MAX, LABEL_MAX, PPK_ID_MAX};

/// Whether `text` can be a host name (RFC 1123 section 2.1; `_` is allowed for names that are no hosts).
pub(super) fn is_dns_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label) && !text.ends_with(|c: char| c.is_ascii_digit() && all_digits(text))
}

fn all_digits(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Whether `text` is an IKE identity that somebody can have; the error says why not.
pub(super) fn check_identity(text: &str) -> Result<Identity, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    let identity = text.parse::<Identity>().map_err(|invalid| invalid.to_string())?;
    match &identity {
        Identity::Fqdn(name) if !is_dns_name(name) => Err("it is neither an address nor a name".into()),
        Identity::UserFqdn(mail) if mail.split('@').any(str::is_empty) => Err("this is half of a mail address".into()),
        _ => Ok(identity),
    }
}

/// Whether `text` can be what users type into their device: a DNS name or an address; the error says why not.
pub(crate) fn check_server(text: &str) -> Result<(), String> {
    if text.parse::<IpAddr>().is_err() && !is_dns_name(text) {
        return Err(format!("\"{text}\" is neither a DNS name nor an IP address"));
    }
    Ok(())
}

/// Whether `text` can be a user's name; the error says why not.
pub(crate) fn check_user(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > cygnet_ppp::auth::NAME_MAX {
        return Err("it is longer than 253 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    if text.contains('\\') {
        return Err("a domain such as CORP\\ is ignored at login; leave it out");
    }
    Ok(())
}

/// Whether `text` can be the name of a site or one of its children; the error says why not.
pub(super) fn check_label(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > LABEL_MAX {
        return Err("it is longer than 32 bytes");
    }
    if text.chars().any(|c| !(c.is_ascii_alphanumeric() || "-_".contains(c))) || text.starts_with('-') {
        return Err("only letters, digits, - and _ are allowed, and no - at the beginning");
    }
    Ok(())
}

/// Whether `text` can be the id of a post-quantum key (RFC 8784 section 5.1, PPK_ID_FIXED); the error says why not.
pub(super) fn check_ppk_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > PPK_ID_MAX {
        return Err("it is longer than 128 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    Ok(())
}

/// Whether the kernel takes `text` for the name of an interface; the error says why not.
pub(super) fn check_interface(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text == "." || text == ".." {
        return Err("it is empty");
    }
    if text.len() > INTERFACE_NAME_MAX {
        return Err("it is longer than 15 bytes");
    }
    if text.chars().any(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        return Err("only letters, digits, - _ and . are allowed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_dns_names_from_others() {
        for good in ["vpn.example.org", "gw", "a-b.c_d.example.", "1.example"] {
            assert!(is_dns_name(good), "{good}");
        }
        for bad in ["", "a..b", "-a.org", "a-.org", "vpn example", "vpn.exämple", "10.0.0", "1.2.3.4", &"a".repeat(64)]
        {
            assert!(!is_dns_name(bad), "{bad}");
        }
    }

    #[test]
    fn tells_identities_from_others() {
        for good in ["192.0.2.1", "fd00::1", "@gw", "alice@example.org", "keyid:x", "keyid:0x00ff", "gw.example.org"] {
            assert!(check_identity(good).is_ok(), "{good}");
        }
        for bad in ["", "keyid:", "keyid:0xf", "@", "alice@", "two words"] {
            assert!(check_identity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tells_users_and_interfaces_from_others() {
        assert_eq!(check_user("alice@example.org"), Ok(()));
        assert!(check_user("CORP\\alice").is_err());
        assert!(check_user("a\nb").is_err());
        assert_eq!(check_interface("cygnet0"), Ok(()));
        assert!(check_interface("a name").is_err());
        assert!(check_interface("sixteen-bytes-xx").is_err());
    }
}
