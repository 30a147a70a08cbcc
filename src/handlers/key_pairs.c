/* CreateKeyPair, ImportKeyPair, DescribeKeyPairs, DeleteKeyPair. */
#include "handlers/ec2_common.h"
#include "handlers/filters.h"
#include "handlers/table.h"
#include "base/errors.h"
#include "base/id.h"
#include "model/ssh_key.h"
#include "store/key_pairs.h"

#include <string.h>

#define NAME_MAX_LENGTH 255

static const FilterName key_filters[] = {
    { "fingerprint", "KeyFingerprint" },
    { "key-name", "KeyName" },
    { "key-pair-id", "KeyPairId" },
    { NULL, NULL },
};

static const char *const taggable[] = { "key-pair", NULL };

/* A name of 1 to 255 printable ASCII characters, without blanks at its ends. */
static gboolean check_name(const char *name, GError **error)
{
    gsize length = name ? strlen(name) : 0, printable = 0;

    if (length == 0)
        return ec2_missing("KeyName", error);
    while (g_ascii_isprint(name[printable]))
        printable++;
    if (printable < length || length > NAME_MAX_LENGTH || name[0] == ' ' || name[length - 1] == ' ')
        return fail(error, INVALID_PARAMETER,
                    "Value for parameter KeyName is invalid. Expecting up to %d ASCII characters"
                    " without leading or trailing spaces.",
                    NAME_MAX_LENGTH);
    return TRUE;
}

/* Writes the row and its tags; the answer without the private half. */
static json_t *keep(Request *rq, const SshKey *key, GError **error)
{
    g_autofree char *id = id_ec2("key");
    KeyPair pair = { .id = id,
                     .name = (char *)request_text(rq, "KeyName"),
                     .type = (char *)ssh_key_type_name(key->type),
                     .fingerprint = key->fingerprint,
                     .public_key = key->public_line };
    const char *ids[] = { id, NULL };

    if (!key_pairs_insert(rq->tx, rq->account_id, &pair, error) ||
        !ec2_tag_specifications_set(rq, "key-pair", ids, 1, error))
        return NULL;
    json_t *answer = json_pack("{s:s, s:s, s:s}", "KeyName", pair.name, "KeyPairId", id,
                               "KeyFingerprint", key->fingerprint);
    json_t *tags = ec2_tag_specification(rq, "key-pair");
    if (tags)
        json_object_set(answer, "Tags", tags);
    return answer;
}

json_t *create_key_pair(Request *rq, GError **error)
{
    const char *name = request_text(rq, "KeyName"), *type = request_text(rq, "KeyType");
    const char *format = request_text(rq, "KeyFormat");

    if (!EC2_ONLY(rq, error, "KeyName", "KeyType", "KeyFormat", "TagSpecifications") ||
        !check_name(name, error) || !ec2_tag_specifications_check(rq, taggable, error))
        return NULL;
    if (format && strcmp(format, "pem") != 0)
        return fail_null(error, UNSUPPORTED,
                         "The parameter KeyFormat is not supported here with the value '%s'",
                         format);
    SshKeyType kind = type && strcmp(type, "ed25519") == 0 ? SSH_KEY_ED25519 : SSH_KEY_RSA;
    g_autoptr(SshKey) key = ssh_key_generate(kind, name, error);
    json_t *answer = key ? keep(rq, key, error) : NULL;
    if (answer)
        json_object_set_new(answer, "KeyMaterial", json_string(key->private_pem));
    return answer;
}

json_t *import_key_pair(Request *rq, GError **error)
{
    const char *material = request_text(rq, "PublicKeyMaterial");
    gsize length = 0;

    if (!EC2_ONLY(rq, error, "KeyName", "PublicKeyMaterial", "TagSpecifications") ||
        !check_name(request_text(rq, "KeyName"), error) ||
        !ec2_tag_specifications_check(rq, taggable, error))
        return NULL;
    if (!material) {
        ec2_missing("PublicKeyMaterial", error);
        return NULL;
    }
    g_autofree guchar *line = g_base64_decode(material, &length);
    g_autoptr(SshKey) key = ssh_key_import((const char *)line, length, error);
    return key ? keep(rq, key, error) : NULL;
}

static json_t *pair_json(const KeyPair *pair, gboolean with_public)
{
    json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:I}", "KeyPairId", pair->id, "KeyName",
                             pair->name, "KeyType", pair->type, "KeyFingerprint", pair->fingerprint,
                             "CreateTime", (json_int_t)pair->created_us);

    if (with_public)
        json_object_set_new(item, "PublicKey", json_string(pair->public_key));
    return item;
}

json_t *describe_key_pairs(Request *rq, GError **error)
{
    g_autofree const char **names = request_strings(rq, "KeyNames");
    g_autofree const char **ids = request_strings(rq, "KeyPairIds");
    g_autoptr(Filters) filters =
        EC2_ONLY(rq, error, "KeyNames", "KeyPairIds", "Filters", "IncludePublicKey")
            ? filters_new(rq, key_filters, TRUE, error)
            : NULL;
    g_autoptr(GPtrArray) pairs =
        filters ? key_pairs_list(rq->tx, rq->account_id, names, ids, error) : NULL;

    if (!pairs)
        return NULL;
    g_autofree const char **all = g_new0(const char *, pairs->len + 1);
    for (guint n = 0; n < pairs->len; n++)
        all[n] = ((KeyPair *)pairs->pdata[n])->id;
    g_autoptr(GHashTable) tags = ec2_tags_of(rq, all, error);
    if (!tags)
        return NULL;
    json_t *items = json_array();
    for (guint n = 0; n < pairs->len; n++) {
        json_auto_t *item = pair_json(pairs->pdata[n], request_bool(rq, "IncludePublicKey", FALSE));
        ec2_tags_add(tags, all[n], item);
        if (filters_match(filters, item, NULL))
            json_array_append(items, item);
    }
    return json_pack("{s:o}", "KeyPairs", items);
}

/* A pair that is not there is as good as deleted. */
json_t *delete_key_pair(Request *rq, GError **error)
{
    const char *name = request_text(rq, "KeyName"), *id = request_text(rq, "KeyPairId");
    g_autofree char *deleted = NULL;

    if (!EC2_ONLY(rq, error, "KeyName", "KeyPairId"))
        return NULL;
    if (!name && !id) {
        ec2_missing("KeyName", error);
        return NULL;
    }
    if (!key_pairs_delete(rq->tx, rq->account_id, name, id, &deleted, error) ||
        (deleted && !tags_forget(rq->tx, (const char *const[]){ deleted, NULL }, error)))
        return NULL;
    return json_object();
}
