#!/bin/bash
# Fuses many pictures on machines that ssh reaches without a password:
#
#   BIN=/SHARED/env/bin experiments/cluster/fuse_by_ssh.sh node1 node2 -- \
#       /SHARED/infrared /SHARED/visible -o /SHARED/fused --task=ivif --resume
#
# After -- stand the arguments of `refusion fuse`; folders are such as all machines see.
# BIN is the folder of the commands there, by default what ssh has on its path. Ray starts
# on all machines, the first at PORT, and is stopped at the end: all of this user's Ray.
# Whoever reaches Ray's ports can run programs as you: use a network of your own.
set -euo pipefail

nodes=()
while (($#)) && [[ $1 != -- ]]; do
    nodes+=("$1")
    shift
done
if ((${#nodes[@]} == 0 || $# < 2)); then
    echo "usage: ${0##*/} NODE... -- ARGUMENTS of refusion fuse" >&2
    exit 2
fi
shift
port=${PORT:-6379}
ray="${BIN:+$BIN/}ray"

stop() {
    for node in "${nodes[@]}"; do
        ssh -n "$node" "$ray stop" || true
    done
}
trap stop EXIT
trap 'exit 130' INT TERM

ssh -n "${nodes[0]}" "$ray start --head --port=$port"
for node in "${nodes[@]:1}"; do
    ssh -n "$node" "$ray start --address=${nodes[0]}:$port"
done
printf -v command '%q ' "${BIN:+$BIN/}refusion" fuse "$@" --engine=ray --address=auto
ssh -n "${nodes[0]}" "$command"
