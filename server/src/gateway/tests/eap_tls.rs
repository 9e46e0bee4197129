//! Logins by EAP-TLS inside of IKEv2.

use cygnet_ike::testing::{Client, ClientConfig, EapPeer, Login};
use cygnet_ppp::auth::testing::{TlsClient, TlsClientConfig};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::pki::Issued;

/// A gateway that has client authorities, with these keys and tables.
fn with_ca(keys: &str) -> Site {
    Site::new(&format!("cert = \"cert.pem\"\nkey = \"key.pem\"\nca = \"ca.pem\"\npool = \"10.83.20.0/24\"\n{keys}"))
}

/// A device with a client certificate, or none, that logs in by EAP-TLS.
struct Device(TlsClient);

impl EapPeer for Device {
    fn respond(&mut self, request: &[u8]) -> Vec<u8> {
        self.0.handle(request).unwrap_or_default()
    }

    fn msk(&self) -> Vec<u8> {
        self.0.msk().map(|msk| msk.to_vec()).unwrap_or_default()
    }
}

fn authority(site: &Site) -> Issued {
    let read = |name: &str| std::fs::read_to_string(site.folder.path().join(name)).unwrap();
    Issued { certificate_pem: read("ca.pem"), key_pem: read("ca-key.pem").into() }
}

fn issue(ca: &Issued, name: &str) -> Issued {
    let names = [SubjectName::from_text(name)];
    pki::issue_client_certificate(ca, "Somebody", &names, KeyKind::EcdsaP256, now_unix()).unwrap()
}

fn device(site: &Site, certificate: Option<&Issued>, tls12: bool) -> ClientConfig {
    let der = |pem: &str| cygnet_ike::cert::pem::certificates(pem.as_bytes()).unwrap();
    let key = |issued: &Issued| PrivatePkcs8KeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let tls = TlsClientConfig {
        name: "anonymous".to_owned(),
        authority: der(&authority(site).certificate_pem).remove(0),
        server_name: "vpn.example.org".to_owned(),
        certificate: certificate.map(|own| (der(&own.certificate_pem), key(own).secret_pkcs8_der().to_vec())),
        tls12,
        fragment: 700,
        wall: Duration::from_secs(now_unix().as_secs()),
    };
    ClientConfig {
        login: Login::Eap(Box::new(Device(TlsClient::new(tls).unwrap()))),
        authorities: Some(site.ca()),
        ..ClientConfig::psk("192.168.1.7".parse().unwrap(), b"")
    }
}

/// A device that shows its certificate to IKE itself.
fn by_certificate(site: &Site, own: &Issued, name: &str) -> ClientConfig {
    let chain = cygnet_ike::cert::pem::certificates(own.certificate_pem.as_bytes()).unwrap();
    let key_pem = own.key_pem.as_bytes().to_vec();
    ClientConfig {
        login: Login::Certificate { chain, key_pem },
        authorities: Some(site.ca()),
        ..ClientConfig::psk(name.parse().unwrap(), b"")
    }
}

fn connect(site: &mut Site, name: &str, from: &str) -> Client {
    let own = issue(&authority(site), name);
    let config = device(site, Some(&own), false);
    site.connect(config, from)
}

#[test]
fn a_certificate_alone_lets_a_device_in_with_either_tls() {
    for tls12 in [false, true] {
        let mut site = with_ca("eap = [\"tls\"]");
        let own = issue(&authority(&site), "laptop@example.org");
        let config = device(&site, Some(&own), tls12);
        let client = site.connect(config, "198.51.100.7");
        assert!(client.is_up(), "{:?} {:?}", client.end(), site.headlines("198.51.100.7"));
        assert_eq!(site.users(), ["laptop@example.org"]);
        assert_eq!(client.addresses(), site.routed);
    }
}

#[test]
fn settings_of_the_account_count() {
    let users =
        "eap = [\"tls\"]\n[users]\n\"Alice@Example.org\" = { password = \"unused by her\", address = \"10.83.20.77\" }";
    let mut site = with_ca(users);
    let client = connect(&mut site, "alice@example.org", "198.51.100.7");
    assert!(client.is_up(), "{:?}", client.end());
    assert_eq!(site.users(), ["Alice@Example.org"]);
    assert_eq!(client.addresses(), ["10.83.20.77".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_locked_account_stays_out() {
    let mut site =
        with_ca("eap = [\"tls\"]\n[users]\n\"alice@example.org\" = { password = \"unused\", disabled = true }");
    let client = connect(&mut site, "alice@example.org", "198.51.100.7");
    assert!(!client.is_up());
    assert_eq!(site.headlines("alice@example.org"), ["the account of user \"alice@example.org\" is disabled"]);
    assert!(site.users().is_empty() && site.routed.is_empty());
}

#[test]
fn certificates_of_strangers_and_missing_ones_are_explained() {
    let mut site = with_ca("eap = [\"tls\"]");
    let stranger = pki::make_ca("Other CA", KeyKind::EcdsaP256, now_unix()).unwrap();
    let own = issue(&stranger, "alice@example.org");
    let config = device(&site, Some(&own), false);
    assert!(!site.connect(config, "198.51.100.7").is_up());
    let [headline] = site.headlines("198.51.100.7").try_into().unwrap();
    assert!(headline.contains("was issued by CN=Other CA, which is neither trusted nor sent along"), "{headline}");
    assert!(site.fix("198.51.100.7").starts_with("give the client a certificate of an authority that `ca` names"));

    let config = device(&site, None, true);
    assert!(!site.connect(config, "198.51.100.8").is_up());
    assert_eq!(site.headlines("198.51.100.8"), ["the client sent no certificate"]);
}

#[test]
fn a_device_that_wants_the_other_method_gets_it() {
    let mut site = with_ca("eap = [\"mschapv2\", \"tls\"]\n[users]\nbob = { password = \"correct horse\" }");
    let device = connect(&mut site, "laptop@example.org", "198.51.100.7");
    assert!(device.is_up(), "{:?}", device.end());
    let person = person(&site, "bob", "correct horse");
    assert!(site.connect(person, "198.51.100.8").is_up());
    assert_eq!(site.users(), ["bob", "laptop@example.org"]);
}

#[test]
fn who_has_no_account_stays_over_a_reload_and_who_lost_it_goes() {
    let users =
        "eap = [\"tls\"]\n[users]\n\"alice@example.org\" = { password = \"unused\" }\nbob = { password = \"unused\" }";
    let mut site = with_ca(users);
    let _alice = connect(&mut site, "alice@example.org", "198.51.100.7");
    let _laptop = connect(&mut site, "laptop@example.org", "198.51.100.8");
    assert_eq!(site.users(), ["alice@example.org", "laptop@example.org"]);
    let without = "cert = \"cert.pem\"\nkey = \"key.pem\"\nca = \"ca.pem\"\npool = \"10.83.20.0/24\"\neap = [\"tls\"]";
    let settings = settings(&site.folder, without);
    let reloaded = site.gateway.reload_from(site.now, settings).unwrap();
    assert_eq!(reloaded.disconnected, 1);
    assert_eq!(site.users(), ["laptop@example.org"]);
}

/// A list of the gateway's authority that the daemon has found.
fn revoke(site: &mut Site, revoked: &[&Issued]) {
    let day = Duration::from_secs(86_400);
    let list = pki::testing::revocation_list(&authority(site), revoked, now_unix(), day);
    site.gateway.set_revocation_lists(site.now, vec![list].into());
}

#[test]
fn revoked_certificates_stay_out_as_soon_as_the_list_is_there() {
    let mut site = with_ca("eap = [\"tls\"]");
    let own = issue(&authority(&site), "alice@example.org");
    let config = device(&site, Some(&own), false);
    assert!(site.connect(config, "198.51.100.7").is_up());
    revoke(&mut site, &[&own]);
    let config = device(&site, Some(&own), false);
    assert!(!site.connect(config, "198.51.100.8").is_up());
    let [headline] = site.headlines("198.51.100.8").try_into().unwrap();
    assert!(headline.starts_with("the certificate of CN=Somebody was revoked"), "{headline}");
    assert!(connect(&mut site, "bob@example.org", "198.51.100.9").is_up());
}

/// All that `explain` says about an address.
fn told(site: &Site, who: &str) -> String {
    let filter = ExplainFilter { who: Some(who.to_owned()), limit: None };
    let entries = site.gateway.explain(&filter).into_iter().map(|entry| entry.record);
    entries.map(|record| format!("{}\n{}\n", record.headline, record.details.join("\n"))).collect()
}

#[test]
fn revoked_certificates_stay_out_also_when_a_site_has_learned_an_address() {
    let berlin = "[site.berlin]\npeer = \"203.0.113.7\"\npsk = \"a key that is long enough for anybody\"\nstart = \"passive\"\n\
                  local = [\"10.1.0.0/16\"]\nremote = [\"10.2.0.0/16\"]";
    let mut site = with_ca(&format!("eap = [\"tls\"]\ncrl = \"strict\"\n{berlin}"));
    let own = issue(&authority(&site), "alice@example.org");
    revoke(&mut site, &[&own]);
    site.gateway.local_address(site.now, "berlin", Ok("192.0.2.1".parse().unwrap()));
    let by_eap = device(&site, Some(&own), false);
    assert!(!site.connect(by_eap, "198.51.100.8").is_up());
    let config = by_certificate(&site, &own, "alice@example.org");
    assert!(!site.connect(config, "198.51.100.9").is_up());
    for from in ["198.51.100.8", "198.51.100.9"] {
        let told = told(&site, from);
        assert!(told.contains("the certificate of CN=Somebody was revoked at "), "{told}");
    }
    let other = issue(&authority(&site), "bob@example.org");
    let config = by_certificate(&site, &other, "bob@example.org");
    assert!(site.connect(config, "198.51.100.10").is_up(), "{:?}", site.headlines("198.51.100.10"));
}

#[test]
fn a_session_ends_when_its_certificate_is_revoked_and_not_for_want_of_a_list() {
    let mut site = with_ca("eap = [\"tls\"]\ncrl = \"strict\"");
    revoke(&mut site, &[]);
    let [lost, other] = ["alice@example.org", "bob@example.org"].map(|name| issue(&authority(&site), name));
    let by_eap = device(&site, Some(&lost), false);
    let mut by_eap = site.connect(by_eap, "198.51.100.7");
    let by_ike = by_certificate(&site, &lost, "alice@example.org");
    let mut by_ike = site.connect(by_ike, "198.51.100.8");
    let kept = device(&site, Some(&other), false);
    let kept = site.connect(kept, "198.51.100.9");
    site.gateway.set_revocation_lists(site.now, Vec::new().into());
    site.now.instant += Duration::from_secs(1);
    assert_eq!(site.users().len(), 3, "{:?}", (by_eap.end(), by_ike.end(), kept.end()));
    revoke(&mut site, &[&lost]);
    site.settle(&mut by_eap);
    site.settle(&mut by_ike);
    assert_eq!((site.users(), site.routed.clone()), (vec!["bob@example.org".to_owned()], kept.addresses()));
    for who in ["198.51.100.7", "198.51.100.8"] {
        let told = told(&site, who);
        assert!(told.contains("session ended: its certificate was revoked"), "{told}");
        assert!(told.contains("the certificate of CN=Somebody was revoked at "), "{told}");
    }
}

#[test]
fn a_login_waits_a_moment_for_the_list_of_its_certificate() {
    const URI: &str = "http://crl.example.org/ca.crl";
    let mut site = with_ca("eap = [\"tls\"]\ncrl = \"strict\"");
    let own = pki::testing::issue_with_list(&authority(&site), "alice@example.org", URI, now_unix());
    let begin = |site: &mut Site, tls12: bool, from: &str| {
        let config = device(site, Some(&own), tls12);
        let client = site.connect(config, from);
        assert!(!client.is_up() && client.end().is_none(), "{from}: {:?}", client.end());
        assert_eq!(site.gateway.take_list_addresses(), [URI]);
        client
    };
    for (tls12, from) in [(false, "198.51.100.7"), (true, "198.51.100.8")] {
        let mut client = begin(&mut site, tls12, from);
        revoke(&mut site, &[]);
        site.settle(&mut client);
        assert!(client.is_up(), "{:?} {:?}", client.end(), site.headlines(from));
        site.gateway.set_revocation_lists(site.now, Vec::new().into());
    }

    let mut in_vain = begin(&mut site, false, "198.51.100.9");
    let due = site.gateway.poll_timeout().unwrap();
    assert!(due <= site.now.instant + Duration::from_secs(5));
    while !site.gateway.awaited_lists.is_empty() {
        site.now.instant = site.gateway.poll_timeout().unwrap();
        site.gateway.handle_timeout(site.now);
    }
    site.settle(&mut in_vain);
    assert!(!in_vain.is_up() && in_vain.end().is_some());
    let headlines = site.headlines("198.51.100.9");
    assert!(headlines.iter().any(|told| told.starts_with("there is no revocation list of ")), "{headlines:?}");
    let told = told(&site, "198.51.100.9");
    assert!(told.contains(URI), "{told}");

    let mut revoked = begin(&mut site, false, "198.51.100.10");
    revoke(&mut site, &[&own]);
    site.settle(&mut revoked);
    assert!(!revoked.is_up() && revoked.end().is_some());
    assert!(site.gateway.awaited_lists.is_empty());
}

#[test]
fn without_a_list_the_policy_decides_and_the_place_of_the_list_is_told() {
    const URI: &str = "http://crl.example.org/ca.crl";
    for (policy, with_uri, without_uri) in [("strict", false, false), ("ifuri", false, true), ("relaxed", true, true)] {
        let mut site = with_ca(&format!("eap = [\"tls\"]\ncrl = \"{policy}\""));
        let own = pki::testing::issue_with_list(&authority(&site), "alice@example.org", URI, now_unix());
        let config = device(&site, Some(&own), false);
        assert_eq!(site.connect(config, "198.51.100.7").is_up(), with_uri, "{policy}");
        assert_eq!(site.gateway.take_list_addresses(), [URI], "{policy}");
        assert_eq!(connect(&mut site, "bob@example.org", "198.51.100.8").is_up(), without_uri, "{policy}");
        assert!(site.gateway.take_list_addresses().is_empty());
        revoke(&mut site, &[]);
        let config = device(&site, Some(&own), false);
        assert!(site.connect(config, "198.51.100.9").is_up(), "{policy} {:?}", site.headlines("198.51.100.9"));
        assert!(connect(&mut site, "carol@example.org", "198.51.100.10").is_up(), "{policy}");
    }
}
