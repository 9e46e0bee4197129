# strongSwan in a node: as client, or as reference server.

# charon NODE libipsec|kernel: writes strongswan.conf and starts the daemon. CHARON_CONF: more lines for section charon.
# TLS: the highest version that EAP-TLS may take.
#
# libipsec is ESP in userspace, always inside UDP. Its plugin must be loaded before kernel-netlink; the marks keep the
# daemon's own packets out of the tunnel that it serves.
charon() {
  local node=$1 kernel=kernel-netlink marks=
  if [ "$2" = libipsec ]; then
    kernel="kernel-libipsec kernel-netlink"
    marks="kernel-netlink {
      fwmark = !0x42
    }
    socket-default {
      fwmark = 0x42
    }
    kernel-libipsec {
      allow_peer_ts = yes
    }"
  fi
  put "$node" /etc/strongswan.conf <<CONF
charon {
  load = random nonce aes sha1 sha2 md5 hmac kdf gcm ccm chapoly curve25519 openssl pem pkcs1 pkcs8 pubkey x509 curl revocation constraints cmac ctr $kernel socket-default vici updown attr resolve eap-identity eap-mschapv2 eap-tls xauth-generic
  install_virtual_ip = yes
  retransmit_timeout = ${CHARON_TIMEOUT:-2.0}
  retransmit_tries = ${CHARON_TRIES:-3}
  tls {
    version_max = ${TLS:-1.2}
  }
  ${CHARON_CONF:-}
  plugins {
    $marks
    resolve {
      file = /etc/resolv.interop
    }
  }
  filelog {
    main {
      path = $OUT/$node/charon.log
      append = yes
      default = 1
      ike = 2
      cfg = 2
      enc = 1
      time_format = %H:%M:%S
      time_add_ms = yes
      flush_line = yes
    }
  }
}
swanctl {
  load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey
}
CONF
  put "$node" /etc/resolv.interop </dev/null
  daemon "$node" charon /usr/lib/ipsec/charon
  until_ok 30 on "$node" test -S /var/run/charon.vici || die "charon in $node did not start"
}

# charon_end NODE [SIGNAL]: also removes what a killed daemon leaves.
charon_end() {
  daemon_signal "$1" charon "${2:-TERM}"
  until_ok 10 not daemon_alive "$1" charon
  on "$1" rm -f /var/run/charon.pid /var/run/charon.vici
}

swan() {
  local node=$1
  shift
  on "$node" swanctl "$@" 2>&1
}

# swan_load NODE: standard input is swanctl.conf.
swan_load() {
  put "$1" /etc/swanctl/swanctl.conf
  swan "$1" --load-all >"$OUT/$1/load.log"
  ! grep -iE 'failed|error|unsupp' "$OUT/$1/load.log"
}

sas() { swan "$1" --list-sas; }
has_ike_sa() { sas "$1" | grep -q ESTABLISHED; }
no_ike_sa()  { ! has_ike_sa "$1"; }

# Number of the newest established IKE SA, and inbound SPI of the newest Child SA.
ike_sa()   { sas "$1" | sed -n 's/^[a-z0-9]*: #\([0-9]*\), ESTABLISHED.*/\1/p' | sort -n | tail -1; }
child_sa() { sas "$1" | sed -n 's/^    in  *\([0-9a-f]*\).*/\1/p' | tail -1; }

# changed FUNCTION NODE OLD: the function prints something, and not OLD.
changed() {
  local now
  now=$("$1" "$2")
  [ -n "$now" ] && [ "$now" != "$3" ]
}

# client_log NODE PATTERN: a line of the client's log since log_mark matches.
log_mark() { LOG_FROM=$(( $(wc -c <"$OUT/$1/charon.log") + 1 )); }
client_log() {
  on "$1" sync
  tail -c "+$LOG_FROM" "$OUT/$1/charon.log" | grep -E "$2"
}
