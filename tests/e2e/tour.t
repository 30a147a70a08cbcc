#!/bin/bash
# tour.t - the transcripts of README.md, run line by line in a scratch installation
#
# Each "$ command" must succeed, and print what stands under it: all of it, line by line, and
# nothing where nothing stands there. What differs from run to run (ids, addresses, times, ports)
# is made equal on both sides, and columns need not be of equal width. Progress, which goes to
# standard error, is not part of an answer.
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"

same_form() {
    sed -E "s/\b(i|ami)-[0-9a-f]{17}\b/\1-ID/g; s/\b[0-9a-f]{32}\b/LONG-ID/g; s/\b[0-9]{12}\b/ACCOUNT/g
            s/\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(:[0-9]+)?/ADDRESS/g; s|/[^ ]*/\.berth/|~/.berth/|g
            s/ecs-optimized-[0-9a-f]{12}/ecs-optimized-DIGEST/g; s/\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b/DATE/g
            s/\b[0-9]{2}:[0-9]{2}:[0-9]{2}\b/TIME/g; s/process [0-9]+/process N/; s/ecs-svc\/[0-9]+/ecs-svc\/N/g
            s/^[0-9a-f]{12}\b/TASK/; s/ (3[2-9]|[45][0-9]|60)[0-9]{3} / PORT /g
            s/[ \t]+/ /g; s/ \$//"
}

scratch_new
trap 'scratch_gone; rm -rf "$scratch_root" "$work"' EXIT
trap 'exit 130' INT TERM HUP
work=$(mktemp -d)
export BERTH_IMAGE_CACHE=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}
mkdir "$work/bin" "$work/tour"
ln -s "$PWD/$build/berth" "$work/bin/berth"
# we are root already
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod +x "$work/bin/sudo"
export PATH="$work/bin:$PATH"
registry=${scratch_cidr%.0/16}.1:$scratch_registry_port

# The commands of the console blocks: file N holds the command, file N.answer what stands under it.
awk -v to="$work/tour/" '
    /^```console$/ { on = 1; next }
    /^```$/ { on = 0; next }
    !on { next }
    /^\$ / { file = sprintf("%s%03d", to, ++n); print substr($0, 3) >file; printf "" >(file ".answer"); next }
    { print >(file ".answer") }' README.md

for file in "$work"/tour/???; do
    command=$(<"$file")
    command=${command//172.31.0.1:5000/$registry}
    command=${command//build\/web.tar/$build\/web.tar}
    from=$(date +%s%N)
    bash -o pipefail -c "$command" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    echo "# $((($(date +%s%N) - from) / 1000000)) ms: $command"
    check "$command" test $status = 0
    [[ $status = 0 ]] || { remark <"$work/out"; remark <"$work/err"; }
    same_form <"$work/out" >"$work/got"
    same_form <"$file.answer" >"$work/expected"
    check "answers as it stands there" cmp -s "$work/got" "$work/expected"
    cmp -s "$work/got" "$work/expected" || { diff "$work/expected" "$work/got" | remark; remark <"$work/out"; }
done
check "there was a tour" test -e "$work/tour/020"
check "it leaves nothing" test ! -e "$scratch_root/etc"
done_testing
