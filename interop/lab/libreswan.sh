# libreswan as IKEv1 client with transport mode for L2TP, in a guest that has LAYER (see install-packages.sh).
# IKE, ESP: its proposals, in strongSwan's words. NAT_TRAVERSAL: which it announces, rfc, drafts, both or none.

: "${NAT_TRAVERSAL:=both}"

pluto() {
  local node=$1
  libreswan_config | put "$node" /etc/ipsec.conf
  echo "%any %any : PSK \"$PSK\"" | put "$node" /etc/ipsec.secrets 600
  on "$node" sh -c 'mkdir -p /run/pluto /var/lib/ipsec/nss; ipsec initnss; ipsec checknss' >"$OUT/$node/nss.log" 2>&1
  daemon "$node" pluto /usr/libexec/ipsec/pluto --config /etc/ipsec.conf --nofork --logfile "$OUT/$node/pluto.log"
  until_ok 30 on "$node" ipsec whack --status || die "pluto in $node did not start"
}

libreswan_words() { sed 's/sha256/sha2_256/g' <<<"$1"; }

libreswan_config() {
  cat <<CONF
config setup
  logtime=yes
  ikev1-policy=accept
conn l2tp
  ikev2=no
  authby=secret
  type=transport
  pfs=no
  esn=no
  left=%defaultroute
  leftprotoport=17/$L2TP_PORT
  right=$SERVER_ADDR
  rightid=%any
  rightprotoport=17/1701
  ike=$(libreswan_words "$IKE")
  esp=$(libreswan_words "$ESP")
  nat-ikev1-method=$NAT_TRAVERSAL
  auto=add
CONF
}

ipsec_up_libreswan() {
  local node=$1
  on "$node" test -S /run/pluto/pluto.ctl || pluto "$node"
  on "$node" ipsec addconn --config /etc/ipsec.conf --ctlsocket /run/pluto/pluto.ctl l2tp >"$OUT/$node/addconn.log" 2>&1
  # whack waits for ever when something fails.
  on "$node" timeout 25 ipsec whack --initiate --name l2tp >"$OUT/$node/initiate.log" 2>&1
  grep -q 'IPsec SA established' "$OUT/$node/initiate.log"
}

ipsec_down_libreswan() { on "$1" timeout 15 ipsec whack --terminate --name l2tp; }
