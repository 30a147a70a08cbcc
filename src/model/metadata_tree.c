/* The tree of metadata: a table of paths, and what stands there. */
#include "base/clock.h"
#include "model/metadata.h"

#include <string.h>

typedef struct {
    const char *path;  /* "${mac}", "${role}", "${tag}" stand for the instance's own */
    MetadataFact fact; /* what is there, or whose presence makes it be there */
    const char *words; /* instead of the fact's text */
    MetadataKind kind;
} Row;

#define DATA      "meta-data/"
#define MACS      DATA "network/interfaces/macs/"
#define INTERFACE MACS "${mac}/"
#define IDENTITY  "dynamic/instance-identity/"

static const Row rows[] = {
    { .path = DATA "ami-id", FACT_IMAGE_ID },
    { .path = DATA "ami-launch-index", FACT_LAUNCH_INDEX },
    { .path = DATA "block-device-mapping/ami", FACT_ROOT_DEVICE },
    { .path = DATA "block-device-mapping/root", FACT_ROOT_DEVICE },
    { .path = DATA "hostname", FACT_HOSTNAME },
    { .path = DATA "iam/info", FACT_PROFILE_ARN, .kind = METADATA_IAM_INFO },
    { .path = DATA "iam/security-credentials/${role}", FACT_ROLE, .kind = METADATA_CREDENTIALS },
    { .path = DATA "instance-action", .words = "none" },
    { .path = DATA "instance-id", FACT_INSTANCE_ID },
    { .path = DATA "instance-life-cycle", .words = "on-demand" },
    { .path = DATA "instance-type", FACT_INSTANCE_TYPE },
    { .path = DATA "local-hostname", FACT_HOSTNAME },
    { .path = DATA "local-ipv4", FACT_PRIVATE_IP },
    { .path = DATA "mac", FACT_MAC },
    { .path = INTERFACE "device-number", .words = "0" },
    { .path = INTERFACE "interface-id", FACT_ENI_ID },
    { .path = INTERFACE "local-hostname", FACT_HOSTNAME },
    { .path = INTERFACE "local-ipv4s", FACT_PRIVATE_IP },
    { .path = INTERFACE "mac", FACT_MAC },
    { .path = INTERFACE "owner-id", FACT_ACCOUNT_ID },
    { .path = INTERFACE "security-group-ids", FACT_GROUP_ID },
    { .path = INTERFACE "security-groups", .words = "default" },
    { .path = INTERFACE "subnet-id", FACT_SUBNET_ID },
    { .path = INTERFACE "subnet-ipv4-cidr-block", FACT_SUBNET_CIDR },
    { .path = INTERFACE "vpc-id", FACT_VPC_ID },
    { .path = INTERFACE "vpc-ipv4-cidr-block", FACT_VPC_CIDR },
    { .path = INTERFACE "vpc-ipv4-cidr-blocks", FACT_VPC_CIDR },
    { .path = DATA "placement/availability-zone", FACT_ZONE_NAME },
    { .path = DATA "placement/availability-zone-id", FACT_ZONE_ID },
    { .path = DATA "placement/region", FACT_REGION },
    { .path = DATA "profile", .words = "default-hvm" },
    { .path = DATA "public-keys/0/openssh-key", FACT_PUBLIC_KEY },
    { .path = DATA "reservation-id", FACT_RESERVATION_ID },
    { .path = DATA "security-groups", .words = "default" },
    { .path = DATA "services/domain", .words = "amazonaws.com" },
    { .path = DATA "services/partition", .words = "aws" },
    { .path = DATA "system", .words = "nitro" },
    { .path = IDENTITY "document", FACT_INSTANCE_ID },
    { .path = IDENTITY "pkcs7", FACT_INSTANCE_ID, .kind = METADATA_PKCS7 },
    { .path = IDENTITY "rsa2048", FACT_INSTANCE_ID, .kind = METADATA_PKCS7 },
    { .path = IDENTITY "signature", FACT_INSTANCE_ID, .kind = METADATA_SIGNATURE },
};

/* What stands at one path of one instance. */
typedef struct {
    char *path;
    char *text;
    MetadataKind kind;
} Entry;

static void entry_free(gpointer data)
{
    Entry *entry = data;

    g_free(entry->path);
    g_free(entry->text);
    g_free(entry);
}

static void entry_add(GPtrArray *entries, char *path, char *text, MetadataKind kind)
{
    Entry *entry = g_new0(Entry, 1);

    entry->path = path;
    entry->text = text;
    entry->kind = kind;
    g_ptr_array_add(entries, entry);
}

static char *path_expand(const char *path, const MetadataFacts *facts)
{
    static const struct {
        const char *name;
        MetadataFact fact;
    } variables[] = { { "${mac}", FACT_MAC }, { "${role}", FACT_ROLE } };
    g_autoptr(GString) full = g_string_new(path);

    for (gsize i = 0; i < G_N_ELEMENTS(variables); i++)
        if (facts->text[variables[i].fact])
            g_string_replace(full, variables[i].name, facts->text[variables[i].fact], 1);
    return g_string_free(g_steal_pointer(&full), FALSE);
}

static char *iam_info(const MetadataFacts *facts, gint64 now_us)
{
    char iso[CLOCK_ISO_SIZE];
    json_auto_t *tree =
        json_pack("{s:s, s:s, s:s, s:s*}", "Code", "Success", "LastUpdated",
                  clock_iso_s(now_us, iso), "InstanceProfileArn", facts->text[FACT_PROFILE_ARN],
                  "InstanceProfileId", facts->text[FACT_PROFILE_ID]);

    return json_dumps(tree, JSON_INDENT(2));
}

char *metadata_document(const MetadataFacts *facts)
{
    char iso[CLOCK_ISO_SIZE];
    char *const *t = facts->text;
    json_auto_t *tree = json_pack(
        "{s:s, s:s, s:s, s:n, s:n, s:n, s:s, s:s, s:s, s:n, s:s, s:s, s:n, s:s, s:s}", "accountId",
        t[FACT_ACCOUNT_ID], "architecture", t[FACT_ARCHITECTURE], "availabilityZone",
        t[FACT_ZONE_NAME], "billingProducts", "devpayProductCodes", "marketplaceProductCodes",
        "imageId", t[FACT_IMAGE_ID], "instanceId", t[FACT_INSTANCE_ID], "instanceType",
        t[FACT_INSTANCE_TYPE], "kernelId", "pendingTime", clock_iso_s(facts->pending_us, iso),
        "privateIp", t[FACT_PRIVATE_IP], "ramdiskId", "region", t[FACT_REGION], "version",
        "2017-09-30");

    return json_dumps(tree, JSON_INDENT(2));
}

static void add_row(GPtrArray *entries, const Row *row, const MetadataFacts *facts, gint64 now_us)
{
    const char *text = row->words ? row->words : facts->text[row->fact];
    gboolean identity = g_str_has_prefix(row->path, IDENTITY);

    if (!text)
        return;
    entry_add(entries, path_expand(row->path, facts),
              identity                         ? metadata_document(facts)
              : row->kind == METADATA_IAM_INFO ? iam_info(facts, now_us)
                                               : g_strdup(text),
              row->kind);
}

/* Keys that would not be one element of a path are left out; EC2 refuses them. */
static void add_tags(GPtrArray *entries, json_t *tags)
{
    const char *key;
    json_t *value;

    json_object_foreach(tags, key, value) if (*key && !strpbrk(key, "/ ") && json_is_string(value))
        entry_add(entries, g_strconcat(DATA "tags/instance/", key, NULL),
                  g_strdup(json_string_value(value)), METADATA_TEXT);
}

static GPtrArray *entries_of(const MetadataFacts *facts, gint64 now_us)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func(entry_free);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        add_row(entries, &rows[i], facts, now_us);
    add_tags(entries, facts->tags);
    if (facts->user_data)
        entry_add(entries, g_strdup("user-data"), g_strdup(""), METADATA_USER_DATA);
    return entries;
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is below a folder, one name a line, folders with a slash; NULL when nothing is. */
static char *listing(const GPtrArray *entries, const char *folder)
{
    g_autofree char *prefix = *folder ? g_strconcat(folder, "/", NULL) : g_strdup("");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (guint i = 0; i < entries->len; i++) {
        const Entry *entry = entries->pdata[i];
        if (!g_str_has_prefix(entry->path, prefix))
            continue;
        const char *rest = entry->path + strlen(prefix);
        gsize length = strcspn(rest, "/");
        g_autofree char *name = g_strndup(rest, length + (rest[length] == '/'));
        if (g_hash_table_contains(seen, name))
            continue;
        g_ptr_array_add(names, name);
        g_hash_table_add(seen, g_steal_pointer(&name));
    }
    if (!names->len)
        return NULL;
    g_ptr_array_sort(names, by_text);
    g_ptr_array_add(names, NULL);
    return g_strjoinv("\n", (char **)names->pdata);
}

gboolean metadata_find(const MetadataFacts *facts, const char *path, gint64 now_us,
                       MetadataAnswer *answer)
{
    g_autoptr(GPtrArray) entries = entries_of(facts, now_us);

    /* the one folder whose names come with a meaning */
    if (strcmp(path, DATA "public-keys") == 0 && facts->text[FACT_PUBLIC_KEY]) {
        answer->text = g_strconcat("0=", facts->text[FACT_KEY_NAME], NULL);
        return TRUE;
    }
    for (guint i = 0; i < entries->len; i++) {
        Entry *entry = entries->pdata[i];
        if (strcmp(entry->path, path) != 0)
            continue;
        answer->kind = entry->kind == METADATA_IAM_INFO ? METADATA_TEXT : entry->kind;
        answer->text = g_steal_pointer(&entry->text);
        return TRUE;
    }
    answer->text = listing(entries, path);
    return answer->text != NULL;
}
