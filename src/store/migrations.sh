#!/bin/sh
# Prints sql/identity/*.sql and sql/region/*.sql as the C tables that store/migrate.h declares.
set -eu
export LC_ALL=C

table() {
	printf 'const Migration %s[] = {\n' "$1"
	for file in "$2"/*.sql; do
		printf '    { "%s",\n' "$(basename "$file" .sql)"
		sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/        "/' -e 's/$/\\n"/' "$file"
		printf '    },\n'
	done
	printf '    { NULL, NULL },\n};\n'
}

printf '#include "store/migrate.h"\n\n'
table migrations_identity sql/identity
table migrations_region sql/region
