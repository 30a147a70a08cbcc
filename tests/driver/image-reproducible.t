#!/bin/bash
# image-reproducible.t - container images and the root disk come out the same, byte for byte
#
# Works on a small tree of its own; SLOW=1 also builds the whole machine image twice from packages.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
checks=0
check() {
    checks=$((checks + 1))
    if "${@:2}" >"$work/output" 2>&1; then
        echo "ok $checks - $1"
    else
        echo "not ok $checks - $1"
        sed 's/^/# /' "$work/output"
    fi
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ $(id -u) != 0 ]]; then
    echo "1..0 # SKIP making file systems with their owners needs root"
    exit 0
fi

tree() {
    mkdir -p "$1"/{etc,bin,var/empty}
    # Written in another order, at another time, the second time.
    for name in $2; do echo "$name" >"$1/etc/$name"; done
    install -m 4755 /bin/true "$1/bin/true"
    chown 7:8 "$1/etc/b"
    ln -s b "$1/etc/link"
    ln "$1/etc/a" "$1/etc/hard"
}
tree "$work/one" "a b c d"
sleep 1.1
tree "$work/two" "d c b a"

archive() { images/container-archive.sh "$work/$1" "$work/$1.tar" test:latest '{"Cmd":["/bin/true"]}'; }
archive one >/dev/null
archive two >/dev/null
check "container archives of equal trees are equal" cmp "$work/one.tar" "$work/two.tar"
echo more >>"$work/two/etc/a"
archive two >/dev/null
check "another content gives another archive" bash -c "! cmp -s $work/one.tar $work/two.tar"
check "skopeo reads the archive" skopeo inspect "docker-archive:$work/one.tar"

export SOURCE_DATE_EPOCH=1767225600 E2FSPROGS_FAKE_TIME=1767225600
# As build.sh does: its parts stop at the first error.
disk() {
    bash -c 'set -euo pipefail
        fail() { echo "$*" >&2; exit 1; }
        disk_size_mib=256 disk_uuid=62657274-6800-4000-8000-000000000001
        . images/lib/disk.sh
        disk_assemble "$1" "$1.raw"
        disk_compress "$1.raw" "$1.qcow2"' disk "$work/$1"
}
rm -rf "$work/two"
sleep 1.1
tree "$work/two" "d c b a"
check "a disk is made of a tree" disk one
check "a disk is made of its copy" disk two
check "the file systems are equal" cmp "$work/one.raw" "$work/two.raw"
check "the disks are equal" cmp "$work/one.qcow2" "$work/two.qcow2"
check "the file system is clean" e2fsck -fn "$work/one.raw"
check "owners are kept" grep -q 'User: *7 *Group: *8' <(debugfs -R 'stat /etc/b' "$work/one.raw" 2>/dev/null)

if [[ -n ${SLOW:-} ]]; then
    for build in 1 2; do
        BERTH_IMAGE_CACHE=$work/cache images/build.sh --rebuild ecs-optimized "$work/image$build" |
            sed 's/^/# /'
    done
    check "two builds from packages are equal" diff -r "$work/image1" "$work/image2"
fi
echo "1..$checks"
