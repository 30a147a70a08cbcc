#!/bin/bash
# run.sh BUILD SECONDS - runs every fuzz target for so long, from its seeds and what earlier runs found new.
set -u
build=$1 seconds=$2 status=0
mkdir -p "$build/found"
for target in "$build"/tests/fuzz/fuzz_*; do
    case $target in *.o | *.d) continue ;; esac
    name=${target##*/fuzz_}
    mkdir -p "$build/corpus/$name"
    seeds=
    [ -d "tests/fuzz/seeds/$name" ] && seeds="tests/fuzz/seeds/$name"
    if "$target" -max_total_time="$seconds" -max_len=65536 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$build/found/$name-" "$build/corpus/$name" $seeds >"$build/found/$name.log" 2>&1; then
        echo "ok $name: $(grep -o 'number_of_executed_units: *[0-9]*' "$build/found/$name.log" | grep -o '[0-9]*$') runs"
    else
        echo "not ok $name: see $build/found/$name.log"
        status=1
    fi
done
exit $status
