#!/bin/bash
# cloud-image.sh - builds a stock cloud image of Debian 12 as distributions do; prints its path
#
# Debian packages only, nothing of ours inside: cloud-init, openssh-server, the cloud kernel with
# its stock initial ramdisk, GRUB for BIOS; GPT, one root partition that may grow. Kept in
# $BERTH_IMAGE_CACHE (/var/cache/berth/images) under a name made of this recipe and of the packages'
# versions, so that it is built again when either changes. Needs root; no loop device, no mount of
# the disk. --rebuild builds it anyway.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
here=$(cd "$(dirname "$0")" && pwd)
suite=bookworm
cache=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}
packages='systemd systemd-sysv systemd-resolved libpam-systemd dbus udev kmod
    linux-image-cloud-amd64 initramfs-tools zstd grub-pc-bin grub2-common
    cloud-init cloud-guest-utils netplan.io openssh-server sudo
    e2fsprogs fdisk iproute2 iputils-ping procps netbase ca-certificates curl'
packages=$(xargs <<<"$packages")

disk_mib=3072
boot_sector=2048 root_sector=8192 # the boot partition holds GRUB's core, as on Debian's own images
root_uuid=c10d1b1e-0000-4000-8000-726f6f740012

fail() { echo "cloud-image.sh: $*" >&2; exit 1; }
# shellcheck source=images/lib/debian.sh
. "$here/../../images/lib/debian.sh"

# What Debian's team adds to the packages' own settings.
configure() {
    local root=$1
    cat >"$root/etc/cloud/cloud.cfg.d/01_debian_cloud.cfg" <<'END'
manage_etc_hosts: true
locale: C.UTF-8
# as Amazon Linux: an RSA key keeps a guest without KVM busy for long
ssh_genkeytypes: [ed25519, ecdsa]
system_info:
  default_user:
    name: debian
    sudo: ALL=(ALL) NOPASSWD:ALL
    shell: /bin/bash
    lock_passwd: true
END
    echo "UUID=$root_uuid / ext4 rw,discard,errors=remount-ro 0 1" >"$root/etc/fstab"
    echo LANG=C.UTF-8 >"$root/etc/default/locale"
    : >"$root/etc/machine-id"
    echo localhost >"$root/etc/hostname"
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    systemctl --quiet --root="$root" enable systemd-networkd.service systemd-resolved.service 2>/dev/null
    rm -rf "$root"/etc/ssh/ssh_host_* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin \
        "$root"/var/cache/apt/archives/*.deb "$root"/var/log/* "$root"/tmp/* "$root"/run/*
}

boot_settings() {
    local version=$1
    cat <<END
set timeout=0
serial --unit=0 --speed=115200
terminal_output serial
search --no-floppy --fs-uuid --set=root $root_uuid
linux /boot/vmlinuz-$version root=UUID=$root_uuid ro console=tty0 console=ttyS0,115200
initrd /boot/initrd.img-$version
boot
END
}

# GRUB's first two stages, by the tree's own GRUB: boot.img in the first sector, told where core.img
# begins; core.img's first sector, told where its rest is. Source: GRUB manual, "Images"; offsets
# of kernel_sector (0x5c), the drive check (0x66) and the first block list (0x1f4).
little_endian() {
    local n
    for n in 0 8 16 24 32 40 48 56; do printf '%b' "\\x$(printf %x $(($1 >> n & 255)))"; done
}
poke() { dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none; }
install_boot_loader() {
    local root=$1 disk=$2 modules=$1/usr/lib/grub/i386-pc
    # shellcheck disable=SC2016 # GRUB's variables
    printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' "$root_uuid" >"$root/early.cfg"
    chroot "$root" grub-mkimage -O i386-pc -p /boot/grub -c /early.cfg -o /core.img \
        biosdisk part_gpt ext2 search search_fs_uuid configfile linux boot minicmd serial terminal
    little_endian $((boot_sector + 1)) | poke "$root/core.img" 0x1f4
    [[ $(stat -c %s "$root/core.img") -lt $(((root_sector - boot_sector) * 512)) ]] || fail "GRUB does not fit"
    head -c 440 "$modules/boot.img" >"$root/boot.img"
    little_endian $boot_sector | poke "$root/boot.img" 0x5c
    printf '\x90\x90' | poke "$root/boot.img" 0x66
    dd if="$root/boot.img" of="$disk" conv=notrunc status=none
    dd if="$root/core.img" of="$disk" bs=512 seek=$boot_sector conv=notrunc status=none
    rm "$root"/{early.cfg,core.img,boot.img}
}

assemble() {
    local root=$1 disk=$2 kernel end=$((disk_mib * 2048 - 2048))
    kernel=$(basename "$root"/boot/vmlinuz-*)
    mkdir -p "$root/boot/grub"
    boot_settings "${kernel#vmlinuz-}" >"$root/boot/grub/grub.cfg"
    truncate -s "${disk_mib}M" "$disk"
    sfdisk --quiet "$disk" <<END
label: gpt
14 : start=$boot_sector, size=$((root_sector - boot_sector)), type=21686148-6449-6E6F-744E-656564454649
1 : start=$root_sector, size=$((end - root_sector)), type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
END
    install_boot_loader "$root" "$disk"
    mke2fs -q -t ext4 -L root -U "$root_uuid" \
        -E "offset=$((root_sector * 512)),lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0" \
        -d "$root" "$disk" $(((end - root_sector) / 2))k
}

build() {
    local image=$1
    printf '/usr/share/%s/*\n' doc man locale i18n info >"$work/excluded"
    debian_install "$packages" "$work/excluded" "$work/root"
    configure "$work/root"
    assemble "$work/root" "$work/disk.raw" 2>"$work/assemble.log" ||
        { cat "$work/assemble.log" >&2; fail "making the disk failed"; }
    qemu-img convert -q -m 4 -W -c -f raw -O qcow2 -o compression_type=zstd "$work/disk.raw" "$work/disk.qcow2"
    mv "$work/disk.qcow2" "$image"
}

[[ $(id -u) == 0 ]] || fail "making a file system with its owners needs root"
mkdir -p "$cache"
exec 8>"$cache/cloud.lock"
flock 8
key=$({ debian_plan "$packages"; cat "$here/cloud-image.sh"; } | sha256sum | cut -c1-24)
image=$cache/cloud-$suite-$key.qcow2
if [[ ! -e $image || ${1:-} == --rebuild ]]; then
    find "$cache" -maxdepth 1 -name "cloud-$suite-*.qcow2" -mtime +14 -delete
    work=$(mktemp -d "$cache/cloud.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    build "$image"
    echo "cloud-image.sh: built in $SECONDS s" >&2
fi
echo "$image"
