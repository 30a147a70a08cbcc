# place.sh - puts a file in its place, whole or not at all; runs as root
# Standard input: a line each for path, mode and SHA-256, then the file.
set -u
umask 077
IFS= read -r path && IFS= read -r mode && IFS= read -r sum || exit 2
digest() { sha256sum <"$1" | cut -c1-64; }
if [ -f "$path" ] && [ "$(digest "$path")" = "$sum" ]; then
    chmod "$mode" "$path"
    echo same
    exit 0
fi
mkdir -p -m 755 "${path%/*}"
new="$path.new-$$"
cat >"$new"
if [ "$(digest "$new")" != "$sum" ]; then
    rm -f "$new"
    echo "what arrived for $path is not what was sent" >&2
    exit 1
fi
chmod "$mode" "$new" && mv -f "$new" "$path" && echo placed
