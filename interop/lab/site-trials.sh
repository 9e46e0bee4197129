# Trials of a tunnel between two sites, up and quiet. Each is site_trial_NAME.

site_trial_iperf() {
  check "iperf3 from the far LAN" iperf_ok far "$LAN_HOST" 1
  check "iperf3 from the far LAN, the other way" iperf_ok far "$LAN_HOST" 1 -R
  check "iperf3 to the far LAN" iperf_ok lan "$FAR_HOST" 1
  check "iperf3 to the far LAN, the other way" iperf_ok lan "$FAR_HOST" 1 -R
}

site_trial_v6() {
  check "ping by IPv6 from the far LAN" ping_ok far "$LAN_HOST6" 5
  check "ping by IPv6 to the far LAN" ping_ok lan "$FAR_HOST6" 5
}

site_trial_big() {
  check "ping with 1300 bytes from the far LAN" ping_ok far "$LAN_HOST" 5 -s 1300
  check "ping with 4000 bytes to the far LAN" ping_ok lan "$FAR_HOST" 5 -s 4000
}

# Both kinds of SA made anew by the peer, then by the server, while pings run both ways.
site_trial_peerrekey() {
  site_rekey peerrekey-child child_sa swan gw2 --rekey --child net
  site_rekey peerrekey-ike ike_sa swan gw2 --rekey --ike site
}
site_trial_serverrekey() {
  site_rekey serverrekey-child child_sa srv_rekey_child
  site_rekey serverrekey-ike ike_sa srv_rekey_ike
}
site_rekey() {
  local what=$1 current=$2 old
  shift 2
  old=$($current gw2)
  site_pings_start "$what"
  sleep 1
  check "$what accepted" "$@"
  check "$what: new SA (was $old)" until_ok 10 changed "$current" gw2 "$old"
  sleep 1.5
  site_pings_end "$what" 0
}

# Rekeying by time: both sides have lifetimes of a few seconds (CHILD_REKEY, IKE_REKEY, SRV_CHILD_REKEY, SRV_IKE_REKEY).
site_trial_timerekey() {
  local child ike
  child=$(child_sa gw2) ike=$(ike_sa gw2)
  site_pings_start timerekey
  sleep "${TIMEREKEY_SECONDS:-20}"
  check "Child SA was rekeyed by time" changed child_sa gw2 "$child"
  check "IKE SA was rekeyed by time" changed ike_sa gw2 "$ike"
  site_pings_end timerekey 0
  on gw2 sync
  info "Child SAs made: $(on gw2 grep -c 'CHILD_SA net.* established' "$OUT/gw2/charon.log")," \
    "IKE SAs rekeyed: $(on gw2 grep -c 'IKE_SA site.* rekeyed between' "$OUT/gw2/charon.log")"
  check "one tunnel is left" until_ok 10 one_tunnel
}
one_tunnel() { [ "$(sas gw2 | grep -c ESTABLISHED)" = 1 ] && [ "$(sas gw2 | grep -c INSTALLED)" = 1 ]; }

# Both ends demand a post-quantum key (RFC 8784).
site_trial_ppk() {
  on gw2 sync
  check "the keys have the post-quantum key in them" on gw2 grep -q 'using PPK for' "$OUT/gw2/charon.log"
}

# The peer dies without a word and comes back from the same address and port (INITIAL_CONTACT).
site_trial_crash() {
  peer_crash
  peer_start
  check "the peer comes back after a crash" peer_initiate
  check "ping from the far LAN" ping_ok far "$LAN_HOST" 5
}
peer_crash() {
  charon_end gw2 KILL
  on gw2 sh -c 'ip xfrm state flush; ip xfrm policy flush; ip link del ipsec0' >/dev/null 2>&1
}
