# libreswan in a guest that has LAYER (see install-packages.sh): as IKEv1 client with transport mode for L2TP, as IKEv2 client with
# a virtual address, as IKEv2 peer of a site.
# L2TP: IKE, ESP: its proposals, in strongSwan's words. NAT_TRAVERSAL: which it announces, rfc, drafts, both or none.
# IKEv2: LS_IKE, LS_ESP: its proposals, in its own words. LS_CONN_OPT: more lines for the connection.

: "${NAT_TRAVERSAL:=both}"
: "${LS_IKE:=aes_gcm256-sha2_384;dh20}" ; : "${LS_ESP:=aes_gcm256}"

pluto() {
  local node=$1
  libreswan_config | put "$node" /etc/ipsec.conf
  echo "%any %any : PSK \"$PSK\"" | put "$node" /etc/ipsec.secrets 600
  on "$node" sh -c 'mkdir -p /run/pluto /var/lib/ipsec/nss; ipsec initnss; ipsec checknss' >"$OUT/$node/nss.log" 2>&1
  pluto_start "$node"
}

# pluto_start NODE: the configuration is there.
pluto_start() {
  local node=$1
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
  on "$node" timeout 90 ipsec whack --initiate --name l2tp >"$OUT/$node/initiate.log" 2>&1
  grep -q 'IPsec SA established' "$OUT/$node/initiate.log"
}

ipsec_down_libreswan() { on "$1" timeout 15 ipsec whack --terminate --name l2tp; }

# IKEv2, connection `ls`. libreswan_prepare NODE: the store of certificates and keys, with those of AUTH.
libreswan_prepare() {
  local node=$1
  on "$node" sh -c 'mkdir -p /run/pluto /var/lib/ipsec/nss; ipsec initnss' >"$OUT/$node/nss.log" 2>&1
  printf '@%s @%s : PSK "%s"\n' "$CLIENT_ID" "$SERVER_ID" "$PSK" | put "$node" /etc/ipsec.secrets 600
  [ "$AUTH" != psk ] || return 0
  openssl pkcs12 -export -legacy -in "$OUT/pki/client.pem" -inkey "$OUT/pki/client.key" -certfile "$OUT/pki/ca.pem" \
    -name client -passout pass:x -out "$OUT/pki/client.p12" || die "pkcs12"
  on "$node" sh -c "pk12util -i '$OUT/pki/client.p12' -d sql:/var/lib/ipsec/nss -W x -K '' &&
    certutil -M -d sql:/var/lib/ipsec/nss -n 'Interop CA - Interop' -t CT,," >>"$OUT/$node/nss.log" 2>&1 \
    || die "certificates of $node, see $node/nss.log"
}

libreswan_auth() {
  if [ "$AUTH" = psk ]; then
    echo '  authby=secret'
  else
    printf '  authby=%s\n  leftcert=client\n  rightca=%%same\n  leftsendcert=always\n' \
      "$([ "$CLIENT_KEY" = ecdsa ] && echo ecdsa || echo rsa-sha2)"
  fi
}

# libreswan_connection LINE...: the parts that all IKEv2 connections share, and these.
libreswan_connection() {
  cat <<CONF
config setup
  logtime=yes
conn ls
  ikev2=insist
$(libreswan_auth)
  leftid=@$CLIENT_ID
  right=$SERVER_ADDR
  rightid=@$SERVER_ID
  ike=$LS_IKE
  esp=$LS_ESP
  salifetime=${LS_CHILD_LIFE:-8h}
  ikelifetime=${LS_IKE_LIFE:-8h}
  rekeymargin=${LS_MARGIN:-9m}
  rekeyfuzz=0%
  dpddelay=10
  dpdtimeout=40
  auto=add
CONF
  printf '  %s\n' "$@"
}

libreswan_roadwarrior() {
  libreswan_connection left=%defaultroute leftsubnet=0.0.0.0/0 leftmodecfgclient=yes modecfgpull=yes narrowing=yes \
    "rightsubnet=$LAN_NET"
}

libreswan_site() {
  # Its script for routes takes seconds in a guest; the default route does.
  libreswan_connection "left=$CLIENT_ADDR" "leftsubnet=$FAR_NET" "rightsubnet=$LAN_NET" "leftupdown=%disabled"
}

libreswan_add() { on "$1" ipsec addconn --config /etc/ipsec.conf --ctlsocket /run/pluto/pluto.ctl ls >>"$OUT/$1/addconn.log" 2>&1; }

# libreswan_initiate NODE: whack waits for ever when something fails.
libreswan_initiate() {
  on "$1" timeout 90 ipsec whack --initiate --name ls >"$OUT/$1/initiate.log" 2>&1
  cat "$OUT/$1/initiate.log"
  grep -qE 'Child SA established|established Child SA|IPsec SA established' "$OUT/$1/initiate.log"
}
libreswan_has_child() { on "$1" ipsec whack --trafficstatus | grep -q "type=ESP"; }

# Its ESP SAs, as one word.
libreswan_child_sa() { on "$1" ip xfrm state | awk '/^src/ { to = $4 } /proto esp/ { print to, $4 }' | sort | md5sum; }

# libreswan_rekey NODE ipsec|ike
libreswan_rekey() { on "$1" timeout 6 ipsec whack "--rekey-$2" --name ls >>"$OUT/$1/rekey.log" 2>&1; }
libreswan_rekeyed_ike() {
  on "$1" sync
  grep -qE 'rekeyed #1|REKEY_IKE|initiator rekeyed IKE SA' "$OUT/$1/pluto.log"
}

# Its virtual address: one of POOL on an interface.
libreswan_address() {
  on "$1" ip -o -4 addr show | sed -n 's/.*inet \([0-9.]*\).*/\1/p' | while read -r address; do
    if in_network "$address" "$POOL"; then echo "$address"; fi
  done
}
