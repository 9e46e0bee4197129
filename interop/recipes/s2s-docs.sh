#!/bin/bash
# The configurations of docs/site-to-site.md as they stand, and those that `cygnet site export` prints: with a pre-shared key, with
# the certificates that the page makes.
#
# PEER=strongswan|libreswan
. "$(dirname "$0")/../lab/lab.sh"

: "${PEER:=strongswan}"
ROLE=site STACK=guest AUTH=psk
lab_main
need linux.uml swanctl openssl tcpdump tshark nft python3
server_load
[ "$SERVER" = cygnet ] || die "the page is about Cygnet"
[ "$PEER" != libreswan ] || [ -d "$LAYER" ] || { echo "missing: $LAYER (install-packages.sh)" >&2; exit 77; }
PAGE=$INTEROP/../docs/site-to-site.md

# page TITLE: the block of the page with that title.
page() {
  sed -n "/^\`\`\`[a-z]* title=$1\$/,/^\`\`\`\$/p" "$PAGE" | sed '1d;$d' | tee "$OUT/page-$1"
  [ -s "$OUT/page-$1" ] || die "the page has no block $1"
}

# In place of the driver's own. The places are given only because rows run side by side.
cygnet_configure() {
  mkdir -p "$OUT/srv/state"
  (umask 077; { page "$OURS"; cygnet_places srv; } >"$OUT/srv/cygnet.toml")
}

both_ways() {
  must "$1: the tunnel is up" until_ok 40 tunnel_is_up
  check "$1: cygnet status says so" until_ok 5 prints '^berlin +up ' cygnet status
  site_pings 3
}
tunnel_is_up() { if [ "$PEER" = strongswan ]; then site_is_up; else libreswan_has_child gw2; fi; }

# as_printed NAME COMMAND...: strongSwan with the configuration that the command prints.
as_printed() {
  local what=$1
  shift
  "$@" >"$OUT/gw2/printed.conf" || die "$what: no configuration"
  put gw2 /etc/swanctl/conf.d/cygnet.conf <"$OUT/gw2/printed.conf"
  echo 'include conf.d/*.conf' | swan_load gw2 || die "$what: strongSwan does not load it, see gw2/load.log"
}

strongswan_parts() {
  charon gw2 kernel
  OURS=cygnet.toml
  server_start
  step "pre-shared key"
  as_printed "the page" page swanctl.conf
  both_ways "the page"
  step "what cygnet site export prints"
  swan gw2 --terminate --ike cygnet >/dev/null
  as_printed "site export" cygnet site export berlin --for strongswan
  both_ways "site export"

  step "certificates"
  page certificates.sh >/dev/null
  mkdir -p "$OUT/made"
  check "the page makes them" sh -c "cd '$OUT/made' && sh -e '$OUT/page-certificates.sh'"
  cp "$OUT"/made/{ca.pem,gw.pem,gw.key} "$OUT/srv/"
  chmod 600 "$OUT/srv/gw.key"
  put gw2 /etc/swanctl/x509ca/ca.pem <"$OUT/made/ca.pem"
  put gw2 /etc/swanctl/x509/client.pem <"$OUT/made/client.pem"
  put gw2 /etc/swanctl/private/client.key 600 <"$OUT/made/client.key"
  OURS=cygnet-cert.toml
  server_restart
  as_printed "the page" page swanctl-cert.conf
  both_ways "the page, certificates"
}

libreswan_parts() {
  libreswan_prepare gw2
  page ipsec.secrets | put gw2 /etc/ipsec.secrets 600
  page ipsec.conf | put gw2 /etc/ipsec.conf
  pluto_start gw2
  OURS=cygnet.toml
  server_start
  step "pre-shared key"
  on gw2 ipsec addconn --config /etc/ipsec.conf --ctlsocket /run/pluto/pluto.ctl cygnet-berlin >"$OUT/gw2/addconn.log" 2>&1
  both_ways "the page"
}

step "topology: PEER=$PEER"
topology
if [ "$PEER" = strongswan ]; then site_topology guest; else site_topology guest "$LAYER"; fi
site_start
"${PEER}_parts"

step "the end"
check "cygnet down" cygnet down berlin
check "the peer knows" until_ok 10 not tunnel_is_up
wire_check esp 10 --restarted
finish
