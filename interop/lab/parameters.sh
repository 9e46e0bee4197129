# Parameters of every recipe and their defaults. The values a run used are in OUT/parameters.env.

: "${PREFIX:=lab-}"               # of all namespaces of a run; two runs side by side need two, neither a beginning of the other
: "${TIME_LIMIT:=180}"            # seconds, whole run
: "${GUEST_MEMORY:=192M}"
: "${SERVER:=cygnet}"             # the driver: a file in servers/
: "${CYGNET:=$INTEROP/../target/release/cygnet}"   # the binary, for the driver `cygnet`

# What the server is told. ROLE and AUTH come from the recipe.
: "${AUTH:=psk}"                  # how clients and peers prove who they are: psk, cert, eap-mschapv2, eap-tls;
                                  # for sites psk, cert, rawkey, split (the server by certificate, the peer by pre-shared key)
: "${SERVER_ID:=gw.example.test}"
: "${CLIENT_ID:=client.example.test}"
: "${PSK:=interop-psk-0123456789}"
: "${USER1:=alice}" ; : "${PASS1:=Alice-Secret-1}"
: "${USER2:=bob}"   ; : "${PASS2:=Bob-Secret-2}"
: "${POOL:=10.99.0.0/24}" ; : "${POOL_FIRST:=10.99.0.10}" ; : "${POOL_LAST:=10.99.0.99}" ; : "${POOL_GW:=10.99.0.1}"
: "${POOL6:=2001:db8:99::/112}"
: "${SRV_POOL2:=}"                # a second network of addresses for clients
: "${DNS1:=10.77.0.53}" ; : "${DNS2:=10.77.0.54}"
: "${SRV_ROUTES:=lan}"            # what clients may reach: lan (the networks below), all
: "${SRV_NAT:=no}"                # yes: clients appear with the gateway's addresses
: "${SRV_CLIENT_TO_CLIENT:=no}"   # yes: clients may reach each other
: "${SRV_ESP:=}"                  # ESP proposals; empty: the driver's own list
: "${SRV_POLICY:=}"               # names of policies; empty: the driver's own
: "${SRV_REMOTE:=}" ; : "${SRV_USERS:=}"   # Cygnet only: more lines of [remote] and [users], separated by ;
: "${SRV_SITE:=}"                 # Cygnet only: more lines of [site.peer], separated by ;
: "${SRV_CHILD_REKEY:=}" ; : "${SRV_IKE_REKEY:=}"   # when the server makes its SAs anew, 7s; empty: the driver's own
: "${SRV_REAUTH:=}"               # how long an authentication is good for, 20s; empty: for ever
: "${SRV_ENCAP:=no}"              # yes: ESP inside UDP also without NAT, towards a site
: "${SRV_CRL:=}"                  # how much is asked about revoked certificates: strict, ifuri, relaxed
: "${SRV_CRL_FILE:=}"             # a list of revoked certificates, in OUT/pki
: "${SRV_UNIQUE:=}"               # what a new login means for an older one of the same identity; empty: the driver's own
: "${SRV_KEY_FORM:=pem}"           # Cygnet only: form of its key, pem, pkcs8 (with a password), p12 (with the certificate, and a password)
: "${SRV_START:=passive}"         # who opens the tunnel to a site: passive (the peer, or a command), demand (also traffic), always
: "${SRV_DEVICES:=}"              # sessions that a user may have at the same time
: "${SRV_PPP_AUTH:=mschap-v2}"    # how a user proves who they are inside L2TP: mschap-v2, chap, pap
: "${GROUP:=iopgroup}"            # XAuth: the name of the group whose key PSK is
: "${AGGRESSIVE:=no}"             # XAuth: aggressive mode
: "${LAYER:=/var/cache/cygnet-interop/libreswan}"   # libreswan, see install-packages.sh
: "${PPK_ID:=ppk-1@example.test}"  # post-quantum pre-shared key (RFC 8784)
: "${PPK_SECRET:=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f}"   # hexadecimal
: "${CA_KEY:=ecdsa}" ; : "${SERVER_KEY:=ecdsa}" ; : "${CLIENT_KEY:=ecdsa}"   # ecdsa, ed25519, rsa2048, rsa3072, rsa4096

# Addresses of the topology, see topology.sh.
: "${SERVER_ADDR:=203.0.113.1}" ; : "${SERVER_ADDR6:=2001:db8:113::1}"
: "${SRV_ADDR:=$SERVER_ADDR}"    # as the server itself knows its address
: "${WAN_GW:=203.0.113.254}"    ; : "${WAN_GW6:=2001:db8:113::fe}"
: "${CLIENT_GW:=198.51.100.254}" ; : "${CLIENT_GW6:=2001:db8:100::fe}"
: "${CLIENT_ADDR:=198.51.100.10}" ; : "${CLIENT_ADDR6:=2001:db8:100::10}"
: "${NAT1_ADDR:=198.51.100.51}" ; : "${NAT2_ADDR:=198.51.100.52}"   # NAT routers, outside
: "${HOME_NET:=192.168.1}"        # the first three numbers of the network behind each
: "${WAN_MTU:=1500}"
: "${LAN_NET:=10.77.0.0/24}"  ; : "${LAN_GW:=10.77.0.1}"  ; : "${LAN_HOST:=10.77.0.10}"
: "${LAN_NET2:=10.78.0.0/24}" ; : "${LAN_GW2:=10.78.0.1}" ; : "${LAN_HOST2:=10.78.0.10}"
: "${LAN_NET6:=2001:db8:77::/64}" ; : "${LAN_GW6:=2001:db8:77::1}" ; : "${LAN_HOST6:=2001:db8:77::10}"
: "${FAR_NET:=10.88.0.0/24}"  ; : "${FAR_GW:=10.88.0.1}"  ; : "${FAR_HOST:=10.88.0.10}"   # behind the peer of a site
: "${FAR_NET2:=10.89.0.0/24}" ; : "${FAR_GW2:=10.89.0.1}" ; : "${FAR_HOST2:=10.89.0.10}"
: "${FAR_NET6:=2001:db8:88::/64}" ; : "${FAR_GW6:=2001:db8:88::1}" ; : "${FAR_HOST6:=2001:db8:88::10}"
: "${WEB_GW:=192.0.2.254}" ; : "${WEB_HOST:=192.0.2.10}"   # a host of the internet, beyond the WAN

: "${IPERF_SECONDS:=3}"
: "${MARK:=c0ffee5eeded0badc0ffee5eeded0bad}"   # ping payload, 16 bytes: looked for in captures

# Names of what goes into parameters.env.
LAB_PARAMETERS='PREFIX|TIME_LIMIT|GUEST_MEMORY|SERVER|CYGNET|AUTH|ROLE|RECIPE|OUT|SERVER_[A-Z0-9]*|CLIENT[A-Z0-9_]*|PSK'
LAB_PARAMETERS+='|USER[12]|PASS[12]|POOL[A-Z0-9_]*|DNS[12]|SRV_[A-Z0-9_]*|CA_KEY|WAN_[A-Z0-9]*|NAT|NAT[12]_ADDR|NAT_FLAGS'
LAB_PARAMETERS+='|HOME_NET|LAN_[A-Z0-9]*|WEB_[A-Z]*|IPERF_SECONDS|MARK|STACK|FAMILY|TRIALS|IKE|ESP|[A-Z]*_REKEY|NCLIENTS|IMPL|PPP_[A-Z]*|L2TP_[A-Z]*'
LAB_PARAMETERS+='|GROUP|AGGRESSIVE|MODE|WIRE|NAT_TRAVERSAL|FAR_[A-Z0-9]*|PPK_[A-Z]*|INITIATOR'
