//! The steps on each kind of device, printed once after `cygnet init`.

use std::path::Path;

use super::plan::Plan;
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
    if let Some(user) = &plan.user {
        text += &with_password(&plan.name, &user.name, &config.with_file_name("pki/ca.pem").display().to_string());
    }
    if plan.psk.is_some() {
        text += &with_psk(&plan.name);
    }
    text
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
