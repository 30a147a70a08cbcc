/*
 * server/metadata_source.h - what the metadata service answers from: who has an address, a role's
 * credentials, the region's signing key; each kept a while. Thread-safe.
 *
 * Errors: those of store/db.h; ACCESS_DENIED (the role does not trust instances).
 */
#pragma once

#include "base/signer.h"
#include "handlers/request.h"
#include "model/metadata.h"

typedef struct MetadataSource MetadataSource;

/* The instance behind an address, for a second. */
typedef struct {
    MetadataFacts *facts; /* NULL: no living instance has it */
    gint64 until_us;
} MetadataCaller;

/* context is borrowed. */
MetadataSource *metadata_source_new(const HandlerContext *context);
void metadata_source_free(MetadataSource *source);

/* Give it back with metadata_caller_unref. */
MetadataCaller *metadata_source_caller(MetadataSource *source, const char *address, gint64 now_us,
                                       GError **error);
void metadata_caller_unref(MetadataCaller *caller);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MetadataCaller, metadata_caller_unref)

/* The document that SDKs read: the same one while it is fresh (session_fresh_us). Caller frees. */
char *metadata_source_credentials(MetadataSource *source, const MetadataFacts *facts, gint64 now_us,
                                  GError **error);
/* The region's key for identity documents; made when there is none. Borrowed. */
const Signer *metadata_source_signer(MetadataSource *source, GError **error);
