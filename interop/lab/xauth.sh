# IKEv1 remote access with XAuth and mode config: strongSwan (main mode) or vpnc (aggressive mode, ESP in userspace).
#
# IMPL  strongswan, vpnc    STACK  libipsec, guest (strongSwan only)    IKE, ESP  its proposals    VPNC_DH  dh2, dh5, dh14

xauth_node() {
  if [ "$IMPL" = strongswan ] && [ "$STACK" = guest ]; then node "$1" guest; else node "$1" plain; fi
}

xauth_up_strongswan() {
  local node=$1 rc stack=libipsec
  [ "$STACK" != guest ] || stack=kernel
  charon "$node" $stack
  xauth_swan_config | swan_load "$node" || return 1
  log_mark "$node"
  swan "$node" --initiate --child net --timeout 25 >"$OUT/$node/initiate.log"
  rc=$?
  sas "$node" >"$OUT/$node/sas.txt"
  cat "$OUT/$node/initiate.log" "$OUT/$node/sas.txt"
  return $rc
}
xauth_down_strongswan() { swan "$1" --terminate --ike rw --timeout 10; }
xauth_address_strongswan() { client_address "$1" 4; }
xauth_dns_strongswan() { has_dns "$1"; }

# The connection is called `rw` and the child `net`, as those of IKEv2, so that the same trials fit.
xauth_swan_config() {
  cat <<CONF
connections {
  rw {
    version = 1
    proposals = $IKE
    aggressive = $AGGRESSIVE
    remote_addrs = $SERVER_ADDR
    vips = 0.0.0.0
    dpd_delay = 10s
    local {
      auth = psk
      id = $CLIENT_ID
    }
    local-2 {
      auth = xauth
      xauth_id = $USER1
    }
    remote {
      auth = psk
      id = $SERVER_ID
    }
    children {
      net {
        remote_ts = $LAN_NET
        esp_proposals = $ESP
        rekey_time = 1h
        life_time = 2h
        rand_time = 0s
      }
    }
  }
}
secrets {
  ike-1 {
    secret = "$PSK"
  }
  xauth-1 {
    id = $USER1
    secret = "$PASS1"
  }
}
CONF
}

# vpnc hands everything to a script, which keeps what mode config gave and sets address and route.
xauth_up_vpnc() {
  local node=$1
  put "$node" /etc/vpnc/interop-script 755 <<SCRIPT
#!/bin/sh
case \$reason in
  connect)
    ip link set \$TUNDEV up mtu 1400
    ip addr add \$INTERNAL_IP4_ADDRESS/32 dev \$TUNDEV
    ip route add $LAN_NET dev \$TUNDEV ;;
  disconnect) ip link set \$TUNDEV down ;;
esac
env | sort >/run/vpnc-new
mv /run/vpnc-new /run/vpnc-\$reason.env
SCRIPT
  vpnc_config | put "$node" /etc/vpnc/interop.conf 600
  daemon "$node" vpnc vpnc /etc/vpnc/interop.conf
  until_ok 30 on "$node" test -s /run/vpnc-connect.env || return 1
  on "$node" cat /run/vpnc-connect.env | tee "$OUT/$node/vpnc.env"
}
xauth_down_vpnc() {
  daemon_signal "$1" vpnc
  until_ok 10 on "$1" test -e /run/vpnc-disconnect.env
}
xauth_address_vpnc() { sed -n 's/^INTERNAL_IP4_ADDRESS=//p' "$OUT/$1/vpnc.env"; }
xauth_dns_vpnc() { grep -q "^INTERNAL_IP4_DNS=$DNS1 $DNS2" "$OUT/$1/vpnc.env"; }

vpnc_config() {
  cat <<CONF
IPSec gateway $SERVER_ADDR
IPSec ID $GROUP
IPSec secret $PSK
IKE Authmode psk
IKE DH Group $VPNC_DH
Perfect Forward Secrecy nopfs
NAT Traversal Mode natt
Xauth username $USER1
Xauth password $PASS1
Script /etc/vpnc/interop-script
Pidfile /run/vpnc.pid
Interface name tun0
Interface mode tun
DPD idle timeout (our side) 10
Debug 2
No Detach
CONF
}
