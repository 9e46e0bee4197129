# The standard topology. Server and clients are on different outer networks, routed by `wan`.
#
#                       wan: bridge and router, 203.0.113.254 / 198.51.100.254 / 192.0.2.254
#   srv 203.0.113.1 ----+---- c1 198.51.100.10                  (direct client)
#   |                   +---- nat1 198.51.100.51 -- home1 192.168.1.0/24 -- c1 .10
#   lan0 10.77.0.0/24   +---- nat2 198.51.100.52 -- home2 192.168.1.0/24      (on demand)
#   |    10.78.0.0/24   +---- web 192.0.2.10                    (a host of the internet, on demand)
#   lan 10.77.0.10, 10.78.0.10
#
# IPv6 everywhere but behind the NAT routers and at `web`. Captures: wan.pcap at the server's WAN port, lan.pcap at the LAN host.

# topology: declares wan, srv, lan0 and lan. Then declare the clients, then call topology_start CLIENT...
topology() {
  segment wan
  segment lan0
  wan_router
  node srv "$srv_kind"
  node lan bare
  "${SERVER_NIC:-server_nic}"
  nic srv eth1 lan0 "$LAN_GW/24,$LAN_GW2/24,$LAN_GW6/64"
  nic lan eth0 lan0 "$LAN_HOST/24,$LAN_HOST2/24,$LAN_HOST6/64" "$LAN_GW,$LAN_GW6"
  if [ -z "${srv_forwards:-}" ]; then
    echo 'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1' >>"$OUT/srv/net.sh"
  fi
}

# Where the server is plugged in; a recipe with a router before it names its own function in SERVER_NIC.
server_nic() { nic srv eth0 wan "$SERVER_ADDR/24,$SERVER_ADDR6/64" "$WAN_GW,$WAN_GW6" "$WAN_MTU"; }

wan_router() {
  ns wan ip link set br0 mtu "$WAN_MTU"
  ns wan ip addr add "$WAN_GW/24" dev br0
  ns wan ip addr add "$CLIENT_GW/24" dev br0
  ns wan ip addr add "$WEB_GW/24" dev br0
  ns wan ip addr add "$WAN_GW6/64" dev br0 nodad
  ns wan ip addr add "$CLIENT_GW6/64" dev br0 nodad
  ns wan sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
    net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.br0.send_redirects=0
}

# wan_narrow MTU: the router in the middle has no larger one, and says so (RFC 1191). Links at both ends still have theirs.
wan_narrow() {
  local network
  for network in "${SERVER_ADDR%.*}" "${CLIENT_ADDR%.*}"; do
    ns wan ip route replace "$network.0/24" dev br0 src "$network.254" mtu lock "$1"
  done
}

topology_start() {
  node_start lan srv "$@"
  ns lan iperf3 -s -D -I "$OUT/lan/iperf3.pid" --logfile "$OUT/lan/iperf3.log"
  capture wan wan "${WAN_PORT:-srv-eth0}"
  capture lan lan0 lan-eth0
}

# nat_router [NUMBER]: nat1 with the network home1 behind it; every home has the same addresses.
nat_router() {
  local router=nat${1:-1} home=home${1:-1} outer=NAT${1:-1}_ADDR
  segment "$home"
  node "$router" bare
  nic "$router" eth0 wan "${!outer}/24" "$CLIENT_GW" "$WAN_MTU"
  nic "$router" eth1 "$home" "$HOME_NET.1/24"
  node_start "$router"
  ns "$router" sysctl -qw net.ipv4.ip_forward=1
  ns "$router" nft -f - <<RULES || die "translation in $router"
table ip nat {
  chain post {
    type nat hook postrouting priority 100
    oifname eth0 masquerade ${NAT_FLAGS:-}
  }
}
RULES
}

# web_serves FOLDER: that host serves the folder by HTTP; what was asked for is in OUT/web/http.log.
web_serves() {
  daemon web http python3 -u -m http.server --bind "$WEB_HOST" --directory "$1" 80
  until_ok 5 web_listens
}
web_listens() { on web ss -ltnH 'sport = :80' | grep -q .; }
web_silent() { daemon_signal web http; until_ok 5 not daemon_alive web http; }

# static_nat ROUTER SEGMENT INSIDE_NET OUTER_ADDR/LEN GATEWAY INNER_ADDR: a router that translates all of one address to one
# host behind it, both ways, as clouds do. INSIDE_NET: the first three numbers; the router is .1 there.
static_nat() {
  local router=$1 segment=$2 inside=$3 outer=$4 gateway=$5 inner=$6
  segment "$segment"
  node "$router" bare
  nic "$router" eth0 wan "$outer" "$gateway" "$WAN_MTU"
  nic "$router" eth1 "$segment" "$inside.1/24"
  node_start "$router"
  ns "$router" sysctl -qw net.ipv4.ip_forward=1
  ns "$router" nft -f - <<RULES || die "translation in $router"
table ip nat {
  chain pre {
    type nat hook prerouting priority -100
    iifname eth0 ip daddr ${outer%/*} dnat to $inner
  }
  chain post {
    type nat hook postrouting priority 100
    oifname eth0 ip saddr $inner snat to ${outer%/*}
  }
}
RULES
}

# web_host: a host of the internet that tells who asks.
web_host() {
  node web bare
  nic web eth0 wan "$WEB_HOST/24" "$WEB_GW" "$WAN_MTU"
  node_start web
}
