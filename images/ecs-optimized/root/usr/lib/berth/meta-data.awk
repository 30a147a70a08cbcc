# meta-data.awk - reads NoCloud meta-data, YAML or JSON, and prints it as assignments for sh
#
# Knows instance-id, local-hostname and public-keys (a list of keys, or of names with keys).
# What comes out is quoted whole: a value cannot end its quotes.

function quoted(text) {
    gsub(/'/, "", text)
    return "'" text "'"
}

function is_key(text) {
    return text ~ /^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-|sk-(ssh|ecdsa))[^ ]* [A-Za-z0-9+\/=]+/
}

function bare(text) {
    sub(/^[ \t]+/, "", text)
    sub(/[ \t\r]+$/, "", text)
    if (text ~ /^".*"$/ || text ~ /^'.*'$/)
        text = substr(text, 2, length(text) - 2)
    return text
}

function set(name, text) {
    if (name == "instance-id" || name == "instance_id")
        id = text
    else if (name == "local-hostname" || name == "local_hostname")
        host = text
}

# Of JSON only the strings matter: one followed by a colon names the values after it.
function json(text,    piece, name) {
    while (match(text, /"([^"\\]|\\.)*"/)) {
        piece = substr(text, RSTART + 1, RLENGTH - 2)
        gsub(/\\\//, "/", piece)
        text = substr(text, RSTART + RLENGTH)
        if (text ~ /^[ \t\r\n]*:/) {
            name = piece
        } else if (is_key(piece)) {
            keys = keys piece "\n"
        } else {
            set(name, piece)
        }
    }
}

function yaml(line,    name, text) {
    if (line ~ /^[A-Za-z]/ && (name = index(line, ":"))) {
        section = substr(line, 1, name - 1)
        set(section, bare(substr(line, name + 1)))
    }
    if (section !~ /^public[-_]keys$/)
        return
    text = line
    sub(/^[ \t]*(- *)?/, "", text)
    if (!is_key(bare(text)))
        sub(/^[^ ]*: */, "", text)
    text = bare(text)
    if (is_key(text))
        keys = keys text "\n"
}

{ whole = whole $0 "\n" }

END {
    if (whole ~ /^[ \t\r\n]*\{/) {
        json(whole)
    } else {
        count = split(whole, line, "\n")
        for (n = 1; n <= count; n++)
            yaml(line[n])
    }
    if (host !~ /^[A-Za-z0-9][A-Za-z0-9.-]*$/)
        host = "localhost"
    if (id !~ /^[A-Za-z0-9][A-Za-z0-9._:-]*$/)
        id = ""
    print "id=" quoted(id) " host=" quoted(host) " keys=" quoted(keys)
}
