//! The steps on each kind of device, printed once after `cygnet init`.

use std::path::Path;

use super::plan::{Plan, Protocol};
use crate::config::defaults::CONFIG_FILE;

/// User, password and key: the only time that they are shown.
pub(super) fn credentials(plan: &Plan) -> String {
    let mut text = String::from("\nFor the devices (shown only now):\n");
    text += &format!("  server           {}\n", plan.name);
    if let Some(user) = &plan.user {
        text += &format!("  user             {}\n", user.name);
        text += &format!("  password         {}\n", user.new_password().unwrap_or("as you typed it"));
    }
    if let Some(psk) = &plan.psk {
        text += &format!("  pre-shared key   {}\n", psk.as_str());
    }
    text
}

/// How to start, and what to keep safe.
pub(super) fn start(config: &Path) -> String {
    let ca_key = config.with_file_name("pki/ca-key.pem");
    let command = if config == Path::new(CONFIG_FILE) {
        "systemctl enable --now cygnet   (or, in the foreground: cygnet run)".to_owned()
    } else {
        format!("cygnet run --config {}", config.display())
    };
    format!(
        "\nStart:\n  {command}\n\
         \x20 open UDP 500 and 4500 in firewalls and port forwards (and IP protocol 50 for clients without NAT)\n\
         \x20 {} signs new certificates: keep a copy in a safe place\n",
        ca_key.display()
    )
}

/// What to do on each kind of device.
pub(super) fn clients(plan: &Plan, config: &Path) -> String {
    let mut text = String::new();
    let speaks = |protocol| plan.protocols.contains(&protocol);
    if let (Some(user), true) = (&plan.user, speaks(Protocol::L2tp)) {
        text += &with_l2tp(&plan.name, &user.name);
    }
    if let (Some(user), true) = (&plan.user, speaks(Protocol::Xauth)) {
        text += &with_xauth(&plan.name, &user.name);
    }
    if let (Some(user), true) = (&plan.user, speaks(Protocol::Ikev2)) {
        if plan.protocols.len() > 1 {
            text += "\nIKEv2 (newer and faster; the device has to trust the authority first)\n";
        }
        text += &with_password(&plan.name, &user.name, &config.with_file_name("pki/ca.pem").display().to_string());
    }
    if plan.psk.is_some() && plan.protocols == [Protocol::Ikev2] {
        text += &with_psk(&plan.name);
    }
    text
}

fn with_l2tp(name: &str, user: &str) -> String {
    format!(
        r#"
L2TP/IPsec (nothing to install: server, pre-shared key, user and password)

Windows 7 to 11
  Settings > Network & internet > VPN > Add VPN > Windows (built-in)
  Server name: {name}; VPN type: L2TP/IPsec with pre-shared key; Sign-in: User name and password, {user}
  or (PowerShell)
  Add-VpnConnection -Name "{name}" -ServerAddress "{name}" -TunnelType L2tp -L2tpPsk "PRE-SHARED KEY" -AuthenticationMethod MSChapv2 -EncryptionLevel Optional -RememberCredential -Force

macOS
  System Settings > VPN > Add VPN Configuration > L2TP over IPSec
  Server address: {name}; Account name: {user}; Password; Shared secret: the pre-shared key; Group name: empty
  Options: Send all traffic over VPN connection

iPhone, iPad
  Settings > General > VPN & Device Management > VPN > Add VPN Configuration > Type L2TP
  Server: {name}; Account: {user}; RSA SecurID: off; Password; Secret: the pre-shared key; Send All Traffic: on

Android up to 11 (later ones have IKEv2 only)
  Settings > Network & internet > VPN > + > Type L2TP/IPSec PSK
  Server address: {name}; L2TP secret and IPSec identifier: empty; IPSec pre-shared key; then {user} and the password
  Android 10 and older offer MODP-1024 only: policy = ["compatible", "legacy-android"] allows it.

ChromeOS
  Settings > Network > Add connection > Add built-in VPN > L2TP/IPsec
  Server hostname: {name}; Authentication type: Pre-shared key; Username: {user}

Linux with NetworkManager (package network-manager-l2tp)
  Settings > Network > VPN > + > Layer 2 Tunneling Protocol (L2TP)
  Gateway: {name}; User name: {user}; IPsec Settings: Enable IPsec tunnel to L2TP host, Type: Pre-shared key
"#
    )
}

fn with_xauth(name: &str, user: &str) -> String {
    format!(
        r#"
IKEv1 with XAuth (server, pre-shared key, user and password)

iPhone, iPad, macOS
  Add VPN Configuration > Type IPsec or Cisco IPSec; Server: {name}; Account: {user}; Secret: the pre-shared key; Group name: empty

Android up to 11
  Type IPSec Xauth PSK; Server address: {name}; IPSec identifier: empty; IPSec pre-shared key; then {user} and the password
"#
    )
}

fn with_password(name: &str, user: &str, ca: &str) -> String {
    format!(
        r#"
Windows 10, 11 (PowerShell as administrator, with {ca} copied there)
  certutil -addstore -f Root ca.pem
  Add-VpnConnection -Name "{name}" -ServerAddress "{name}" -TunnelType Ikev2 -AuthenticationMethod Eap -EncryptionLevel Required -RememberCredential
  Set-VpnConnectionIPsecConfiguration -ConnectionName "{name}" -EncryptionMethod AES256 -IntegrityCheckMethod SHA256 -DHGroup ECP256 -CipherTransformConstants GCMAES256 -AuthenticationTransformConstants GCMAES256 -PfsGroup None -Force
  Without the last line Windows offers MODP-1024 only ("policy match error"); policy = ["compatible", "legacy-windows-ikev2"] would allow it.

macOS
  open {ca}, add it to the System keychain and set it to "Always Trust" for IPsec
  System Settings > VPN > Add VPN Configuration > IKEv2
  Server address and Remote ID: {name}; Local ID: empty; Authentication: Username, {user}

iPhone, iPad
  send yourself {ca}, install it (Settings > Profile Downloaded), trust it (General > About > Certificate Trust Settings)
  Settings > General > VPN & Device Management > VPN > Add VPN Configuration > Type IKEv2
  Server and Remote ID: {name}; Local ID: empty; User Authentication: Username, {user}

Android 11 and later
  install {ca} as a CA certificate (Settings > Security > Encryption & credentials)
  Settings > Network & internet > VPN > + > Type IKEv2/IPSec MSCHAPv2
  Server address: {name}; IPSec identifier: {user}; IPSec CA certificate: the one installed; Username: {user}

Linux with strongSwan (swanctl): {ca} to /etc/swanctl/x509ca/, and in /etc/swanctl/conf.d/cygnet.conf
  connections {{
    cygnet {{
      remote_addrs = {name}
      vips = 0.0.0.0
      local {{
        auth = eap-mschapv2
        eap_id = {user}
      }}
      remote {{
        auth = pubkey
        id = {name}
      }}
      children {{
        cygnet {{
          remote_ts = 0.0.0.0/0
        }}
      }}
    }}
  }}
  secrets {{
    eap-cygnet {{
      id = {user}
      secret = "PASSWORD"
    }}
  }}
  then: swanctl --load-all && swanctl --initiate --child cygnet
"#
    )
}

fn with_psk(name: &str) -> String {
    format!(
        r#"
With the pre-shared key instead of a user
  Android 11 and later: Type IKEv2/IPSec PSK; Server address: {name}; IPSec identifier: any name; IPSec pre-shared key
  iPhone, iPad, macOS: Type IKEv2; Server and Remote ID: {name}; Local ID: any name; Authentication: None, Shared Secret
  Windows has no IKEv2 with pre-shared keys
"#
    )
}
