#!/bin/bash
# Process 1 of a User-Mode Linux guest: mounts, kernel modules, the node's network, then a command queue for ever.
# NODE_DIR comes from the kernel command line: words `name=value` that the kernel does not know become init's environment.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
hostname "$(cat /etc/hostname)"

modprobe -qa ipv6 tun xfrm_user esp4 esp6 authenc gcm ccm ctr cbc hmac sha512_generic des_generic chacha20poly1305 echainiv \
  seqiv xfrm4_tunnel tunnel4 udp_tunnel af_key ppp_generic ppp_async ppp_synctty l2tp_ppp
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.ping_group_range='0 2147483647'

if bash -e "$NODE_DIR/net.sh" >"$NODE_DIR/net.log" 2>&1; then verdict=ok; else verdict=bad; fi

# The host's files are written back late; keep logs readable from outside.
( while :; do sleep 2; sync; done ) &

cd "$NODE_DIR/queue" || exit 1
echo $verdict >ready.tmp
sync
mv ready.tmp ready

run_command() {
  ( . "./$1.run" >"$1.out" 2>"$1.err" </dev/null 9>&-; echo $? >"$1.rc.tmp"; mv "$1.rc.tmp" "$1.rc" ) &
}

# ID.cmd becomes ID.out, ID.err and, last, ID.rc. The fifo that never delivers is a sleep without a process.
mkfifo /run/tick
exec 9<>/run/tick
shopt -s nullglob
while :; do
  for file in *.cmd; do
    mv "$file" "${file%.cmd}.run"
    run_command "${file%.cmd}"
  done
  read -r -t 0.1 -u 9
done
