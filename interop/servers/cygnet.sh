# The server under test: the cygnet binary ($CYGNET), in the namespace of node srv, with the file system of the host.
# Its configuration, secrets and state are in OUT/srv. The control socket is in SOCKETS: a socket has a short name.

srv_kind=bare srv_forwards=yes
OWN=server OTHER=client     # whose keys are ours in OUT/pki, and whose the peer's
# IKEv1 peers are asked for UDP encapsulation also where there is no NAT.
case $ROLE in l2tp | both | xauth) srv_wire=udp ;; esac

srv_start() {
  [ -x "$CYGNET" ] || die "there is no $CYGNET; build it with: cargo build --release -p cygnet-server"
  mkdir -p "$SOCKETS"
  cygnet_configure || return 1
  cygnet check >>"$OUT/srv/check.log" 2>&1 || { cat "$OUT/srv/check.log"; return 1; }
  ip netns exec "${PREFIX}srv" "$CYGNET" --config "$OUT/srv/cygnet.toml" run >>"$OUT/srv/server.log" 2>&1 </dev/null &
  echo $! >"$OUT/srv/server.pid"
}

# Writes OUT/srv/cygnet.toml and what it names.
cygnet_configure() {
  [ "$AUTH" = psk ] || pki_make
  cygnet_secrets srv
  { cygnet_config; cygnet_places srv; } >"$OUT/srv/cygnet.toml"
}

# cygnet COMMAND...: the binary as a command, towards the server of the run; cygnet_at NODE: towards the one in that node.
cygnet() { cygnet_at srv "$@"; }
cygnet_at() {
  local node=$1
  shift
  ns "$node" "$CYGNET" --config "$OUT/$node/cygnet.toml" "$@"
}

# In peace means: within ten seconds, and with exit status 0.
srv_stop() {
  local pid
  pid=$(cat "$OUT/srv/server.pid")
  kill -TERM "$pid"
  until_ok 10 not srv_alive || { kill -KILL "$pid"; return 1; }
  wait "$pid"
}

srv_kill()  { kill -KILL "$(cat "$OUT/srv/server.pid")"; }
srv_alive() { kill -0 "$(cat "$OUT/srv/server.pid")"; }
srv_ready() { server_listens && cygnet status --json >/dev/null; }

srv_idle() {
  cygnet status
  cygnet status --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
sys.exit(len(status["sessions"]) != 0 or any(s["state"] == "UP" for s in status["sites"]))'
}

# A command ends when the tunnel is up, the keys are new, or with the reason why not.
srv_initiate()    { cygnet up peer; }
srv_rekey_child() { cygnet rekey peer; }
srv_rekey_ike()   { cygnet rekey peer --ike; }

# cygnet_site_is NODE STATE: UP, CONNECTING, WAITING, DOWN, STOPPED.
cygnet_site_is() {
  cygnet_at "$1" status --json | python3 -c '
import json, sys
sites = json.load(sys.stdin)["sites"]
print(json.dumps(sites))
sys.exit(not any(s["name"] == "peer" and s["state"] == sys.argv[1] for s in sites))' "$2"
}

# srv_has_session USER ADDRESS VIA: a session of that user, from that address, by that protocol (ikev2, l2tp, xauth).
srv_has_session() {
  cygnet status --json | python3 -c '
import json, sys
user, address, via = sys.argv[1:]
sessions = json.load(sys.stdin)["sessions"]
print(json.dumps(sessions))
sys.exit(not any(s["user"] == user and s["from"].startswith(address + ":") and s["via"] == via for s in sessions))' "$@"
}

srv_sessions() { cygnet status --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["sessions"]))'; }

srv_explains() { true; }
srv_explain()  { cygnet explain "$1" --limit "${EXPLAIN_LAST:-1}"; }

# cygnet_secrets NODE: files with secrets are readable for nobody else.
cygnet_secrets() {
  (
    umask 077
    mkdir -p "$OUT/$1/state"
    printf '%s\n' "$PSK" >"$OUT/$1/psk"
    : >"$OUT/$1/cygnet.toml"
  )
  [ "$AUTH" = psk ] || chmod 600 "$OUT/pki/server.key" "$OUT/pki/client.key"
}

# quoted WORD...: a TOML array.
quoted() {
  local word list=
  for word; do list+="${list:+, }\"$word\""; done
  echo "[$list]"
}

cygnet_config() {
  if [ "$ROLE" = site ]; then cygnet_site; else cygnet_remote; fi
}

cygnet_remote() {
  local networks=("$LAN_NET" "$LAN_NET2" "$LAN_NET6")
  echo "[remote]"
  echo "name = \"$SERVER_ID\""
  echo "pool = $(quoted "$POOL" $SRV_POOL2 "$POOL6")"
  echo "dns = $(quoted "$DNS1" "$DNS2")"
  echo "nat = $([ "$SRV_NAT" = yes ] && echo true || echo false)"
  echo "client_to_client = $([ "$SRV_CLIENT_TO_CLIENT" = yes ] && echo true || echo false)"
  [ "$SRV_ROUTES" = all ] || echo "routes = $(quoted "${networks[@]}")"
  [ -z "$SRV_ESP" ] || echo "esp = $(quoted ${SRV_ESP//,/ })"
  [ -z "$SRV_POLICY" ] || echo "policy = $(quoted ${SRV_POLICY//,/ })"
  [ -z "$SRV_CRL" ] || echo "crl = \"$SRV_CRL\""
  [ -z "$SRV_CRL_FILE" ] || echo "crl_files = [\"../pki/$SRV_CRL_FILE\"]"
  [ -z "$SRV_UNIQUE" ] || echo "unique = \"$SRV_UNIQUE\""
  [ -z "${SRV_LIVENESS:-}" ] || echo "liveness = \"$SRV_LIVENESS\""
  [ -z "$SRV_REAUTH" ] || echo "reauth = \"$SRV_REAUTH\""
  cygnet_protocols
  cygnet_logins
  [ -z "$SRV_REMOTE" ] || tr ';' '\n' <<<"$SRV_REMOTE"
  cygnet_groups
  cygnet_ppk
  cygnet_users
}

# The tunnel to gw2, see lab/site.sh.
cygnet_site() {
  cat <<CONF
[site.peer]
peer = "${SRV_PEER:-$CLIENT_ADDR}"
id = "$SERVER_ID"
peer_id = "${SRV_PEER_ID:-$CLIENT_ID}"
start = "$SRV_START"
CONF
  cygnet_site_auth
  [ -z "$SRV_ESP" ] || echo "esp = $(quoted ${SRV_ESP//,/ })"
  [ -z "$SRV_CHILD_REKEY" ] || echo "child_lifetime = \"$SRV_CHILD_REKEY\""
  [ -z "$SRV_IKE_REKEY" ] || echo "ike_lifetime = \"$SRV_IKE_REKEY\""
  [ -z "${SRV_LIVENESS:-}" ] || echo "liveness = \"$SRV_LIVENESS\""
  [ -z "$SRV_SITE" ] || tr ';' '\n' <<<"$SRV_SITE"
  cygnet_site_networks
}

cygnet_site_auth() {
  case $AUTH in
    psk) echo 'psk = "file:psk"' ;;
    cert)
      cygnet_own_certificate
      echo 'ca = "../pki/ca.pem"' ;;
    split)
      cygnet_own_certificate
      echo 'psk = "file:psk"' ;;
    rawkey) printf '%s = "../pki/%s"\n' key "$OWN.key" public_key "$OTHER.pub" ;;
    *) die "AUTH=$AUTH" ;;
  esac
}

# Certificate and key, in the form that SRV_KEY_FORM says.
cygnet_own_certificate() {
  case $SRV_KEY_FORM in
    pem) printf 'cert = "../pki/%s.pem"\nkey = "../pki/%s.key"\n' "$OWN" "$OWN" ;;
    pkcs8)
      pki_protected "$OWN"
      printf 'cert = "../pki/%s.pem"\nkey = "../pki/%s.p8"\nkey_password = "%s"\n' "$OWN" "$OWN" "$KEY_PASSWORD" ;;
    p12)
      pki_pkcs12 "$OWN"
      printf 'cert = "../pki/%s.p12"\nkey_password = "%s"\n' "$OWN" "$KEY_PASSWORD" ;;
    *) die "SRV_KEY_FORM=$SRV_KEY_FORM" ;;
  esac
}

# What the tunnel joins; a recipe with other networks defines its own.
cygnet_site_networks() {
  echo "local = $(quoted "$LAN_NET" "$LAN_NET6")"
  echo "remote = $(quoted "$FAR_NET" "$FAR_NET6")"
}

# What the clients of the run speak.
cygnet_protocols() {
  case $ROLE in
    l2tp) echo 'protocols = ["l2tp"]' ;;
    both) echo 'protocols = ["l2tp", "ikev2"]' ;;
    xauth) echo 'protocols = ["xauth"]' ;;
  esac
  case $ROLE in l2tp | both) echo "ppp_auth = $(quoted "$(cygnet_ppp_auth)")" ;; esac
  if [ "$AGGRESSIVE" = yes ]; then echo 'aggressive = true'; fi
}

cygnet_ppp_auth() {
  case $SRV_PPP_AUTH in
    mschap-v2) echo mschapv2 ;;
    chap) echo chap-md5 ;;
    pap) echo pap ;;
    *) die "SRV_PPP_AUTH=$SRV_PPP_AUTH" ;;
  esac
}

# cygnet_places NODE: where state is. Rows run side by side.
cygnet_places() {
  cat <<CONF

[daemon]
state_dir = "$OUT/$1/state"
socket = "$SOCKETS/$1.sock"
users_file = "$OUT/$1/users.toml"

[log]
level = "info,cygnet_ike=debug,cygnet_server=debug"
CONF
}

# Keys of [remote] for the AUTH of the run. Aggressive mode is for the group alone.
cygnet_logins() {
  if [ "$AUTH" = psk ] || [ "$ROLE" = both ]; then
    [ "$AGGRESSIVE" = yes ] || echo 'psk = "file:psk"'
  fi
  [ "${CLIENT_REMOTE_AUTH:-pubkey}" = pubkey ] || echo 'eap_only = true'
  case $AUTH in cert | eap-tls) echo 'ca = "../pki/ca.pem"' ;; esac
  [ "$AUTH" != psk ] || return 0
  cygnet_own_certificate
}

cygnet_groups() {
  [ "$AGGRESSIVE" = yes ] || return 0
  printf '\n[psk]\n"keyid:%s" = "file:psk"\n' "$GROUP"
}

cygnet_ppk() { printf '\n[ppk]\n"%s" = "0x%s"\n' "$PPK_ID" "$PPK_SECRET"; }

# Who has a password; SRV_USERS: more lines of that table, separated by ;
cygnet_users() {
  local devices=
  [ "$ROLE" != roadwarrior ] || [ "$AUTH" = eap-mschapv2 ] || return 0
  [ -z "$SRV_DEVICES" ] || devices=", devices = $SRV_DEVICES"
  printf '\n[users]\n'
  printf '%s = { password = "%s"%s }\n' "$USER1" "$PASS1" "$devices" "$USER2" "$PASS2" "$devices"
  [ -z "$SRV_USERS" ] || tr ';' '\n' <<<"$SRV_USERS"
}
