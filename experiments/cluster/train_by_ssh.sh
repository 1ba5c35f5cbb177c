#!/bin/bash
# Trains on machines that ssh reaches without a password:
#
#   BIN=/SHARED/env/bin experiments/cluster/train_by_ssh.sh node1 node2 -- \
#       /SHARED/infrared /SHARED/visible -o /SHARED/runs/mine --task=ivif
#
# After -- stand the arguments of `refusion train`; folders are such as all machines see.
# BIN is the folder of the commands there, by default what ssh has on its path. The
# machines reach each other by the names given here, the first at PORT, and by ports that
# the system chooses; a machine's own name must not lead to 127.0.1.1 (in /etc/hosts, on
# Debian), because the others are told that address.
#
# Ctrl-C saves the run and stops it on all machines. The same command resumes.
set -euo pipefail

nodes=()
while (($#)) && [[ $1 != -- ]]; do
    nodes+=("$1")
    shift
done
if ((${#nodes[@]} == 0 || $# < 2)); then
    echo "usage: ${0##*/} NODE... -- ARGUMENTS of refusion train" >&2
    exit 2
fi
shift
port=${PORT:-29500}
remember=".refusion-train-$port.pid" # in the home folder of the first machine

# SIGTERM at one host saves the run of all.
trap 'ssh -n "${nodes[0]}" "kill -TERM \$(cat $remember)" || true' INT TERM

hosts=()
for host in "${!nodes[@]}"; do
    printf -v command '%q ' "${BIN:+$BIN/}refusion" train "$@" \
        "--coordinator=${nodes[0]}:$port" "--hosts=${#nodes[@]}" "--host=$host"
    if ((host == 0)); then
        command="echo \$\$ > $remember; exec $command"
    fi
    ssh -n -o ServerAliveInterval=15 "${nodes[host]}" "$command" &
    hosts+=($!)
done

code=0
for process in "${hosts[@]}"; do
    wait "$process" || code=$?
    while kill -0 "$process" 2>/dev/null; do # a signal has ended the waiting
        wait "$process" || code=$?
    done
done
exit "$code"
