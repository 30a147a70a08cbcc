#!/bin/bash
# one.sh TEST - runs one test for prove: a test that bails out has failed, the others still run
set -o pipefail
"$@" | sed -u 's/^Bail out!/not ok - bailed out:/'
