# debian.sh - a Debian 12 tree from this machine's own apt sources; sourced by build.sh
# shellcheck shell=bash
# Needs: suite, cache, work (build.sh)

# One-line apt sources of Debian (its own archive only: no third party's packages get in).
debian_sources() {
    local format="deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \$(REPO_URI) \$(RELEASE) \$(COMPONENT)"
    apt-get indextargets --format "\$(ORIGIN)|\$(CODENAME)|$format" 'Created-By: Packages' |
        sed -n "s/^Debian|$suite\(-updates\|-security\)\?|//p" | sort -u
}

# Lists must be there before anything can be asked of them.
debian_refresh() {
    [[ -n $(debian_sources) ]] || apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
    [[ -n $(debian_sources) ]] || fail "no Debian 12 source in this machine's apt configuration"
}

# Prints name and version of every package the image will hold.
debian_plan() {
    debian_refresh
    # shellcheck disable=SC2086
    apt-get -s -o Dir::State::status=/dev/null -o APT::Install-Recommends=false \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        install '?essential' apt usr-is-merged $1 | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\).*/\1 \2/p' | sort
}

# Unpacks PACKAGES without the paths listed in EXCLUDES into DIR, from the cache if it can.
debian_unpack() {
    local key tar
    key=$({ debian_plan "$1"; cat "$2" "${BASH_SOURCE[0]}"; } | sha256sum | cut -c1-24)
    tar=$cache/$suite-$key.tar.zst
    if [[ ! -r $tar || -n $rebuild ]]; then
        find "$cache" -maxdepth 1 -name "$suite-*.tar.zst" -mtime +14 -delete
        debian_install "$1" "$2" "$work/packages.tar"
        zstd -q -1 -T0 "$work/packages.tar" -o "$work/packages.tar.zst"
        rm "$work/packages.tar"
        mv "$work/packages.tar.zst" "$tar"
    fi
    mkdir "$3"
    tar --zstd -C "$3" --numeric-owner --xattrs --xattrs-include='*' -xpf "$tar"
}

debian_install() {
    local sources=$work/sources.list options=()
    debian_sources >"$sources"
    mapfile -t options < <(sed -n "s|^/|--dpkgopt=path-exclude=/|p" "$2")
    if ! mmdebstrap --quiet --mode=root --variant=minbase --architectures=amd64 \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        "${options[@]}" --include="usr-is-merged ${1// /,}" \
        "$suite" "$3" - <"$sources" >"$work/mmdebstrap.log" 2>&1; then
        tail -n 20 "$work/mmdebstrap.log" >&2
        fail "installing the packages failed"
    fi
}
