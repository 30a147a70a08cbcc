# shellcheck shell=bash
# libvirt.sh - libvirtd for tests that need one and bring up no Berth: sourced by tests/check.sh
#
# libvirt_borrow starts virtlogd and libvirtd where nothing answers (no systemd, fresh machine);
# libvirt_return ends what was started, so that later tests see berth up do it by itself.
libvirt_pids=()

libvirt_borrow() {
    virsh -q -c qemu:///system list >/dev/null 2>&1 && return
    # as udev does: libvirt otherwise probes QEMU anew at each call
    [ ! -c /dev/kvm ] || ! getent group kvm >/dev/null || { chgrp kvm /dev/kvm && chmod 660 /dev/kvm; }
    { pgrep -x --ns $$ --nslist pid virtlogd >/dev/null || virtlogd -d; } && libvirtd -d || return 1
    for pid_file in /run/libvirtd.pid /run/virtlogd.pid; do
        libvirt_pids+=("$(cat "$pid_file")")
    done
    timeout 30 virsh -q -c qemu:///system list >/dev/null
}

libvirt_return() {
    local pid
    [ ${#libvirt_pids[@]} = 0 ] || kill "${libvirt_pids[@]}"
    for pid in "${libvirt_pids[@]}"; do
        timeout 20 tail --pid="$pid" -f /dev/null
    done
    libvirt_pids=()
}
