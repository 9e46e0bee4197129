# Reference: L2TP/IPsec on a Linux kernel in a guest: strongSwan (IKEv1), xl2tpd, pppd.
# What it cannot do: serve two clients behind one NAT address (the kernel cannot tell two peers in transport mode apart);
# serve, within some 100 s, a client that died and comes back from the same address and port (the old kernel tunnel owns
# these); keep each packet while the client makes its SAs anew.

srv_kind=guest srv_rekey_loss=2
: "${CRASH_WAIT:=100}"

srv_start() {
  charon srv kernel
  l2tp_reference_swan | swan_load srv || return 1
  printf '%s * %s *\n%s * %s *\n' "$USER1" "$PASS1" "$USER2" "$PASS2" | tee "$OUT/srv/users" | put srv /etc/ppp/chap-secrets 600
  put srv /etc/ppp/pap-secrets 600 <"$OUT/srv/users"
  l2tp_reference_ppp | put srv /etc/ppp/options.interop
  l2tp_reference_xl2tpd | put srv /etc/xl2tpd/xl2tpd.conf
  echo '#!/bin/sh' | put srv /etc/ppp/ip-up 755
  echo '#!/bin/sh' | put srv /etc/ppp/ip-down 755
  # No L2TP in clear.
  on srv sh -c 'mkdir -p /run/xl2tpd
    ip xfrm policy update dir in proto udp dport 1701 action block priority 4000000
    ip xfrm policy update dir out proto udp sport 1701 action block priority 4000000'
  daemon srv xl2tpd xl2tpd -D -p /run/xl2tpd/pid -C /run/xl2tpd/l2tp-control
}

srv_stop() {
  daemon_signal srv xl2tpd
  charon_end srv
}
srv_kill()  { daemon_signal srv xl2tpd KILL; charon_end srv KILL; }
srv_alive() { daemon_alive srv charon && daemon_alive srv xl2tpd; }
srv_ready() { server_listens && on srv ss -lunH 'sport = :1701' | grep -q :1701; }
srv_idle()  { no_ike_sa srv; }
srv_explains() { false; }

l2tp_reference_swan() {
  cat <<CONF
connections {
  l2tp {
    version = 1
    proposals = aes256-sha384-ecp384,aes256-sha256-modp2048,aes128-sha1-modp2048,aes256-sha1-ecp384,aes256-sha1-modp2048,3des-sha1-modp2048,3des-sha1-modp1024
    local {
      auth = psk
    }
    remote {
      auth = psk
    }
    children {
      l2tp {
        mode = transport
        esp_proposals = aes256gcm16,aes128gcm16,aes256-sha256,aes256-sha1,aes128-sha1,3des-sha1
        local_ts = dynamic[udp/1701]
        remote_ts = dynamic[udp]
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

l2tp_reference_ppp() {
  cat <<CONF
require-$SRV_PPP_AUTH
ms-dns $DNS1
ms-dns $DNS2
auth
mtu 1400
mru 1400
noccp
debug
logfile $OUT/srv/pppd.log
lcp-restart 1
lcp-echo-interval 10
lcp-echo-failure 4
CONF
}

l2tp_reference_xl2tpd() {
  cat <<CONF
[global]
port = 1701
[lns default]
ip range = $POOL_FIRST-$POOL_LAST
local ip = $POOL_GW
refuse pap = no
pppoptfile = /etc/ppp/options.interop
length bit = yes
CONF
}
