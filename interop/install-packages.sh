#!/bin/bash
# Installs what the interop suite needs from Debian or Ubuntu: strongSwan, libreswan, OpenIKED, xl2tpd with pppd, vpnc and a
# User-Mode Linux kernel as clients and peers, tools to watch them. No daemon is started or stays enabled because of it. Does
# nothing if all is there.
#
# libreswan conflicts with strongSwan: it is unpacked into a folder, LAYER, that only the nodes that ask for it see.
set -euo pipefail

PACKAGES=(
  user-mode-linux strongswan-swanctl strongswan-charon strongswan-pki libcharon-extra-plugins libcharon-extauth-plugins
  libstrongswan-extra-plugins libstrongswan-standard-plugins nftables conntrack iperf3 tcpdump tshark iputils-ping
  iproute2 util-linux openssl kmod python3 procps xl2tpd ppp vpnc ike-scan openiked
)
: "${LAYER:=/var/cache/cygnet-interop/libreswan}"
POLICY=/usr/sbin/policy-rc.d

missing() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

# policy-rc.d with exit status 101 forbids starting services (Debian policy, section 9.3.3.1); another's is put back.
forbid_services() {
  [ ! -e $POLICY ] || mv $POLICY $POLICY.before-interop
  trap restore_policy EXIT
  printf '#!/bin/sh\nexit 101\n' >$POLICY
  chmod 755 $POLICY
}

restore_policy() {
  rm -f $POLICY
  [ ! -e $POLICY.before-interop ] || mv $POLICY.before-interop $POLICY
}

install_packages() {
  command -v apt-get >/dev/null || { echo "install by hand (no apt-get here): $*" >&2; exit 1; }
  forbid_services
  apt-get update -q
  apt-get install -qy --no-install-recommends "$@"
  for unit in strongswan.service strongswan-starter.service iperf3.service xl2tpd.service openiked.service; do
    if command -v systemctl >/dev/null; then systemctl disable "$unit" >/dev/null 2>&1 || true; fi
  done
}

# with_dependencies PACKAGE: it and every package that installing it would bring along.
with_dependencies() { apt-get install -qs --no-install-recommends "$1" | awk '/^Inst / { print $2 }'; }

# unpack FOLDER PACKAGE: what the package and its dependencies would install, as files of a root to lay over another.
unpack() {
  local folder=$1 name new
  new=$(mktemp -d "$1.XXXXXX")
  chmod 755 "$new"
  mkdir "$new/.packages"
  (cd "$new/.packages" && with_dependencies "$2" | xargs apt-get -o APT::Sandbox::User=root download -qq)
  for name in "$new"/.packages/*.deb; do dpkg-deb -x "$name" "$new"; done
  rm -r "$new/.packages"
  # A layer must not bring real folders /bin, /lib, /sbin that would hide the links to /usr.
  for name in bin sbin lib lib64; do
    [ -d "$new/$name" ] || continue
    mkdir -p "$new/usr/$name"
    cp -a "$new/$name/." "$new/usr/$name/"
    rm -r "${new:?}/$name"
  done
  mv -T "$new" "$folder"
}

mapfile -t wanted < <(missing)
[ ${#wanted[@]} -gt 0 ] || [ ! -d "$LAYER" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "must run as root to install: ${wanted[*]} libreswan" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
[ ${#wanted[@]} = 0 ] || install_packages "${wanted[@]}"
if [ ! -d "$LAYER" ]; then
  [ ${#wanted[@]} -gt 0 ] || apt-get update -q
  mkdir -p "$(dirname "$LAYER")"
  unpack "$LAYER" libreswan
fi
