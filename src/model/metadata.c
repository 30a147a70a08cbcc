#include "model/metadata.h"

#include <string.h>

#define TOKEN_PATH    "latest/api/token"
#define HOP_LIMIT     1
#define HOP_LIMIT_MAX 64

/* First elements of a path; what is below is the same for each. */
static const char *const versions[] = {
    "1.0",        "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15",
    "2008-02-01", "2008-09-01", "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12",
    "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02",
    "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-08-24", "2020-10-27",
    "2021-01-03", "2021-03-23", "2021-07-15", "2022-07-09", "2022-09-24", "2024-04-11",
    "latest",     NULL,
};

MetadataFacts *metadata_facts_new(void)
{
    MetadataFacts *facts = g_new0(MetadataFacts, 1);

    metadata_facts_set_options(facts, NULL, NULL);
    return facts;
}

void metadata_facts_free(MetadataFacts *facts)
{
    if (!facts)
        return;
    for (guint i = 0; i < FACT__COUNT; i++)
        g_free(facts->text[i]);
    g_clear_pointer(&facts->user_data, g_bytes_unref);
    json_decref(facts->tags);
    g_free(facts);
}

static gboolean option_is(const json_t *options, const char *name, const char *value)
{
    return g_strcmp0(json_string_value(json_object_get(options, name)), value) == 0;
}

void metadata_facts_set_options(MetadataFacts *facts, const json_t *options, json_t *tags)
{
    const json_t *hops = json_object_get(options, "HttpPutResponseHopLimit");

    facts->enabled = !option_is(options, "HttpEndpoint", "disabled");
    facts->required = !option_is(options, "HttpTokens", "optional");
    facts->hop_limit =
        json_is_integer(hops) ? (gint)CLAMP(json_integer_value(hops), 1, HOP_LIMIT_MAX) : HOP_LIMIT;
    json_decref(facts->tags);
    facts->tags =
        option_is(options, "InstanceMetadataTags", "enabled") && tags ? json_incref(tags) : NULL;
}

void metadata_answer_clear(MetadataAnswer *answer)
{
    g_clear_pointer(&answer->text, g_free);
}

/* A page of somebody else that made its name point here sends that name. */
static gboolean host_is_ours(const char *host)
{
    if (!host || !*host)
        return TRUE;
    gsize length = strcspn(host, ":");
    g_autofree char *name = g_ascii_strdown(host, (gssize)length);
    return strspn(name, "0123456789.") == length || strcmp(name, "localhost") == 0 ||
           strcmp(name, "instance-data") == 0 || g_str_has_prefix(name, "instance-data.");
}

/* Decoded, without empty elements: "/latest//meta-data/" gives "latest/meta-data". NULL when it is
 * no text. */
static char *path_clean(const char *raw)
{
    g_autofree char *decoded = g_uri_unescape_string(raw, NULL);

    if (!decoded || !g_utf8_validate(decoded, -1, NULL))
        return NULL;
    g_autoptr(GString) clean = g_string_new(NULL);
    g_auto(GStrv) parts = g_strsplit(decoded, "/", -1);
    for (char **part = parts; *part; part++)
        if (**part)
            g_string_append_printf(clean, "%s%s", clean->len ? "/" : "", *part);
    return g_string_free(g_steal_pointer(&clean), FALSE);
}

static int serve_put(const MetadataRequest *request, const char *path, const MetadataFacts *facts,
                     const guint8 *token_key, const guint8 *nonce, gint64 now_us,
                     MetadataAnswer *answer)
{
    char token[METADATA_TOKEN_SIZE];
    gint seconds = metadata_ttl_parse(request->ttl);

    if (strcmp(path, TOKEN_PATH) != 0)
        return g_str_has_suffix(path, "/api/token") ? 403 : 405;
    if (!seconds)
        return 400;
    metadata_token_make(token_key, facts->text[FACT_INSTANCE_ID], nonce,
                        now_us + (gint64)seconds * G_USEC_PER_SEC, token);
    answer->text = g_strdup(token);
    answer->token = TRUE;
    answer->ttl_seconds = seconds;
    return 200;
}

static gboolean may_read(const MetadataRequest *request, const MetadataFacts *facts,
                         const guint8 *token_key, gint64 now_us)
{
    if (!request->token)
        return !facts->required;
    return metadata_token_good(token_key, facts->text[FACT_INSTANCE_ID], request->token, now_us);
}

static int serve_get(const char *path, const MetadataFacts *facts, gint64 now_us,
                     MetadataAnswer *answer)
{
    gsize length = strcspn(path, "/");
    g_autofree char *version = g_strndup(path, length);

    if (!*path) {
        answer->text = g_strjoinv("\n", (char **)versions);
        return 200;
    }
    if (strcmp(path, TOKEN_PATH) == 0)
        return 405;
    if (!g_strv_contains(versions, version))
        return 404;
    return metadata_find(facts, path + length + (path[length] == '/'), now_us, answer) ? 200 : 404;
}

static int serve(const MetadataRequest *request, const MetadataFacts *facts,
                 const guint8 *token_key, const guint8 *nonce, gint64 now_us,
                 MetadataAnswer *answer)
{
    if (!facts || !facts->enabled || request->forwarded_for || !host_is_ours(request->host))
        return 403;
    g_autofree char *path = path_clean(request->path);
    if (!path)
        return 400;
    if (strcmp(request->method, "PUT") == 0)
        return serve_put(request, path, facts, token_key, nonce, now_us, answer);
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
        return 405;
    if (!may_read(request, facts, token_key, now_us))
        return 401;
    return serve_get(path, facts, now_us, answer);
}

void metadata_serve(const MetadataRequest *request, const MetadataFacts *facts,
                    const guint8 token_key[CRYPTO_KEY_SIZE],
                    const guint8 nonce[METADATA_TOKEN_NONCE], gint64 now_us,
                    MetadataAnswer *ret_answer)
{
    *ret_answer = (MetadataAnswer){ 0 };
    ret_answer->status = serve(request, facts, token_key, nonce, now_us, ret_answer);
}
