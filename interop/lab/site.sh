# Sites: a gateway `gw2` with networks of its own behind it, towards the server. All one connection `site`, one child `net`.
#
#   lan (LAN_HOST) -- srv ==== wan ==== gw2 -- far (FAR_HOST)
#
# IKE, ESP, CHILD_REKEY, IKE_REKEY, DPD_DELAY, SWAN_CONN_OPT, SWAN_CHILD_OPT: as for a road warrior (roadwarrior.sh).

# site_topology KIND [LAYER]: after `topology`; gw2 on the WAN and a host behind it. SITE_GATEWAY_NIC: where gw2 is plugged in,
# if not into the WAN.
site_topology() {
  segment lan2
  node gw2 "$@"
  node far bare
  "${SITE_GATEWAY_NIC:-site_gateway_nic}"
  nic gw2 eth1 lan2 "$FAR_GW/24,$FAR_GW2/24,$FAR_GW6/64"
  nic far eth0 lan2 "$FAR_HOST/24,$FAR_HOST2/24,$FAR_HOST6/64" "$FAR_GW,$FAR_GW6"
  echo 'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1' >>"$OUT/gw2/net.sh"
}
site_gateway_nic() { nic gw2 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW" "$WAN_MTU"; }

# The kind of gw2 that STACK asks for, and the ESP of its charon.
site_kind()  { if [ "$STACK" = guest ]; then echo guest; else echo plain; fi; }
site_stack() { if [ "$STACK" = guest ]; then echo kernel; else echo libipsec; fi; }

# site_start: topology is declared; starts it, with a throughput server at the far host.
site_start() {
  topology_start gw2 far
  ns far iperf3 -s -D -I "$OUT/far/iperf3.pid" --logfile "$OUT/far/iperf3.log"
}

# peer_start: charon in gw2 with the connection to the server.
peer_start() {
  [ "$AUTH" = psk ] || { pki_make; pki_put gw2 client; }
  charon gw2 "$(site_stack)"
  peer_config | swan_load gw2 || die "configuration of the peer, see gw2/load.log"
  log_mark gw2
}

peer_config() {
  cat <<CONF
connections {
  site {
    version = 2
    proposals = $IKE
    local_addrs = ${PEER_LOCAL:-$CLIENT_ADDR}
    remote_addrs = ${PEER_REMOTE:-$SERVER_ADDR}
    send_cert = always
    rekey_time = ${IKE_REKEY:-4h}
    over_time = 60s
    rand_time = 0s
    dpd_delay = ${DPD_DELAY:-10s}
    ${SWAN_CONN_OPT:-}
    local {
      $(swan_end client client)
      $(peer_id)
    }
    remote {
      $(swan_end client server)
      id = $SERVER_ID
    }
    children {
      $(peer_children)
    }
  }
}
secrets {
  ike-1 {
    secret = "$PSK"
  }
  ppk-1 {
    id = $PPK_ID
    secret = 0x$PPK_SECRET
  }
}
CONF
}

# What the peer calls itself. PEER_ID=subject: nothing, then strongSwan takes the subject of its certificate.
peer_id() { [ "${PEER_ID:-name}" = subject ] || echo "id = $CLIENT_ID"; }

# swan_end OURS NAME: how NAME, server or client, proves itself, in the words of strongSwan; OURS is who writes this.
swan_end() {
  case $AUTH:$([ "$1" = "$2" ] && echo own || echo other) in
    psk:*) echo 'auth = psk' ;;
    cert:own) printf 'auth = pubkey\n      certs = %s.pem\n' "$2" ;;
    cert:other) echo 'auth = pubkey' ;;
    split:*)
      if [ "$2" = server ]; then AUTH=cert swan_end "$1" "$2"; else AUTH=psk swan_end "$1" "$2"; fi ;;
    rawkey:*) printf 'auth = pubkey\n      pubkeys = %s.pub\n' "$2" ;;
    *) die "AUTH=$AUTH" ;;
  esac
}

# PEER_TS: what the peer claims to have behind it. A recipe with other networks defines its own.
peer_children() { peer_child net "${PEER_TS:-$FAR_NET,$FAR_NET6}" "$LAN_NET,$LAN_NET6"; }

# peer_child NAME LOCAL_TS REMOTE_TS
peer_child() {
  cat <<CONF
$1 {
        local_ts = $2
        remote_ts = $3
        esp_proposals = $ESP
        rekey_time = ${CHILD_REKEY:-1h}
        life_time = ${CHILD_LIFE:-2h}
        rand_time = 0s
        ${SWAN_CHILD_OPT:-}
      }
CONF
}

# peer_initiate [CHILD]
peer_initiate() {
  swan gw2 --initiate --child "${1:-net}" --timeout "${CONNECT_TIMEOUT:-20}" >"$OUT/gw2/initiate.log"
  local rc=$?
  cat "$OUT/gw2/initiate.log"
  return $rc
}
site_is_up() { sas gw2 | grep -q INSTALLED; }

# tunnel_up peer|server|traffic: who opens it. Traffic is a ping from the LAN: the packet that opens it is not lost.
tunnel_up() {
  case $1 in
    peer) must "the peer opens the tunnel" peer_initiate ;;
    server) must "the server opens the tunnel" srv_initiate ;;
    traffic)
      trigger_ping
      [ -n "${srv_loses_first:-}" ] || check "the packet that opened it was not lost" first_ping_answered ;;
  esac
  must "the tunnel is up" until_ok 10 site_is_up
  sas gw2 >"$OUT/gw2/sas.txt"
  info "$(grep -E '^  (AES|CHACHA)|^  net:' "$OUT/gw2/sas.txt" | tr -s ' ' | tr '\n' ';')"
}
trigger_ping() { ns lan ping -n -c 8 -i 0.5 -W 15 -p "$MARK" "$FAR_HOST" >"$OUT/lan/trigger.log" 2>&1; }
first_ping_answered() { cat "$OUT/lan/trigger.log"; grep -q 'icmp_seq=1 ' "$OUT/lan/trigger.log"; }

# Both directions, each begun by the host that sends first.
site_pings() {
  check "ping from the far LAN" ping_ok far "$LAN_HOST" "${1:-5}"
  check "ping to the far LAN" ping_ok lan "$FAR_HOST" "${1:-5}"
}

# site_pings_start NAME, site_pings_end NAME LOST: pings from both sides meanwhile.
site_pings_start() {
  ping_start far "$LAN_HOST" "$1-in"
  ping_start lan "$FAR_HOST" "$1-out"
}
site_pings_end() {
  local what="no ping"
  [ "$2" = 0 ] || what="at most $2 pings"
  check "$1: $what lost from the far LAN" ping_end far "$1-in" "$2"
  check "$1: $what lost to the far LAN" ping_end lan "$1-out" "$2"
}

# peer_disconnect: the end of most recipes.
peer_disconnect() {
  check "the peer deletes the IKE SA, the server answers" swan gw2 --terminate --ike site --timeout 15
  check "no SA left at the peer" no_ike_sa gw2
}

# site_form: how ESP must travel.
site_form() { if [ "$STACK" = libipsec ] || [ "$SRV_ENCAP" = yes ] || [ "${srv_wire:-}" = udp ]; then echo udp; else echo esp; fi; }
