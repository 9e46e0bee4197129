#!/bin/bash
# clean.sh PREFIX: ends, by pid, every process in the network namespaces PREFIX* and removes them. Needed only when a run was
# killed before it could clean up.
prefix=${1:?usage: clean.sh PREFIX}
for name in $(ip netns list | awk '{ print $1 }' | grep "^$prefix"); do
  for pid in $(ip netns pids "$name"); do kill -KILL "$pid"; done
  ip netns del "$name"
  echo "removed $name"
done
