# An L2TP/IPsec client on a Linux kernel: IKEv1 by strongSwan or libreswan, L2TP by xl2tpd, PPP by pppd, in a guest.
#
# IMPL        strongswan, libreswan, none (L2TP without IPsec)    IKE, ESP  its proposals
# PPP_AUTH    mschap-v2, chap, pap                                PPP_OPTIONS  more lines for pppd, separated by ;
# L2TP_PORT   the client's UDP port for L2TP, in the traffic selector too
# SWAN_CONN_OPT, SWAN_CHILD_OPT  more lines for strongSwan's connection and child

: "${IMPL:=strongswan}"
: "${PPP_AUTH:=mschap-v2}"
: "${PPP_OPTIONS:=mtu 1400;mru 1400}"
: "${L2TP_PORT:=1701}"
: "${L2TP_PATIENCE:=30}"          # seconds until PPP must be up

# What a careful client does, and what keeps the last words of xl2tpd and pppd from leaving in clear when the SA is gone.
L2TP_BLOCK=(ip xfrm policy update dir out proto udp dport 1701 action block priority 4000000)

l2tp_node() {
  if [ "$IMPL" = libreswan ]; then node "$1" guest "$LAYER"; else node "$1" guest; fi
}

l2tp_needs() {
  need linux.uml xl2tpd pppd swanctl tcpdump tshark nft python3
  [ "$IMPL" != libreswan ] || [ -d "$LAYER" ] || { echo "missing: $LAYER (install-packages.sh)" >&2; exit 77; }
}

# l2tp_up NODE [USER PASSWORD]: IPsec, then L2TP, then PPP.
l2tp_up() {
  local node=$1 user=${2:-$USER1} password=${3:-$PASS1}
  l2tp_configure "$node" "$user" "$password"
  if [ "$IMPL" = none ]; then on "$node" ip xfrm policy flush; else on "$node" "${L2TP_BLOCK[@]}"; fi
  "ipsec_up_$IMPL" "$node" || return 1
  ppp_up "$node"
}

# ppp_up NODE: starts xl2tpd afresh; succeeds when IPCP has ended. What it gave is then in OUT/NODE/ppp.env.
ppp_up() {
  local node=$1
  on "$node" sh -c 'mkdir -p /run/xl2tpd; rm -f /run/ppp-*'
  : >"$OUT/$node/pppd.log"
  daemon "$node" xl2tpd xl2tpd -D -p /run/xl2tpd/pid -C /run/xl2tpd/l2tp-control
  until_ok 10 on "$node" test -p /run/xl2tpd/l2tp-control || return 1
  on "$node" sh -c 'echo "c interop" >/run/xl2tpd/l2tp-control'
  until_ok "$L2TP_PATIENCE" ppp_settled "$node"
  on "$node" cat /run/ppp-up.env | tee "$OUT/$node/ppp.env"
}

# The network is up, or pppd has given up.
ppp_settled() { on "$1" sh -c "test -s /run/ppp-up.env || grep -qE 'Connection terminated|Modem hangup' '$OUT/$1/pppd.log'"; }

l2tp_configure() {
  local node=$1
  shift
  ppp_options "$node" "$@" | put "$node" /etc/ppp/options.interop 600
  put "$node" /etc/xl2tpd/xl2tpd.conf <<CONF
[global]
port = $L2TP_PORT
debug tunnel = yes
debug state = yes
[lac interop]
lns = $SERVER_ADDR
pppoptfile = /etc/ppp/options.interop
length bit = yes
redial = no
CONF
  # Debian's hook rewrites resolv.conf by helper scripts; a record of what IPCP gave is enough here.
  put "$node" /etc/ppp/ip-up 755 <<'HOOK'
#!/bin/sh
env | grep -E '^(DNS[12]|IPLOCAL|IPREMOTE|IFNAME)=' >/run/ppp-up.new
mv /run/ppp-up.new /run/ppp-up.env
HOOK
  printf '#!/bin/sh\ntouch /run/ppp-down\n' | put "$node" /etc/ppp/ip-down 755
  printf '#!/bin/sh\necho "LLLOCAL=$LLLOCAL" >/run/ppp-up6.env\n' | put "$node" /etc/ppp/ipv6-up 755
}

# ppp_options NODE USER PASSWORD: every method but PPP_AUTH is refused.
ppp_options() {
  local method
  for method in pap chap mschap mschap-v2 eap; do
    [ $method = "$PPP_AUTH" ] || echo "refuse-$method"
  done
  cat <<CONF
noauth
nodefaultroute
usepeerdns
noaccomp
nopcomp
noccp
debug
logfile $OUT/$1/pppd.log
name $2
password $3
lcp-echo-interval 10
lcp-echo-failure 4
CONF
  tr ';' '\n' <<<"$PPP_OPTIONS"
}

ipsec_up_none() { true; }
ipsec_down_none() { true; }

ipsec_up_strongswan() {
  local node=$1 rc
  on "$node" test -S /var/run/charon.vici || charon "$node" kernel
  l2tp_swan_config | swan_load "$node" || die "client configuration, see $node/load.log"
  log_mark "$node"
  swan "$node" --initiate --child l2tp --timeout "${CONNECT_TIMEOUT:-20}" >"$OUT/$node/initiate.log"
  rc=$?
  sas "$node" >"$OUT/$node/sas.txt"
  cat "$OUT/$node/initiate.log" "$OUT/$node/sas.txt"
  return $rc
}
ipsec_down_strongswan() { swan "$1" --terminate --ike l2tp --timeout 10; }

l2tp_swan_config() {
  cat <<CONF
connections {
  l2tp {
    version = 1
    proposals = $IKE
    remote_addrs = $SERVER_ADDR
    rekey_time = ${IKE_REKEY:-4h}
    over_time = 60s
    rand_time = 0s
    ${SWAN_CONN_OPT:-}
    local {
      auth = psk
    }
    remote {
      auth = psk
    }
    children {
      l2tp {
        mode = transport
        esp_proposals = $ESP
        local_ts = dynamic[udp/$L2TP_PORT]
        remote_ts = dynamic[udp/1701]
        rekey_time = ${CHILD_REKEY:-1h}
        life_time = 2h
        rand_time = 0s
        ${SWAN_CHILD_OPT:-}
      }
    }
  }
}
secrets {
  ike-1 {
    secret = "$PSK"
  }
}
CONF
}

# l2tp_down NODE: a goodbye. xl2tpd ends while ESP is still up; left running it would send its last words in clear.
l2tp_down() {
  local node=$1
  on "$node" sh -c 'echo "d interop" >/run/xl2tpd/l2tp-control'
  until_ok 10 on "$node" test -e /run/ppp-down || return 1
  daemon_signal "$node" xl2tpd
  until_ok 5 not daemon_alive "$node" xl2tpd
}

l2tp_disconnect() {
  check "$1: L2TP and PPP down" l2tp_down "$1"
  check "$1: IKE SA down" "ipsec_down_$IMPL" "$1"
}

# l2tp_reset NODE [SIGNAL]: no daemon and no SA is left in the client, and with KILL the server is not told.
l2tp_reset() {
  on "$1" sh -c "
    for name in xl2tpd charon pluto; do [ ! -e '$OUT/$1/'\$name.pid ] || kill -${2:-TERM} \$(cat '$OUT/$1/'\$name.pid); done
    for process in /proc/[0-9]*; do [ \"\$(cat \$process/comm)\" != pppd ] || kill -KILL \${process#/proc/}; done
    sleep 1
    rm -rf /run/charon.* /run/xl2tpd /run/pluto /run/ppp-*
    ip xfrm policy flush
    ${L2TP_BLOCK[*]}
    ip xfrm state flush" >>"$OUT/$1/reset.log" 2>&1
}

# ppp_value NODE NAME: what IPCP gave.
ppp_value() { sed -n "s/^$2=//p" "$OUT/$1/ppp.env"; }
ppp_is_up() { on "$1" sh -c 'test -s /run/ppp-up.env && ! test -e /run/ppp-down'; }
ppp_ended() { on "$1" test -e /run/ppp-down; }

# l2tp_route NODE [NETWORK]: that network, or the LAN, through the tunnel.
l2tp_route() { on "$1" ip route replace "${2:-$LAN_NET}" dev "$(ppp_value "$1" IFNAME)"; }

# The session is in the kernel's L2TP, its SA in transport mode.
kernel_carries_l2tp() { on "$1" sh -c 'grep -q . /proc/net/pppol2tp && ip xfrm state | grep -q "mode transport"'; }

# l2tp_numbers NODE: tunnel and session, ours and the peer's, as the client's kernel tells.
l2tp_numbers() { on "$1" grep -oE '\b[0-9A-F]{4}/[0-9A-F]{4}\b' /proc/net/pppol2tp | sort -u | tr '\n' ' '; }

# pppd_log NODE PATTERN
pppd_log() {
  on "$1" sync
  grep -E "$2" "$OUT/$1/pppd.log"
}

# l2tp_connect NODE [USER PASSWORD]: connects and finds what IPCP gave in order.
l2tp_connect() {
  local node=$1
  must "$node: IKEv1, L2TP and PPP up as ${2:-$USER1}" l2tp_up "$@"
  info "$node: $(tr '\n' ' ' <"$OUT/$node/ppp.env")"
  check "$node: address from the pool" in_network "$(ppp_value "$node" IPLOCAL)" "$POOL"
  check "$node: DNS servers by IPCP" test "$(ppp_value "$node" DNS1),$(ppp_value "$node" DNS2)" = "$DNS1,$DNS2"
  check "$node: the kernel carries the session" kernel_carries_l2tp "$node"
  check "$node: route to the LAN" l2tp_route "$node"
  check "$node: ping LAN host" ping_ok "$node" "$LAN_HOST" 10
}

# l2tp_exercise NODE: a packet as big as the session allows, and throughput.
l2tp_exercise() {
  check "$1: ping LAN host with 1372 bytes, unfragmented" ping_ok "$1" "$LAN_HOST" 3 -s 1344 -M do
  check "$1: iperf3 up" iperf_ok "$1" "$LAN_HOST" 1
  check "$1: iperf3 down" iperf_ok "$1" "$LAN_HOST" 1 -R
}
