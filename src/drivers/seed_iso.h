/*
 * drivers/seed_iso.h - the seed disk a guest reads at its first boot: a small ISO 9660 volume
 *
 * Pure: files in, bytes out, the same bytes for the same files. Every file lies in the root
 * folder, with its name in capitals for ISO 9660 and as it is for Joliet, which Linux prefers.
 * Source: ECMA-119 (volume descriptors, directory records); Joliet Specification (escape "%/E").
 */
#pragma once

#include <glib.h>

typedef struct {
    const char *name; /* at most 30 letters, digits, '-' and '_' */
    const void *data;
    gsize length;
} SeedFile;

#define SEED_FILES_MAX 8

/* At most SEED_FILES_MAX files. Caller frees; *ret_length is a multiple of 2048. */
guint8 *seed_iso(const char *label, const SeedFile *files, gsize count, gsize *ret_length);
