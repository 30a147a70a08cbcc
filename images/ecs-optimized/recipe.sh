# recipe.sh - the container-optimised image: what is done to the tree; sourced by build.sh
# shellcheck shell=bash
# Needs: recipe, agent, here (build.sh)

disk_size_mib=8192
disk_uuid=62657274-6800-4000-8000-726f6f740001
user='admin'

# Units that do nothing for a container instance, each of which costs a program at boot.
masked_units='
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
    e2scrub_reap.service apparmor.service dbus.service dbus.socket systemd-logind.service
    systemd-journald-audit.socket getty.target getty@tty1.service serial-getty@ttyS0.service
    systemd-pstore.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
    systemd-update-done.service systemd-journal-flush.service
    systemd-journal-catalog-update.service systemd-hwdb-update.service systemd-firstboot.service
    systemd-sysusers.service systemd-boot-system-token.service systemd-binfmt.service
    systemd-random-seed.service systemd-remount-fs.service systemd-network-generator.service
    systemd-user-sessions.service systemd-tmpfiles-setup-dev.service kmod-static-nodes.service
    systemd-ask-password-wall.path systemd-ask-password-console.path ldconfig.service
    modprobe@drm.service modprobe@configfs.service modprobe@fuse.service
    modprobe@efi_pstore.service modprobe@dm_mod.service modprobe@loop.service
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
    sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount
    proc-sys-fs-binfmt_misc.automount'

# Of the generators only the one that reads /etc/fstab has something to read.
kept_generator=systemd-fstab-generator

recipe_configure() {
    local root=$1 unit generator
    cp -a --no-preserve=ownership "$recipe/root/." "$root/"
    chmod 440 "$root/etc/sudoers.d/berth"
    configure_identity "$root"
    for unit in $masked_units; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    mkdir -p "$root/etc/systemd/system-generators"
    for generator in "$root"/lib/systemd/system-generators/*; do
        [[ ${generator##*/} == "$kept_generator" ]] ||
            ln -sf /dev/null "$root/etc/systemd/system-generators/${generator##*/}"
    done
    ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    rm -f "$root/etc/modules-load.d/modules.conf"
    # Without its counterpart, systemd-user-sessions, this file would forbid logins for ever.
    ln -sf /dev/null "$root/etc/tmpfiles.d/systemd-nologin.conf"
    rm -f "$root/etc/systemd/system/sysinit.target.wants/"{systemd-timesyncd,apparmor,systemd-pstore}.service
    systemctl --quiet --root="$root" enable systemd-networkd.service ssh.service docker.service \
        docker.socket containerd.service systemd-timesyncd.service acpid.service \
        berth-firstboot.service berth-network.service berth-network.path berth-userdata.service \
        berth-agent.service berth-tasks.service 2>/dev/null
    systemctl --quiet --root="$root" disable systemd-networkd-wait-online.service 2>/dev/null
    # Docker runs it forty times at its start; the older interface to the kernel is the quicker.
    chroot "$root" update-alternatives --quiet --set iptables /usr/sbin/iptables-legacy
    chroot "$root" update-alternatives --quiet --set ip6tables /usr/sbin/ip6tables-legacy
    if [[ -n $agent ]]; then
        docker_preload "$root" "$agent"
    fi
    recipe_clean "$root"
}

configure_identity() {
    local root=$1
    useradd --root "$root" --uid 1000 --user-group --create-home --shell /bin/bash --comment "Berth" "$user"
    # No password ever matches "*"; unlike "!" it does not lock the account for keys.
    usermod --root "$root" --password '*' "$user"
    usermod --root "$root" --append --groups docker "$user"
    echo localhost >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$root/etc/hosts"
    : >"$root/etc/machine-id"
    : >"$root/etc/fstab"
    : >"$root/etc/resolv.conf"
    ln -sf /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"
    install -d -m 755 "$root/etc/berth"
    install -d -m 700 "$root/var/lib/berth"
    install -d -m 700 -o 1000 -g 1000 "$root/home/$user/.ssh"
    install -m 600 -o 1000 -g 1000 /dev/null "$root/home/$user/.ssh/authorized_keys"
}

# What differs from build to build, or belongs to one machine only.
recipe_clean() {
    local root=$1
    rm -rf "$root"/etc/ssh/ssh_host_* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* \
        "$root"/var/cache/debconf/*-old "$root"/var/log/* "$root"/tmp/* "$root"/run/* \
        "$root"/etc/{passwd,group,shadow,gshadow,subuid,subgid}- "$root"/var/lib/dpkg/*-old \
        "$root"/var/cache/ldconfig/aux-cache "$root"/etc/.pwd.lock "$root"/var/lib/systemd/random-seed
    mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"
}

# What the initial ramdisk loads: the disk, and what every boot needs soon after.
boot_modules='virtio_pci virtio_blk virtio_net virtio_console'

recipe_boot() {
    local root=$1 to=$2 ramdisk=$2/ramdisk kernel version n=10 module file
    kernel=$(ls "$root"/boot/vmlinuz-*)
    version=${kernel##*/vmlinuz-}
    mkdir -p "$ramdisk/modules"
    depmod --basedir "$root" "$version"
    for module in $boot_modules; do
        modprobe --dirname "$root" --set-version "$version" --show-depends "$module"
    done >"$to/modules"
    while read -r _ file; do
        cp "$file" "$ramdisk/modules/$((n++))-${file##*/}"
    done < <(awk '$1 == "insmod" && !seen[$2]++' "$to/modules")
    gcc -std=gnu17 -Os -Wall -Wextra -Wshadow -static -s -ffunction-sections -Wl,--gc-sections \
        -o "$ramdisk/init" "$recipe/boot/init.c"
    find "$ramdisk" -print0 | xargs -0 touch --date="@$SOURCE_DATE_EPOCH"
    (cd "$ramdisk" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$to/initrd"
    mv "$kernel" "$to/vmlinuz"
    # The disk's digest stands for the whole image: let it depend on what lies beside it.
    (cd "$to" && sha256sum vmlinuz initrd "$recipe/cmdline" | sed 's|/.*/||') >"$root/usr/lib/berth/boot"
    rm -rf "$root"/boot/* "$root"/vmlinuz* "$root"/initrd.img*
}

recipe_describe() {
    local root=$1 to=$2
    dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Package} ${Version}\n' | sort >"$to/packages.txt"
    sed -e "s|@SHA256@|$(sha256sum <"$to/disk.qcow2" | cut -d' ' -f1)|" \
        -e "s|@SIZE@|$((disk_size_mib * 1048576))|" -e "s|@CMDLINE@|$(<"$recipe/cmdline")|" \
        -e "s|@AGENT@|$([[ -n $agent ]] && sha256sum <"$agent" | cut -d' ' -f1)|" \
        "$recipe/image.json.in" >"$to/image.json"
}
