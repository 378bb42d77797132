#!/bin/bash
# One r1 run on several hosts under torchrun. Give the same command on every host; a run that ended goes on with it.
#
#   deploy/torchrun.sh FIRST_HOST HOSTS RANKS_A_HOST RECIPE RUN_FOLDER [--set KEY=VALUE ...]
#   deploy/torchrun.sh node0 2 8 recipe.toml /shared/run
#
# FIRST_HOST is reached by all of them at port 29500 (R1_PORT), and by any port from there on; all see the recipe, the
# model and RUN_FOLDER at the same path, and have the same r1kit. A killed host ends the others within cluster.lost_after.
set -euo pipefail
if (($# < 5)); then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
fi
first=$1 hosts=$2 ranks=$3 recipe=$4 out=$5
shift 5
exec python -m torch.distributed.run --nnodes "$hosts" --nproc-per-node "$ranks" \
    --rdzv-backend c10d --rdzv-endpoint "$first:${R1_PORT:-29500}" --rdzv-id "${R1_JOB:-r1}" \
    -m r1kit run "$recipe" --out "$out" "$@"
