# place.sh - puts files in their places, each whole or not at all; runs as root
# Standard input, for each file: a line each for path, mode, SHA-256 and length, then its bytes.
set -u
umask 077
while IFS= read -r path; do
    IFS= read -r mode && IFS= read -r sum && IFS= read -r length || exit 2
    new="$path.new-$$"
    mkdir -p -m 755 "${path%/*}"
    head -c "$length" >"$new"
    if [ "$(sha256sum <"$new" | cut -c1-64)" != "$sum" ]; then
        rm -f "$new"
        echo "what arrived for $path is not what was sent" >&2
        exit 1
    fi
    chmod "$mode" "$new" && mv -f "$new" "$path" || exit 1
done
