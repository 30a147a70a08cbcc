# disk.sh - a root disk from a tree, the same bytes each time; sourced by build.sh
# shellcheck shell=bash
# Needs: SOURCE_DATE_EPOCH, E2FSPROGS_FAKE_TIME, disk_size_mib, disk_uuid (recipe)

# Times are the image's own; mke2fs takes the change time of an inode from the tree, where it
# cannot be set, so it is corrected afterwards.
disk_assemble() {
    local tree=$1 raw=$2
    find "$tree" -print0 | xargs -0 -P2 -n4000 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
    rm -f "$raw"
    truncate -s "${disk_size_mib}M" "$raw"
    mke2fs -q -t ext4 -L root -U "$disk_uuid" -m 1 -J size=32 -I 256 \
        -E "hash_seed=$disk_uuid,lazy_itable_init=0,lazy_journal_init=0,nodiscard,assume_storage_prezeroed=1,root_owner=0:0" \
        -d "$tree" "$raw"
    disk_fix_times "$raw"
}

disk_fix_times() {
    local used
    used=$(dumpe2fs -h "$1" 2>/dev/null | awk -F: '/^Inode count/ {c=$2} /^Free inodes/ {f=$2} END {print c-f}')
    # mke2fs hands out inodes in order, from the first.
    seq 1 "$used" | awk -v t="@$SOURCE_DATE_EPOCH" '{ print "sif <" $1 "> ctime " t; print "sif <" $1 "> crtime " t }' |
        debugfs -w -f - "$1" >/dev/null 2>&1
}

disk_compress() {
    rm -f "$2"
    qemu-img convert -q -m 1 -c -f raw -O qcow2 -o compression_type=zstd "$1" "$2"
}

disk_digest() { sed -n 's/.*"sha256": *"\([0-9a-f]*\)".*/\1/p' "$1/image.json" | head -n 1; }
