#!/bin/bash
# tour.t - the transcripts of README.md, run line by line in a scratch installation
#
# Each "$ command" must succeed. The lines under it, if any, are its answer: the first of them must
# be the first line printed, where words that differ from run to run (ids, addresses, accounts) are
# made equal on both sides, and columns need not be of equal width.
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"

same_form() {
    sed -E "s/\b(i|ami)-[0-9a-f]{17}\b/\1-ID/g; s/\b[0-9]{12}\b/ACCOUNT/g
            s/\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(:[0-9]+)?/ADDRESS/g; s/[ \t]+/ /g; s/ \$//"
}

scratch_new
trap 'scratch_gone; rm -rf "$scratch_root" "$work"' EXIT
trap 'exit 130' INT TERM HUP
work=$(mktemp -d)
export BERTH_IMAGE_CACHE=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}
mkdir "$work/bin"
ln -s "$PWD/$build/berth" "$work/bin/berth"
# we are root already
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod +x "$work/bin/sudo"
export PATH="$work/bin:$PATH"
registry=${scratch_cidr%.0/16}.1:$scratch_registry_port

# The lines of the console blocks: commands, each with the first line of its answer behind a tab.
transcripts() {
    awk '/^```console$/ { on = 1; next } /^```$/ { if (cmd) print cmd "\t" answer; cmd = ""; on = 0 }
         !on { next }
         /^\$ / { if (cmd) print cmd "\t" answer; cmd = substr($0, 3); answer = ""; next }
         cmd && answer == "" { answer = $0; gsub(/\t/, " ", answer) }' README.md
}

while IFS=$'\t' read -r command expected; do
    command=${command//172.31.0.1:5000/$registry}
    command=${command//build\/web.tar/$build\/web.tar}
    from=$(date +%s%N)
    bash -o pipefail -c "$command" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    echo "# $((($(date +%s%N) - from) / 1000000)) ms: $command"
    check "$command" test $status = 0
    [[ $status = 0 ]] || { remark <"$work/out"; remark <"$work/err"; }
    [[ -n $expected ]] || continue
    got=$(head -n 1 "$work/out" | same_form)
    want=$(same_form <<<"$expected")
    check "answers \"$want\"" test "$got" = "$want"
    [[ $got = "$want" ]] || echo "# got \"$got\""
done < <(transcripts)
check "the tour leaves nothing" test ! -e "$scratch_root/etc"
done_testing
