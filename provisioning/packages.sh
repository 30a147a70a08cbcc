#!/bin/sh
# packages.sh GROUP... - installs the Debian packages Berth needs; the only list of them.
#
# Groups: build (compile), run (berth up, machine images), test (make check). Safe to repeat,
# under a second when nothing is missing. Debian 12, with or without systemd as PID 1.
# No service is started, and those that merely come along (a registry, Docker, a default
# PostgreSQL cluster) are not left enabled: Berth starts private instances of its own.
# --list GROUP... prints the packages and installs nothing.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

packages() {
    case $1 in
    build) echo "gcc make libc6-dev pkg-config libglib2.0-dev libjansson-dev libpq-dev
        libvirt-dev libssh2-1-dev libcurl4-openssl-dev libmicrohttpd-dev libxml2-dev libssl-dev
        libwslay-dev python3-botocore" ;;
    run) echo "libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils
        dnsmasq-base iptables iproute2 postgresql awscli openssh-client ca-certificates openssl
        docker-registry skopeo mmdebstrap debian-archive-keyring e2fsprogs fdisk dosfstools
        mtools syslinux syslinux-common busybox-static cpio zstd xz-utils xorriso kmod procps
        util-linux curl" ;;
    test) echo "perl python3 python3-boto3 clang clang-format clang-tidy llvm shellcheck valgrind
        docker.io apparmor openssh-server libglib2.0-bin postgresql-client jq git strace ccache
        psmisc ebtables ansible" ;;
    *)  echo "packages.sh: unknown group \"$1\": groups are build, run, test" >&2; return 1 ;;
    esac
}

# Prints those of its arguments that are not installed.
missing() {
    dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | awk -v want="$*" '
        $1 == "installed" { have[$2] = 1 }
        END { n = split(want, w, " "); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i] }'
}

policy=/usr/sbin/policy-rc.d
saved=$policy.before-berth

# invoke-rc.d asks this file before it starts anything; exit 101 means "not allowed".
forbid_starts() {
    if [ -e "$policy" ] && ! grep -q 'berth: packages.sh' "$policy"; then
        mv "$policy" "$saved"
    fi
    printf '#!/bin/sh\n# berth: packages.sh, only while it installs\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

restore_starts() {
    if [ -e "$saved" ]; then
        mv "$saved" "$policy"
    elif grep -qs 'berth: packages.sh' "$policy"; then
        rm -f "$policy"
    fi
}

# A machine without PostgreSQL gets the programs, but no cluster at the well-known port.
cluster_conf=/etc/postgresql-common/createcluster.d/50-berth.conf
forbid_main_cluster() {
    [ -z "$(missing postgresql-common)" ] || {
        mkdir -p "${cluster_conf%/*}"
        echo "create_main_cluster = false" >"$cluster_conf"
    }
}

# Units to leave disabled when their package came with us: PACKAGE UNIT...
quiet_units() {
    cat <<END
docker-registry docker-registry.service
docker.io docker.service docker.socket
containerd containerd.service
postgresql postgresql.service
openssh-server ssh.service
END
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confold "$@"
}

log=${TMPDIR:-/tmp}/berth-packages.$$.log

# Package lists may be absent (a fresh machine) or older than the mirror; refresh them only then.
install() {
    if apt install --no-install-recommends "$@" >"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    { apt update && apt install --no-install-recommends "$@"; } >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        echo "packages.sh: installing failed; the whole log is $log" >&2
        return 1
    }
    rm -f "$log"
}

[ $# -gt 0 ] || { echo "usage: packages.sh [--list] build|run|test ..." >&2; exit 2; }
if [ "$1" = --list ]; then
    shift
    for group; do packages "$group" | xargs -n1; done | sort -u
    exit
fi

work=
for group; do
    list=$(packages "$group")
    # shellcheck disable=SC2086
    lack=$(missing $list)
    if [ -z "$lack" ]; then
        echo "packages: $group: all $(echo "$list" | wc -w) present"
    else
        echo "packages: $group: installing $(echo "$lack" | wc -w):" "$(echo "$lack" | tr "\n" " ")"
        work="$work $lack"
    fi
done
[ -n "$work" ] || exit 0

[ "$(id -u)" = 0 ] || { echo "packages.sh: installing packages needs root (use sudo)" >&2; exit 1; }
exec 9>/run/berth-packages.lock
flock 9
newly=
while read -r package units; do
    [ -z "$(missing "$package")" ] || newly="$newly $units"
done <<END
$(quiet_units)
END
forbid_main_cluster
trap restore_starts EXIT
trap 'exit 130' INT TERM HUP
forbid_starts
start=$(date +%s)
# shellcheck disable=SC2086
install $work
for unit in $newly; do
    systemctl disable "$unit" >/dev/null 2>&1 || true
done
rm -f "$cluster_conf"
echo "packages: installed in $(($(date +%s) - start)) s"
