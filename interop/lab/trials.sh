# Trials: what is done to a connected client. Each is trial_NAME NODE. Attacks are in attacks.sh.

trial_iperf() {
  check "iperf3 up" iperf_ok "$1" "$LAN_HOST" 1
  check "iperf3 down" iperf_ok "$1" "$LAN_HOST" 1 -R
}

trial_big() {
  check "ping with 1300 bytes" ping_ok "$1" "$LAN_HOST" 5 -s 1300
  check "ping with 4000 bytes (inner fragments)" ping_ok "$1" "$LAN_HOST" 5 -s 4000
}

trial_v6() {
  check "virtual IPv6 address from the pool" in_network "$(client_address "$1" 6)" "$POOL6"
  check "ping LAN host by IPv6" ping_ok "$1" "$LAN_HOST6" 5
}

# Both subnets in one Child SA; the client asks for them with CLIENT_TS.
trial_ts2() {
  check "both subnets in the traffic selectors" grep -q "$LAN_NET2" "$OUT/$1/sas.txt"
  check "ping host in the second subnet" ping_ok "$1" "$LAN_HOST2" 5
}

# The client asks for everything and gets what the server offers (RFC 7296 section 2.9).
trial_narrow() {
  check "server narrowed 0.0.0.0/0 to its networks" grep -qE "remote .*$LAN_NET" "$OUT/$1/sas.txt"
  check "0.0.0.0/0 is not among them" not grep -qE 'remote .*0\.0\.0\.0/0' "$OUT/$1/sas.txt"
}

trial_multichild() {
  check "second Child SA by CREATE_CHILD_SA with its own key exchange" swan "$1" --initiate --child net2 --timeout 15
  check "two Child SAs" two_child_sas "$1"
  check "ping with two Child SAs" ping_ok "$1" "$LAN_HOST" 5
  check "ping through the second Child SA" ping_ok "$1" "$LAN_HOST2" 5
}
two_child_sas() { [ "$(sas "$1" | grep -c INSTALLED)" -ge 2 ]; }

# Rekeying by command while pings run; not one may be lost.
trial_childrekey() { rekey_during_pings "$1" childrekey child_sa --child net; }
trial_ikerekey()   { rekey_during_pings "$1" ikerekey ike_sa --ike rw; }
rekey_during_pings() { replaced_during_pings 0 "$@"; }

# replaced_during_pings LOST NODE NAME CURRENT swanctl --rekey OPTIONS...: so many pings may be lost.
replaced_during_pings() {
  local limit=$1 node=$2 what=$3 current=$4 old
  shift 4
  old=$($current "$node")
  ping_start "$node" "$LAN_HOST" "$what"
  sleep 1
  check "$what accepted" swan "$node" --rekey "$@"
  check "$what: new SA (was $old)" until_ok 15 changed "$current" "$node" "$old"
  sleep 2
  check "$what: $([ "$limit" = 0 ] && echo no ping || echo "at most $limit pings") lost" ping_end "$node" "$what" "$limit"
}

# Reauthentication by the client: a new IKE SA from IKE_SA_INIT on. By default strongSwan gives up the old one first, and the pings
# in between are lost; with make_before_break it may lose none. The virtual address stays.
trial_reauth() {
  local address limit=20
  address=$(client_address "$1" 4)
  [[ ${CHARON_CONF:-} != *make_before_break* ]] || limit=0
  replaced_during_pings "$limit" "$1" reauth ike_sa --ike rw --reauth
  check "one IKE SA is left" until_ok 10 one_ike_sa "$1"
  sas "$1" >"$OUT/$1/sas.txt"
  check "the virtual address is still $address" test "$(client_address "$1" 4)" = "$address"
  check "after reauthentication: ping" ping_ok "$1" "$LAN_HOST" 3
}
one_ike_sa() { [ "$(sas "$1" | grep -c '^[a-z0-9]*: #')" = 1 ]; }

# The server limits how long an authentication is good for (SRV_REAUTH, RFC 4478); the client authenticates again in time.
trial_authlifetime() {
  local node=$1 old
  check "the server told AUTH_LIFETIME" client_log "$node" 'AUTH_LIFETIME|AUTH_LFT'
  old=$(ike_sa "$node")
  ping_start "$node" "$LAN_HOST" authlifetime
  check "the client authenticates again by itself" until_ok "$(( ${SRV_REAUTH%s} + 10 ))" changed ike_sa "$node" "$old"
  sleep 2
  check "no ping lost" ping_end "$node" authlifetime 0
  check "one IKE SA is left" until_ok 10 one_ike_sa "$node"
}

# The client's outer address changes in mid-session (RFC 4555). Taking the first address of a network away takes the others
# along, so all go and the new one comes.
trial_mobike() {
  local node=$1 new=${CLIENT_ADDR%.*}.77 gateway=$CLIENT_GW
  [ "$NAT" != 1 ] || new=$HOME_NET.77 gateway=$HOME_NET.1
  ping_start "$node" "$LAN_HOST" mobike
  sleep 1
  on "$node" sh -c "ip -4 addr flush dev eth0; ip addr add $new/24 dev eth0; ip route add default via $gateway"
  check "the IKE SA moved to $new" until_ok 15 ike_sa_at "$node" "$new"
  sleep 2
  check "mobike: at most 50 pings lost" ping_end "$node" mobike 50
  check "after the move: ping" ping_ok "$node" "$LAN_HOST" 5
}
ike_sa_at() { sas "$1" | grep '^  local ' | grep -q "@ $2\["; }

# An IKE SA without a Child SA first (RFC 6023); the client's configuration says `childless = force`.
trial_childless() {
  check "IKE_AUTH carried no Child SA" not grep -qE 'generating IKE_AUTH request [0-9]+ \[.*( SA |TSi)' "$OUT/$1/charon.log"
  check "CREATE_CHILD_SA made it" grep -qE 'generating CREATE_CHILD_SA request [0-9]+ \[.*TSi' "$OUT/$1/charon.log"
}

# The client demands a post-quantum key (RFC 8784).
trial_ppk() { check "the keys have the post-quantum key in them" grep -q 'using PPK for' "$OUT/$1/charon.log"; }

# Rekeying by time: CHILD_REKEY and IKE_REKEY are a few seconds; both sides may start it.
trial_timerekey() {
  local node=$1 child ike
  child=$(child_sa "$node") ike=$(ike_sa "$node")
  ping_start "$node" "$LAN_HOST" timerekey
  sleep "${TIMEREKEY_SECONDS:-15}"
  check "Child SA was rekeyed by time" changed child_sa "$node" "$child"
  check "IKE SA was rekeyed by time" changed ike_sa "$node" "$ike"
  check "timerekey: no ping lost" ping_end "$node" timerekey 0
}

# The NAT router forgets its mappings and picks other ports: the server must follow the client's ESP.
trial_natrebind() {
  local node=$1
  [ "$NAT" = 1 ] || die "natrebind needs NAT=1"
  ping_start "$node" "$LAN_HOST" natrebind
  sleep 1
  nat_rebind || die "new mappings in nat1"
  sleep 4
  check "natrebind: at most 30 pings lost" ping_end "$node" natrebind 30
  check "after the new mapping: ping" ping_ok "$node" "$LAN_HOST" 5
}

# In one transaction: no packet may pass untranslated.
nat_rebind() {
  ns nat1 nft -f - <<'RULES' && ns nat1 conntrack -F 2>/dev/null
flush chain ip nat post
add rule ip nat post oifname eth0 meta l4proto udp masquerade to :20000-20999
RULES
}

# The path goes dark: the client's own liveness check notices; then it connects again although the server may still
# hold the old SA.
trial_dpd() {
  local node=$1
  wan_dark
  check "client notices the dead peer" until_ok 60 no_ike_sa "$node"
  wan_light
  check "connect again" client_initiate "$node"
  check "ping after that" ping_ok "$node" "$LAN_HOST" 5
}

wan_dark() {
  ns wan nft -f - <<'RULES'
table bridge dark {
  chain forward {
    type filter hook forward priority 0
    drop
  }
  chain input {
    type filter hook input priority 0
    drop
  }
}
RULES
}
wan_light() { ns wan nft delete table bridge dark; }

# RSA signatures in their newer form (RFC 8017 section 8.1); CHARON_CONF of the row says `rsa_pss = yes`.
trial_pss() {
  check "the client signs with RSA-PSS" client_log "$1" "authentication of '$CLIENT_ID' \\(myself\\) with RSA_EMSA_PSS"
}

# The client vanishes: the gateway notices (SRV_LIVENESS) and forgets it.
trial_vanish() {
  charon_end "$1" KILL
  check "the gateway notices" until_ok 100 srv_idle
  client_configure "$1"
  check "connect again" client_initiate "$1"
  check "ping after that" ping_ok "$1" "$LAN_HOST" 3
}

# IKE_AUTH in fragments both ways: long certificates, small fragments (CHARON_CONF, SWAN_CONN_OPT of the recipe).
trial_frag() { check "ping after an exchange in fragments" ping_ok "$1" "$LAN_HOST" 3; }

# A narrow path (PATH_MTU): the gateway learns of it, tells hosts whose packets must not be fragmented, and lets the others through.
trial_pmtu() {
  local node=$1 address mtu
  address=$(client_address "$node" 4)
  ns lan ping -n -c 6 -i 0.3 -W 1 -M do -s 1350 "$address" >"$OUT/lan/narrow.log" 2>&1
  mtu=$(sed -n 's/.*Frag.* needed.*mtu = \([0-9]*\).*/\1/p' "$OUT/lan/narrow.log" | tail -1)
  check "a LAN host is told the MTU of the tunnel (${mtu:-not told})" test "${mtu:-9999}" -lt "$PATH_MTU"
  check "a packet of just that size passes unfragmented" ping_ok lan "$address" 3 -M do -s $((${mtu:-9999} - 28))
  check "ping with 1350 bytes to the client" ping_ok lan "$address" 3 -s 1350
  check "ping with 1350 bytes from the client" ping_ok "$node" "$LAN_HOST" 3 -s 1350
  check "ping with 4000 bytes from the client" ping_ok "$node" "$LAN_HOST" 3 -s 4000
  trial_iperf "$node"
}
