#!/bin/bash
# node-root.sh OUT NODE INTEROP MEMORY
# Runs in a node's network namespace and a fresh mount namespace. Builds the node's private root (overlay: lower /,
# upper tmpfs, which begins with the files of the node's layer, if it has one) and becomes the guest kernel, or for a plain node a process that holds the root. All of it vanishes with
# that process: nothing a node writes reaches the machine, but for OUT.
set -e
OUT=$1 NODE=$2 INTEROP=$3 MEMORY=$4
folder=$OUT/$NODE
root=$folder/mnt/root

make_root() {
  mount --make-rprivate /
  mkdir -p "$folder/mnt"
  mount -t tmpfs -o size=256m,mode=755 tmpfs "$folder/mnt"
  cd "$folder/mnt"
  mkdir upper work root
  # Copied: a second lower layer that lies inside the first is refused (ELOOP).
  [ ! -s "$folder/layer" ] || cp -a "$(cat "$folder/layer")/." upper/
  mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/mnt/upper,workdir=$folder/mnt/work" root
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  for shared in "$OUT" "$INTEROP"; do
    mkdir -p "$root$shared"
    mount --bind "$shared" "$root$shared"
  done
  echo "$NODE" >"$root/etc/hostname"
}

become_plain() {
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --bind /sys "$root/sys"
  echo ok >"$folder/queue/ready"
  exec chroot "$root" sleep infinity
}

become_guest() {
  local modules nics
  modules=$(ls -d /usr/lib/uml/modules/*/ | tail -1)
  modules=${modules%/}
  mkdir -p "$root/lib/modules" "$folder/uml"
  ln -sfn "$modules" "$root/lib/modules/$(basename "$modules")"
  mapfile -t nics <"$folder/guest-nics"
  export TMPDIR=/dev/shm        # the guest's memory is a file; on disk it would be slow
  exec linux.uml mem="$MEMORY" root=/dev/root rootfstype=hostfs rootflags="$root" rw \
    init="$INTEROP/guest/guest-init.sh" con=null con0=null,fd:1 uml_dir="$folder/uml" umid="$NODE" hostname="$NODE" \
    NODE_DIR="$folder" "${nics[@]}"
}

make_root
case $(cat "$folder/kind") in
  plain) become_plain ;;
  guest) become_guest ;;
esac
