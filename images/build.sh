#!/bin/bash
# build.sh [--agent ARCHIVE] [--verify] [--rebuild] RECIPE OUTDIR - builds a machine image
#
# OUTDIR gets image.json, disk.qcow2, vmlinuz, initrd and packages.txt. Same inputs (the recipe's
# files, versions of packages, agent archive) give the same bytes: --verify assembles the disk a
# second time and compares. Nothing is done when OUTDIR is already built from the same inputs,
# unless --rebuild. Packages come from this machine's own apt sources for Debian 12. Needs root,
# no loop device, no container engine. Unpacked packages and the last images are kept in
# $BERTH_IMAGE_CACHE (/var/cache/berth/images), so that a new agent costs seconds, and the same
# image for another folder none.
set -euo pipefail
export LC_ALL=C TZ=UTC PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
here=$(cd "$(dirname "$0")" && pwd)

# The day files of the image bear, where they would otherwise bear the day of the build.
export SOURCE_DATE_EPOCH=1767225600 E2FSPROGS_FAKE_TIME=1767225600
suite=bookworm
cache=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}

usage() { sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"; exit "${1:-0}"; }
fail() { echo "image: $*" >&2; exit 1; }

began=$(date +%s%N)
seconds() { local ms=$((($(date +%s%N) - ${1:-$began}) / 1000000)); printf '%d.%01d s' $((ms / 1000)) $((ms % 1000 / 100)); }
phase() {
    local text=$1 from
    shift
    from=$(date +%s%N)
    "$@"
    echo "image: $text: $(seconds "$from")"
}

agent='' verify='' rebuild=''
while [[ ${1:-} == -* ]]; do
    case $1 in
    --agent) agent=${2:?--agent needs a file}; shift ;;
    --verify) verify=1 ;;
    --rebuild) rebuild=1 ;;
    -h|--help) usage ;;
    *) usage 2 >&2 ;;
    esac
    shift
done
[[ $# == 2 ]] || usage 2 >&2
name=$1 out=$2 recipe=$here/$1
[[ -r $recipe/recipe.sh ]] || fail "no recipe \"$name\" in $here"
[[ -z $agent || -r $agent ]] || fail "cannot read the agent's archive \"$agent\""
[[ -z $agent ]] || agent=$(realpath "$agent")
[[ $(id -u) == 0 ]] || fail "making a file system with its owners needs root (use sudo)"
# shellcheck source=/dev/null
. "$here/lib/debian.sh"
# shellcheck source=/dev/null
. "$here/lib/disk.sh"
# shellcheck source=/dev/null
. "$here/lib/docker.sh"
# shellcheck source=/dev/null
. "$recipe/recipe.sh"

inputs() {
    debian_plan "$packages"
    cd "$here"
    find build.sh lib "$name" -type f -print0 | sort -z | xargs -0 sha256sum
    find "$name" -type f -perm -100 | sort
    [[ -z $agent ]] || sha256sum <"$agent"
    gcc --version | head -n 1
    mke2fs -V 2>&1 | head -n 1
    qemu-img --version | head -n 1
}

mapfile -t package_list < <(sed 's/#.*//' "$recipe/packages" | xargs -n1)
packages=${package_list[*]}
list=$(inputs) || fail "cannot resolve the packages of \"$name\" from this machine's apt sources"
digest=$(sha256sum <<<"$list" | cut -d' ' -f1)
if [[ -z $rebuild && -z $verify && -r $out/inputs && $(<"$out/inputs") == "$digest" ]]; then
    echo "image: $name: up to date in $out (inputs ${digest:0:12})"
    exit 0
fi
[[ -n $agent ]] || echo "image: $name: no agent archive given: the image will have no agent in it"

results=(disk.qcow2 vmlinuz initrd packages.txt image.json)
kept=$cache/$name-${digest:0:24}
# Keeps the image that OUTDIR holds now, and forgets all but the last three. A link where it can
# be: files of an image are replaced, never written to.
keep() {
    mkdir "$work/kept"
    cp -a --link "${results[@]/#/$out/}" "$work/kept/" 2>/dev/null || cp -a "${results[@]/#/$out/}" "$work/kept/"
    rm -rf "$kept"
    mv "$work/kept" "$kept"
    find "$cache" -maxdepth 1 -name "$name-*" -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d' ' -f2- |
        xargs -r -d '\n' rm -rf
}
take() {
    rm -f "$out/inputs" "${results[@]/#/$out/}"
    cp -a --link "$kept/." "$out/" 2>/dev/null || cp -a "$kept/." "$out/"
    echo "$digest" >"$out/inputs"
    touch "$kept"
}

mkdir -p "$out" "$cache"
exec 8>"$cache/lock"
flock 8
if [[ -z $rebuild && -z $verify && -d $kept ]]; then
    take
    echo "image: $name in $out: from the cache, sha256 $(disk_digest "$out"), $(seconds)"
    exit 0
fi
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

phase "packages" debian_unpack "$packages" "$recipe/excluded-paths" "$work/root"
phase "settings" recipe_configure "$work/root"
phase "initial ramdisk" recipe_boot "$work/root" "$work"
phase "file system" disk_assemble "$work/root" "$work/disk.raw"
phase "compression" disk_compress "$work/disk.raw" "$work/disk.qcow2"
if [[ -n $verify ]]; then
    first=$(sha256sum <"$work/disk.qcow2")
    phase "file system, again" disk_assemble "$work/root" "$work/disk.raw"
    phase "compression, again" disk_compress "$work/disk.raw" "$work/again.qcow2"
    [[ $first == "$(sha256sum <"$work/again.qcow2")" ]] ||
        fail "two assemblies of the same files differ: $work" "$(trap - EXIT)"
    echo "image: assembled twice, the same bytes"
fi
phase "description" recipe_describe "$work/root" "$work" >/dev/null
rm -f "$out/inputs"
mv "${results[@]/#/$work/}" "$out/"
echo "$digest" >"$out/inputs"
keep
size=$(stat -c %s "$out/disk.qcow2")
echo "image: $name in $out: $((size / 1000000)) MB, sha256 $(disk_digest "$out"), $(seconds)"
