#!/bin/bash
# one.sh TEST - runs one test for prove: a test that bails out has failed, the others still run
#
# With CHECK_LOGS its TAP is kept there, for the summary and for whoever reads it afterwards.
set -o pipefail
log=/dev/null
[ -z "${CHECK_LOGS:-}" ] || { log=${1#"${BUILD:-build}"/}; log=$CHECK_LOGS/${log//\//-}.tap; }
# Berth's networks of two installations cannot be up at once; the image by itself needs none.
# (-o: daemons that stay do not keep the lock.)
guests=()
case $1 in
*/e2e/image-boot.t) ;;
*/driver/test_* | */driver/hosts*.t | */crash/test_* | */e2e/*) guests=(flock -o /tmp/berth-guests.lock) ;;
esac
"${guests[@]}" "$@" | sed -u 's/^Bail out!/not ok - bailed out:/' | tee "$log"
status=$?
[ $status = 0 ] || grep -q '^not ok' "$log" || echo "not ok - ended with status $status" >>"$log"
exit $status
