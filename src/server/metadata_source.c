#include "server/metadata_source.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/log.h"
#include "store/metadata.h"
#include "store/region_secrets.h"
#include "store/roles.h"
#include "store/sessions.h"

#include <pthread.h>
#include <string.h>

#define FACTS_TTL_US (1 * CLOCK_SECOND_US)
#define KEPT_MAX     32768
#define SIGNER_NAME  "Berth instance identity"

/* What an instance was handed out last. */
typedef struct {
    char *role_id;
    char *document;
    gint64 renew_us;
} Granted;

struct MetadataSource {
    const HandlerContext *context;
    pthread_mutex_t lock; /* guards what follows; never held over a statement */
    GHashTable *facts;    /* address -> MetadataCaller */
    GHashTable *granted;  /* instance id -> Granted */
    Signer *signer;
};

static void granted_free(gpointer data)
{
    Granted *granted = data;

    g_free(granted->role_id);
    explicit_bzero(granted->document, strlen(granted->document));
    g_free(granted->document);
    g_free(granted);
}

static void caller_clear(gpointer data)
{
    metadata_facts_free(((MetadataCaller *)data)->facts);
}

void metadata_caller_unref(MetadataCaller *caller)
{
    if (caller)
        g_atomic_rc_box_release_full(caller, caller_clear);
}

MetadataSource *metadata_source_new(const HandlerContext *context)
{
    MetadataSource *source = g_new0(MetadataSource, 1);

    source->context = context;
    pthread_mutex_init(&source->lock, NULL);
    source->facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                          (GDestroyNotify)metadata_caller_unref);
    source->granted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, granted_free);
    return source;
}

void metadata_source_free(MetadataSource *source)
{
    if (!source)
        return;
    g_hash_table_destroy(source->facts);
    g_hash_table_destroy(source->granted);
    signer_free(source->signer);
    pthread_mutex_destroy(&source->lock);
    g_free(source);
}

/* -- who asks */

static gboolean facts_load(const MetadataSource *source, const char *address,
                           MetadataFacts **ret_facts, GError **error)
{
    const HandlerContext *context = source->context;
    GError *cause = NULL;
    g_autoptr(DbTx) region = db_begin(context->region, DB_MODE_READ, error);

    if (!region)
        return FALSE;
    g_autoptr(MetadataFacts) facts = metadata_find_by_ip(
        region, context->config->region, context->config->network_cidr, address, &cause);
    if (cause) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    if (facts && facts->text[FACT_PROFILE]) {
        g_autoptr(DbTx) identity = db_begin(context->identity, DB_MODE_READ, error);
        if (!identity || !metadata_add_profile(identity, facts, error))
            return FALSE;
    }
    *ret_facts = g_steal_pointer(&facts);
    return TRUE;
}

MetadataCaller *metadata_source_caller(MetadataSource *source, const char *address, gint64 now_us,
                                       GError **error)
{
    MetadataFacts *facts = NULL;

    pthread_mutex_lock(&source->lock);
    MetadataCaller *caller = g_hash_table_lookup(source->facts, address);
    if (caller && caller->until_us > now_us)
        g_atomic_rc_box_acquire(caller);
    else
        caller = NULL;
    pthread_mutex_unlock(&source->lock);
    if (caller)
        return caller;
    if (!facts_load(source, address, &facts, error))
        return NULL;
    caller = g_atomic_rc_box_new0(MetadataCaller);
    caller->facts = facts;
    caller->until_us = now_us + FACTS_TTL_US;
    pthread_mutex_lock(&source->lock);
    if (g_hash_table_size(source->facts) >= KEPT_MAX)
        g_hash_table_remove_all(source->facts);
    g_hash_table_replace(source->facts, g_strdup(address), g_atomic_rc_box_acquire(caller));
    pthread_mutex_unlock(&source->lock);
    return caller;
}

/* -- credentials */

static char *credentials_document(const SessionCredentials *made, gint64 now_us)
{
    char now[CLOCK_ISO_SIZE], ends[CLOCK_ISO_SIZE];
    json_auto_t *tree =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Code", "Success", "LastUpdated",
                  clock_iso_s(now_us, now), "Type", "AWS-HMAC", "AccessKeyId", made->access_key_id,
                  "SecretAccessKey", made->secret, "Token", made->token, "Expiration",
                  clock_iso_s(made->expires_us, ends));

    return json_dumps(tree, JSON_INDENT(2));
}

/* A session of the role, as one transaction of its own. */
static char *credentials_make(const MetadataSource *source, const MetadataFacts *facts,
                              gint64 now_us, GError **error)
{
    const HandlerContext *context = source->context;
    gint64 lasts_us = (gint64)context->config->role_session_seconds * CLOCK_SECOND_US;
    SessionWish wish = { .account_id = facts->text[FACT_ACCOUNT_ID],
                         .role_name = facts->text[FACT_ROLE],
                         .session_name = facts->text[FACT_INSTANCE_ID],
                         .kind = SESSION_INSTANCE,
                         .subject = facts->text[FACT_INSTANCE_ID],
                         .expires_us = now_us + lasts_us };
    g_autoptr(DbTx) tx = db_begin(context->identity, DB_MODE_WRITE, error);

    if (!tx ||
        !roles_check_service(tx, wish.account_id, wish.role_name, "ec2.amazonaws.com", error))
        return NULL;
    g_autoptr(SessionCredentials) made = sessions_grant(tx, context->master_key, &wish, error);
    if (!made || !db_commit(g_steal_pointer(&tx), error))
        return NULL;
    return credentials_document(made, now_us);
}

static char *granted_lookup(MetadataSource *source, const MetadataFacts *facts, gint64 now_us)
{
    pthread_mutex_lock(&source->lock);
    const Granted *granted = g_hash_table_lookup(source->granted, facts->text[FACT_INSTANCE_ID]);
    char *document = granted && granted->renew_us > now_us &&
                             strcmp(granted->role_id, facts->text[FACT_ROLE_ID]) == 0
                         ? g_strdup(granted->document)
                         : NULL;
    pthread_mutex_unlock(&source->lock);
    return document;
}

char *metadata_source_credentials(MetadataSource *source, const MetadataFacts *facts, gint64 now_us,
                                  GError **error)
{
    gint64 lasts_us = (gint64)source->context->config->role_session_seconds * CLOCK_SECOND_US;
    char *document = granted_lookup(source, facts, now_us);

    if (document)
        return document;
    document = credentials_make(source, facts, now_us, error);
    if (!document)
        return NULL;
    Granted *granted = g_new0(Granted, 1);
    granted->role_id = g_strdup(facts->text[FACT_ROLE_ID]);
    granted->document = g_strdup(document);
    granted->renew_us = now_us + session_fresh_us(lasts_us);
    pthread_mutex_lock(&source->lock);
    if (g_hash_table_size(source->granted) >= KEPT_MAX)
        g_hash_table_remove_all(source->granted);
    g_hash_table_replace(source->granted, g_strdup(facts->text[FACT_INSTANCE_ID]), granted);
    pthread_mutex_unlock(&source->lock);
    return document;
}

/* -- the region's key */

static gboolean signer_secret(const MetadataSource *source, DbTx *tx, char **ret_sealed,
                              char **ret_certificate, GError **error)
{
    gboolean found = FALSE;
    g_autofree char *key = NULL, *certificate = NULL;

    if (!region_secrets_get(tx, REGION_SECRET_IDENTITY, &found, ret_sealed, ret_certificate, error))
        return FALSE;
    if (found)
        return TRUE;
    if (!signer_make(SIGNER_NAME, &key, &certificate, error))
        return FALSE;
    g_autofree char *sealed = crypto_seal(source->context->master_key, key);
    explicit_bzero(key, strlen(key));
    /* another daemon's may be there first: what is read back counts */
    return region_secrets_add(tx, REGION_SECRET_IDENTITY, sealed, certificate, error) &&
           region_secrets_get(tx, REGION_SECRET_IDENTITY, &found, ret_sealed, ret_certificate,
                              error);
}

/* For whoever checks signatures of documents. */
static void publish_certificate(const MetadataSource *source, const char *certificate)
{
    g_autofree char *file =
        g_build_filename(source->context->config->state_dir, "tls", "instance-identity.crt", NULL);
    g_autoptr(GError) cause = NULL;

    if (!g_file_set_contents_full(file, certificate, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644,
                                  &cause))
        log_line(LOG_WARN, "metadata", "the certificate is not published: %s", cause->message);
}

static Signer *signer_load(const MetadataSource *source, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(source->context->region, DB_MODE_READ, error);
    g_autofree char *sealed = NULL, *certificate = NULL;

    if (!tx || !signer_secret(source, tx, &sealed, &certificate, error))
        return NULL;
    g_autofree char *key = crypto_unseal(source->context->master_key, sealed, error);
    if (!key)
        return NULL;
    Signer *signer = signer_new(key, certificate, error);
    explicit_bzero(key, strlen(key));
    publish_certificate(source, certificate);
    return signer;
}

const Signer *metadata_source_signer(MetadataSource *source, GError **error)
{
    pthread_mutex_lock(&source->lock);
    const Signer *known = source->signer;
    pthread_mutex_unlock(&source->lock);
    if (known)
        return known;
    g_autoptr(Signer) loaded = signer_load(source, error);
    if (!loaded)
        return NULL;
    pthread_mutex_lock(&source->lock);
    if (!source->signer)
        source->signer = g_steal_pointer(&loaded);
    known = source->signer;
    pthread_mutex_unlock(&source->lock);
    return known;
}
