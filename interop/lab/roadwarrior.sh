# A strongSwan client with a virtual address: configuration, connecting, questions.
#
# IKE, ESP: its proposals. STACK: libipsec or guest. CLIENT_TS: what it wants to reach. SWAN_CONN_OPT, SWAN_CHILD_OPT:
# more lines for the connection and the child. CLIENT_WANTS_ID: whom it wants, if not SERVER_ID; CLIENT_REMOTE_AUTH: how that one must
# prove itself, if not by certificate. CHILD_REKEY, IKE_REKEY, DPD_DELAY: its timers.

# client_node NODE: a node of the kind that STACK needs.
client_node() {
  if [ "$STACK" = guest ]; then node "$1" guest; else node "$1" plain; fi
}

# client_up NODE [USER PASSWORD]: writes swanctl.conf, starts charon unless it runs, connects.
client_up() {
  client_configure "$@"
  client_initiate "$1"
}

client_configure() {
  local node=$1 user=${2:-$USER1} password=${3:-$PASS1} stack=libipsec
  [ "$STACK" != guest ] || stack=kernel
  [ "$AUTH" = psk ] || pki_put "$node" client
  on "$node" test -S /var/run/charon.vici || charon "$node" "$stack"
  client_config "$user" "$password" | swan_load "$node" || die "client configuration, see $node/load.log"
}

client_initiate() {
  local node=$1 rc
  log_mark "$node"
  swan "$node" --initiate --child net --timeout "${CONNECT_TIMEOUT:-25}" >"$OUT/$node/initiate.log"
  rc=$?
  sas "$node" >"$OUT/$node/sas.txt"
  cat "$OUT/$node/initiate.log" "$OUT/$node/sas.txt"
  return $rc
}

# client_local USER: how the client proves itself.
client_local() {
  case $AUTH in
    psk) printf 'auth = psk\n      id = %s' "$CLIENT_ID" ;;
    cert) printf 'auth = pubkey\n      certs = client.pem\n      id = %s' "$CLIENT_ID" ;;
    eap-tls) printf 'auth = eap-tls\n      certs = client.pem\n      id = %s' "$CLIENT_ID" ;;
    eap-*) printf 'auth = %s\n      id = %s\n      eap_id = %s' "$AUTH" "$1" "$1" ;;
    *) die "AUTH=$AUTH" ;;
  esac
}

client_config() {
  local user=$1 password=$2 remote=${CLIENT_REMOTE_AUTH:-pubkey}
  [ "$AUTH" != psk ] || remote=psk
  cat <<CONF
connections {
  rw {
    version = 2
    proposals = $IKE
    remote_addrs = $(server_outer)
    vips = ${CLIENT_VIPS:-0.0.0.0,::}
    send_cert = always
    dpd_delay = ${DPD_DELAY:-10s}
    rekey_time = ${IKE_REKEY:-4h}
    over_time = ${IKE_OVER:-60s}
    rand_time = 0s
    mobike = ${CLIENT_MOBIKE:-no}
    ${SWAN_CONN_OPT:-}
    local {
      $(client_local "$user")
    }
    remote {
      auth = $remote
      id = ${CLIENT_WANTS_ID:-$SERVER_ID}
    }
    children {
      net {
        remote_ts = ${CLIENT_TS:-$LAN_NET,$LAN_NET6}
        esp_proposals = $ESP
        rekey_time = ${CHILD_REKEY:-1h}
        life_time = 2h
        rand_time = 0s
        ${SWAN_CHILD_OPT:-}
      }
      net2 {
        remote_ts = $LAN_NET2
        esp_proposals = ${ESP2:-$ESP-x25519}
      }
    }
  }
}
secrets {
  ike-1 {
    secret = "$PSK"
  }
  eap-1 {
    id = $user
    secret = "$password"
  }
  ppk-1 {
    id = $PPK_ID
    secret = 0x$PPK_SECRET
  }
}
CONF
}

# client_address NODE 4|6: its virtual address, as of the last client_up.
client_address() {
  sed -n 's/^  local  .*\[[0-9]*\] \[\(.*\)\]$/\1/p' "$OUT/$1/sas.txt" | tr ' ' '\n' \
    | if [ "$2" = 6 ]; then grep :; else grep -v :; fi
}

client_describe() {
  info "$1: $(grep -E '^  (AES|CHACHA)|^  net:' "$OUT/$1/sas.txt" | tr -s ' ' | tr '\n' ';')"
  info "$1: virtual $(client_address "$1" 4) $(client_address "$1" 6)  dns $(on "$1" awk '{ printf $2" " }' /etc/resolv.interop)"
}

has_dns() { on "$1" grep -q "$DNS1" /etc/resolv.interop && on "$1" grep -q "$DNS2" /etc/resolv.interop; }

# client_down NODE: by DELETE, answered by the server.
client_down() {
  local rc
  swan "$1" --terminate --ike rw --timeout 15
  rc=$?
  sleep 0.3
  return $rc
}

# client_reset NODE: no SA and no certificate is left, the next client_up starts afresh.
client_reset() {
  charon_end "$1"
  on "$1" sh -c 'rm -f /etc/swanctl/x509/* /etc/swanctl/private/* /etc/swanctl/x509ca/*'
}

# disconnect NODE: the end of most recipes.
disconnect() {
  check "$1: IKE SA deleted, the server answers" client_down "$1"
  check "$1: no SA left" no_ike_sa "$1"
}
