#!/bin/bash
# lint.sh [ROOT] - what the compiler does not check: layers, headers alone, sizes, forbidden calls,
# words, format. Prints TAP, one test a rule; every offence is a diagnostic line with file and line.
set -u
cd "${1:-.}" || exit 2
rules=0 failed=0
report() { # name, offences on stdin
    local offences
    offences=$(cat)
    rules=$((rules + 1))
    if [ -z "$offences" ]; then
        echo "ok $rules - $1"
    else
        failed=$((failed + 1))
        echo "not ok $rules - $1"
        printf '%s\n' "$offences" | head -40 | sed 's/^/# /'
    fi
}
sources=$(git ls-files 'src/*.c' 'src/*.h')

# An include "room/file.h" must be of the file's own room or of one that src/LAYERS allows it.
layers() {
    awk '
        FILENAME == "src/LAYERS" {
            if ($0 ~ /^[a-z]+:/) { room = $1; sub(":", "", room); for (i = 2; i <= NF; i++) may[room, $i] = 1; known[room] = 1 }
            next
        }
        /^[ \t]*#[ \t]*include[ \t]+"[a-z]+\// {
            split(FILENAME, at, "/"); from = at[2]
            match($0, /"[a-z]+\//); to = substr($0, RSTART + 1, RLENGTH - 2)
            if (from != to && (to in known) && !((from, to) in may))
                print FILENAME ":" FNR ": " from " may not include " to
        }' src/LAYERS $sources
}

# Each header compiles as the only thing in a file.
headers_alone() {
    local flags header
    flags="-std=gnu17 -D_GNU_SOURCE -fsyntax-only -Isrc -I${BUILD:-build}/gen $(pkg-config --cflags \
        glib-2.0 jansson libpq libvirt libssh2 libcurl libmicrohttpd libxml-2.0 libcrypto)"
    git ls-files 'src/*.h' | xargs -P "$(nproc)" -I{} sh -c \
        'printf "#include \"%s\"\n" "${1#src/}" | gcc $2 -x c - >/dev/null 2>&1 || echo "$1: does not compile alone"' _ {} "$flags"
}

file_sizes() { wc -l $sources | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines (at most 600)" }'; }

# Functions start in column 1 and end with a brace there.
function_sizes() {
    awk '
        FNR == 1 { inside = 0 }
        /^\{/ && !inside { inside = 1; start = FNR; next }
        /^\}/ && inside { if (FNR - start - 1 > 50) print FILENAME ":" start ": function of " FNR - start - 1 " lines (at most 50)"; inside = 0 }
    ' $(git ls-files 'src/*.c')
}

forbidden_calls() {
    grep -nE '\b(strcpy|strcat|sprintf|vsprintf|atoi|atol|strtok|gets|system|popen|tmpnam|mktemp|alloca|usleep)[[:space:]]*\(' $sources
    grep -nE '\bgoto\b' $sources
}

# Statements are literals with parameters: never made by a printf family call or concatenation.
sql_literals() {
    grep -nE '(printf|g_string_append|g_strconcat|g_strjoin)[a-z_]*\(.*"[^"]*\b(SELECT .* FROM|INSERT INTO|UPDATE [a-z_]+ SET|DELETE FROM)\b' $sources
}

markup_literals() { grep -nE '(printf|g_string_append|g_strconcat)[a-z_]*\(.*"<[a-zA-Z/?]' $(git ls-files 'src/*.c' | grep -v '^src/modelc/'); }

pragma_once() { for h in $(git ls-files 'src/*.h'); do grep -q '^#pragma once' "$h" || echo "$h: no #pragma once"; done; }

unfinished_words() { git grep -nIwE 'TODO|FIXME|XXX|HACK' -- src sql tests provisioning images ':!tests/lint'; }

format() {
    command -v clang-format >/dev/null || { echo "clang-format is not installed"; return; }
    printf '%s\n' $(git ls-files 'src/*.c' 'src/*.h') | xargs -P "$(nproc)" -n 8 clang-format --dry-run 2>&1 |
        grep -E 'warning: code should' | sed 's/: warning.*//' | awk -F: '!seen[$1]++ { print $1 ":" $2 ": not as clang-format writes it (make format)" }'
}

echo "1..9"
report "includes go down only (src/LAYERS)" < <(layers)
report "each header compiles alone" < <(headers_alone)
report "files are at most 600 lines long" < <(file_sizes)
report "functions are at most 50 lines long" < <(function_sizes)
report "no forbidden calls" < <(forbidden_calls)
report "no SQL or XML glued from strings" < <(sql_literals; markup_literals)
report "headers say pragma once" < <(pragma_once)
report "no marks of unfinished work" < <(unfinished_words)
report "format is clang-format's" < <(format)
[ "$failed" = 0 ]
