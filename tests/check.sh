#!/bin/bash
# check.sh - all tests but benchmarks and long fuzzing, in order of cost, as TAP through prove.
# Usage: tests/check.sh [KIND ...]   (lint unit fuzz db driver api crash e2e; all without arguments)
# Programs are build/tests/KIND/test_*, scripts tests/KIND/*.t. Two run at a time, but of those with
# guests only one (tests/lib/one.sh).
set -u
cd "$(dirname "$0")/.." || exit 2
export BUILD=${BUILD:-build} BERTH_CHECK_ANSWERS=1 LC_ALL=C.UTF-8
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
kinds=${*:-lint unit fuzz db driver api crash e2e}
# shellcheck source=tests/lib/libvirt.sh
. tests/lib/libvirt.sh
# shellcheck source=tests/lib/sweep.sh
. tests/lib/sweep.sh
export CHECK_LOGS=$(realpath -m "$BUILD")/check
rm -rf "$CHECK_LOGS" && mkdir -p "$CHECK_LOGS"
list=$(mktemp) && trap 'rm -f "$list"; libvirt_return' EXIT
# A sanitizer's finding ends the program, also when it is a leak seen at its end; foreign ones are listed.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1 suppressions=$PWD/tests/tsan.supp}
# GLib's own allocator hides from sanitizers who freed what, and its locks from ThreadSanitizer.
export G_SLICE=${G_SLICE:-always-malloc}

# What failed, in few words and last of all: where a long log is cut, this is what is left of it.
summary() {
    local log
    echo "== failed; whole answers are in $BUILD/check"
    for log in $(grep -lE '^not ok' "$CHECK_LOGS"/*.tap); do
        echo "$(basename "$log" .tap): $(grep -cE '^not ok' "$log") not ok, the first:"
        grep -m 1 -B 2 -A 2 -E '^not ok' "$log" | grep -vE '^(ok |1\.\.)' | cut -c 1-160
    done | tail -n 40
}

# The longest first, or one core were idle while the other runs the last of them; and those with
# guests far from each other. The image boots beside what mostly waits.
longest="image-boot hosts_lost agent_images agent_kills agent test_instance_life sessions agent_definition
    hosts destroy-frozen agent_restarts test_bootstrap schedulers test_reconcile metadata external_agent
    agent_sync foreign attacks attacks_http roles"
in_order() {
    local name
    { for name in $longest; do grep -E "/$name(\.t)?\$" "$list"; done; cat "$list"; } | awk '!seen[$0]++'
}

# This command brings all that tests need: one that is skipped here was not run at all.
none_skipped() {
    local skips
    skips=$(grep -h -E '^(ok .*|1\.\.0 )# SKIP' "$CHECK_LOGS"/*.tap) || return 0
    echo "== skipped, which counts as failed:" && cut -c 1-160 <<<"$skips"
    return 1
}

status=0
tests_sweep_rigs
for kind in $kinds; do
    : >"$list"
    [ "$kind" = lint ] && echo tests/lint/lint.sh >>"$list"
    for program in "$BUILD"/tests/"$kind"/test_*; do
        [ -x "$program" ] && [ -f "$program" ] && echo "$program" >>"$list"
    done
    for script in tests/"$kind"/*.t; do
        [ -e "$script" ] && echo "$script" >>"$list"
    done
    [ -s "$list" ] || continue
    case $kind in
    driver | crash) { libvirt_borrow && tests_sweep; } || status=1 ;;
    e2e) libvirt_borrow && tests_sweep && libvirt_return ;;
    esac
    echo "== $kind ($(wc -l <"$list") files)"
    in_order | prove -j 2 --timer --merge -e tests/lib/one.sh - || status=1
done
none_skipped || status=1
[ $status = 0 ] || summary
exit $status
