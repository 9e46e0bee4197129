# A second Cygnet as the peer of a site: gw2, a bare node, with the configuration of srv seen from the other side.
# Needs the driver `cygnet`. PEER_START: who opens the tunnel, as SRV_START; PEER_SITE: more lines of [site.peer], separated by ;

cygnet_peer_start() {
  [ "$SERVER" = cygnet ] || die "only Cygnet has a Cygnet as its peer"
  [ "$AUTH" = psk ] || pki_make
  mkdir -p "$SOCKETS"
  cygnet_secrets gw2
  { cygnet_mirrored; cygnet_places gw2; } >"$OUT/gw2/cygnet.toml"
  cygnet_at gw2 check >>"$OUT/gw2/check.log" 2>&1 || { cat "$OUT/gw2/check.log"; die "configuration of gw2, see gw2/check.log"; }
  ip netns exec "${PREFIX}gw2" "$CYGNET" --config "$OUT/gw2/cygnet.toml" run >>"$OUT/gw2/server.log" 2>&1 </dev/null &
  echo $! >"$OUT/gw2/server.pid"
  until_ok 30 cygnet_at gw2 status --json || die "gw2 did not start, see gw2/server.log"
}

# The two ends change places.
cygnet_mirrored() (
  own=$SERVER_ID
  SERVER_ID=$CLIENT_ID CLIENT_ID=$own SRV_PEER=$SERVER_ADDR SRV_START=${PEER_START:-passive} SRV_SITE=${PEER_SITE:-}
  OWN=client OTHER=server
  IFS=' ' read -r LAN_NET LAN_NET6 LAN_NET2 FAR_NET FAR_NET6 FAR_NET2 <<<"$FAR_NET $FAR_NET6 $FAR_NET2 $LAN_NET $LAN_NET6 $LAN_NET2"
  cygnet_site
)

# cygnet_peer_stop [SIGNAL]: in peace, or not.
cygnet_peer_stop() {
  local pid
  pid=$(cat "$OUT/gw2/server.pid")
  kill "-${1:-TERM}" "$pid"
  until_ok 10 not kill -0 "$pid"
}

cygnet_both_up() { cygnet_site_is srv UP && cygnet_site_is gw2 UP; }
