#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "drivers/stream.h"
#include "reconcile/instance.h"
#include "store/history.h"
#include "store/hosts_seen.h"
#include "store/instances_seen.h"

#include <string.h>

#define SSH_PORT     22
#define ANSWER_MS    300
#define POLL_MS      400
#define POLL_SLOW_MS 3000
#define BOOTING_US   (10 * 60 * CLOCK_SECOND_US) /* polled often for so long */
#define KEY_FILE_MAX (16 * 1024)
#define CONSOLE_MAX  (128 * 1024)
#define MARK_BEGIN   "-----BEGIN SSH HOST KEY KEYS-----"
#define MARK_END     "-----END SSH HOST KEY KEYS-----"

static const char *const key_types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256",
                                         "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa" };

static gboolean key_type_known(const char *type)
{
    for (gsize i = 0; i < G_N_ELEMENTS(key_types); i++)
        if (strcmp(type, key_types[i]) == 0)
            return TRUE;
    return FALSE;
}

/* "type base64" when the line is a key of a type we know, else NULL. */
static char *key_of_line(const char *line)
{
    g_autofree char *copy = g_strstrip(g_strdup(line));
    g_auto(GStrv) words = g_strsplit(copy, " ", 3);

    if (g_strv_length(words) < 2 || !key_type_known(words[0]))
        return NULL;
    gsize length = strspn(words[1], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789+/=");
    if (length < 40 || words[1][length] != '\0')
        return NULL;
    return g_strjoin(" ", words[0], words[1], NULL);
}

/* The newest key of each type wins: a guest reports again at each boot. */
char *instance_key_lines(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GHashTable) by_type = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GString) out = g_string_new(NULL);

    for (char **line = lines; *line; line++) {
        char *key = key_of_line(*line);
        if (key)
            g_hash_table_replace(by_type, g_strndup(key, strcspn(key, " ")), key);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(key_types); i++) {
        const char *key = g_hash_table_lookup(by_type, key_types[i]);
        if (key)
            g_string_append_printf(out, "%s%s", out->len ? "\n" : "", key);
    }
    return out->len ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

char *instance_console_keys(const char *console)
{
    const char *begin = g_strrstr(console, MARK_BEGIN);
    const char *end = begin ? strstr(begin, MARK_END) : NULL;

    if (!end)
        return NULL;
    g_autofree char *block = g_strndup(begin, (gsize)(end - begin));
    return instance_key_lines(block);
}

/* From the port kept for it, else from the console. NULL without *error while there is none. */
static char *reported_keys(Hyper *hyper, const Instance *i, gboolean *ret_by_port, GError **error)
{
    gsize length = 0;
    g_autofree char *port =
        hyper_guest_file(hyper, i->id, GUEST_HOST_KEY, KEY_FILE_MAX, &length, error);

    if (!port)
        return NULL;
    char *keys = instance_key_lines(port);
    *ret_by_port = keys != NULL;
    if (keys)
        return keys;
    g_autofree char *console =
        hyper_guest_file(hyper, i->id, GUEST_CONSOLE, CONSOLE_MAX, &length, error);
    if (!console)
        return NULL;
    for (gsize at = 0; at < length; at++) /* the guest may write zeros */
        if (console[at] == '\0')
            console[at] = ' ';
    return instance_console_keys(console);
}

static gboolean answers(const char *ip)
{
    StreamAddress to = { .kind = STREAM_TCP, .host = ip, .port = SSH_PORT };
    g_autoptr(Stream) stream = stream_open(&to, NULL, clock_mono_ms() + ANSWER_MS, NULL);

    return stream != NULL;
}

/* Whether its host's network is one that nothing here reaches: its port would never answer. */
static gboolean is_apart(World *world, const Instance *i, gboolean *ret_apart, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_READ, error);
    HostTrouble trouble = HOST_TROUBLE_NONE;

    if (!tx || !hosts_trouble(tx, i->host_id, &trouble, error))
        return FALSE;
    *ret_apart = trouble == HOST_TROUBLE_APART;
    return TRUE;
}

static gboolean record_keys(World *world, const Instance *i, const char *keys, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    if (!tx || !instances_record_host_keys(tx, i->id, keys, error) ||
        !db_wake(tx, "bootstrap", i->id, error) || !db_commit(g_steal_pointer(&tx), error))
        return FALSE;
    FAULT_POINT("instance.host-keys");
    return TRUE;
}

static gboolean record_reachable(World *world, const Instance *i, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(world->region, DB_MODE_WRITE, error);

    if (!tx || !instances_record_reachable(tx, i->id, error) ||
        !history_add(tx, "instance", i->id, "answers on its SSH port", error) ||
        !db_wake(tx, "bootstrap", i->id, error) || !db_commit(g_steal_pointer(&tx), error))
        return FALSE;
    FAULT_POINT("instance.reachable");
    return TRUE;
}

/* The first boot is over: what the seed told, secrets of user data perhaps, lies nowhere any more.
 * Only our own first-boot program, which reports on the port, needs the seed but once: cloud-init
 * looks for it at each boot, and without it takes the machine for another one. Before that is
 * written down, so that a process that is killed here is followed by another try. */
static gboolean seed_remove(Hyper *hyper, const Instance *i, GError **error)
{
    g_autofree char *volume = g_strconcat(i->id, ".seed.iso", NULL);

    if (!hyper_seed_remove(hyper, i->domain_uuid, volume, error))
        return FALSE;
    FAULT_POINT("instance.seed-removed");
    return TRUE;
}

StepResult instance_watch(World *world, Hyper *hyper, const Instance *i, gint64 *ret_again_ms,
                          GError **error)
{
    g_autoptr(GError) cause = NULL;
    gboolean apart = FALSE, by_port = FALSE;

    if (i->reachable_us && i->host_keys)
        return STEP_SETTLED;
    if (!i->reachable_us && !is_apart(world, i, &apart, error))
        return STEP_FAILED;
    g_autofree char *keys = reported_keys(hyper, i, &by_port, &cause);
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return STEP_FAILED;
    }
    gboolean known = keys || i->host_keys;
    gboolean reachable = i->reachable_us || (!apart && answers(i->private_ip));
    if (by_port && (reachable || apart) && !seed_remove(hyper, i, error))
        return STEP_FAILED;
    if (keys && g_strcmp0(keys, i->host_keys) != 0 && !record_keys(world, i, keys, error))
        return STEP_FAILED;
    if (reachable && !i->reachable_us && !record_reachable(world, i, error))
        return STEP_FAILED;
    if (known && (reachable || apart))
        return STEP_SETTLED;
    gint64 age_us = clock_now_us() - i->launched_us;
    *ret_again_ms = age_us < BOOTING_US ? POLL_MS : POLL_SLOW_MS;
    return STEP_LATER;
}
