#include "drivers/ssh.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "drivers/stream.h"

#include <errno.h>
#include <libssh2.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_MAX (64 * 1024)
#define ERRORS_MAX (16 * 1024)
#define CHUNK      (32 * 1024)

struct SshSession {
    Stream *stream;
    LIBSSH2_SESSION *ssh;
    char *address;
    gint64 deadline_ms; /* of the call that runs */
};

static pthread_once_t ssh_once = PTHREAD_ONCE_INIT;

static void ssh_start(void)
{
    libssh2_init(0);
}

static gboolean ssh_fail(SshSession *s, GError **error, const char *what)
{
    char *cause = NULL;

    libssh2_session_last_error(s->ssh, &cause, NULL, 0);
    return fail(error, SSH, "cannot %s on %s by SSH: %s", what, s->address,
                cause && *cause ? cause : "connection lost");
}

/* Waits until the socket is ready for what libssh2 wants; FALSE when the time is over. */
static gboolean ssh_wait(SshSession *s, GError **error)
{
    int wants = libssh2_session_block_directions(s->ssh);
    struct pollfd p = { .fd = stream_fd(s->stream) };
    gint64 left_ms = s->deadline_ms - clock_mono_ms();

    if (wants & LIBSSH2_SESSION_BLOCK_INBOUND || !wants)
        p.events |= POLLIN;
    if (wants & LIBSSH2_SESSION_BLOCK_OUTBOUND)
        p.events |= POLLOUT;
    if (left_ms <= 0 || (poll(&p, 1, (int)MIN(left_ms, G_MAXINT)) <= 0 && errno != EINTR))
        return fail(error, SSH, "%s did not answer in time by SSH", s->address);
    return TRUE;
}

/* Repeats a call that would block until it is done; its last value is in *ret_code. */
#define SSH_AWAIT(s, code, call, error)                                                            \
    while (((code) = (call)) == LIBSSH2_ERROR_EAGAIN)                                              \
        if (!ssh_wait((s), (error)))                                                               \
    return FALSE

/* ---- the host key */

static guint8 *line_blob(const char *line, gsize *ret_length)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 3);

    if (g_strv_length(words) < 2)
        return NULL;
    return g_base64_decode(g_strchomp(words[1]), ret_length);
}

static char *blob_fingerprint(const void *blob, gsize length)
{
    guint8 digest[CRYPTO_SHA256_SIZE];

    crypto_sha256(blob, length, digest);
    g_autofree char *encoded = g_base64_encode(digest, sizeof digest);
    encoded[strcspn(encoded, "=")] = '\0';
    return g_strconcat("SHA256:", encoded, NULL);
}

char *ssh_fingerprint(const char *line)
{
    gsize length = 0;
    g_autofree guint8 *blob = line_blob(line, &length);

    return blob && length > 8 ? blob_fingerprint(blob, length) : NULL;
}

/* Only the types we know keys of are negotiated. */
static gboolean prefer_known_types(SshSession *s, const char *host_keys, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(host_keys, "\n", -1);
    g_autoptr(GString) types = g_string_new(NULL);

    for (char **line = lines; *line; line++) {
        g_autofree char *type = g_strndup(*line, strcspn(*line, " "));
        if (!*type)
            continue;
        g_string_append_printf(types, "%s%s", types->len ? "," : "",
                               strcmp(type, "ssh-rsa") == 0 ? "rsa-sha2-512,rsa-sha2-256,ssh-rsa"
                                                            : type);
    }
    if (libssh2_session_method_pref(s->ssh, LIBSSH2_METHOD_HOSTKEY, types->str) == 0)
        return TRUE;
    return ssh_fail(s, error, "ask for a known type of host key");
}

static gboolean check_host_key(SshSession *s, const char *host_keys, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(host_keys, "\n", -1);
    g_autoptr(GString) known = g_string_new(NULL);
    size_t length = 0;
    int type = 0;
    const char *shown = libssh2_session_hostkey(s->ssh, &length, &type);

    if (!shown)
        return ssh_fail(s, error, "read the host key");
    for (char **line = lines; *line; line++) {
        gsize size = 0;
        g_autofree guint8 *blob = line_blob(*line, &size);
        if (!blob)
            continue;
        if (size == length && crypto_equal(blob, shown, length))
            return TRUE;
        g_autofree char *fingerprint = blob_fingerprint(blob, size);
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", fingerprint);
    }
    g_autofree char *fingerprint = blob_fingerprint(shown, length);
    return fail(error, SSH_HOST_KEY, "host key of %s has changed: it shows %s, known is %s",
                s->address, fingerprint, known->str);
}

/* ---- session */

static gboolean shake_hands(SshSession *s, const SshTarget *target, GError **error)
{
    int code;

    libssh2_session_set_blocking(s->ssh, 0);
    if (!prefer_known_types(s, target->host_keys, error))
        return FALSE;
    SSH_AWAIT(s, code, libssh2_session_handshake(s->ssh, stream_fd(s->stream)), error);
    return code == 0 || ssh_fail(s, error, "shake hands");
}

static gboolean log_in(SshSession *s, const SshTarget *target, GError **error)
{
    int code;

    SSH_AWAIT(s, code,
              libssh2_userauth_publickey_frommemory(s->ssh, target->user, strlen(target->user),
                                                    NULL, 0, target->private_key,
                                                    strlen(target->private_key), NULL),
              error);
    return code == 0 || ssh_fail(s, error, "log in");
}

SshSession *ssh_open(const SshTarget *target, GError **error)
{
    StreamAddress to = { .kind = STREAM_TCP, .host = target->address, .port = target->port };
    g_autoptr(SshSession) s = g_new0(SshSession, 1);
    g_autoptr(GError) cause = NULL;

    pthread_once(&ssh_once, ssh_start);
    s->address = g_strdup(target->address);
    s->deadline_ms = clock_mono_ms() + target->timeout_ms;
    s->stream = stream_open(&to, NULL, s->deadline_ms, &cause);
    if (!s->stream)
        return fail_null(error, SSH, "cannot connect to %s by SSH: %s", target->address,
                         cause->message);
    s->ssh = libssh2_session_init();
    if (!s->ssh)
        return fail_null(error, INTERNAL, "cannot make an SSH session");
    if (!shake_hands(s, target, error) || !check_host_key(s, target->host_keys, error) ||
        !log_in(s, target, error))
        return NULL;
    return g_steal_pointer(&s);
}

void ssh_close(SshSession *s)
{
    if (!s)
        return;
    if (s->ssh) {
        libssh2_session_disconnect(s->ssh, "done");
        libssh2_session_free(s->ssh);
    }
    stream_free(s->stream);
    g_free(s->address);
    g_free(s);
}

/* ---- commands */

typedef struct {
    const char *input;
    gsize length, sent;
    int fd; /* -1: none */
    char chunk[CHUNK];
    gsize chunk_length, chunk_sent;
    gboolean ended;
    GString *output, *errors;
} Exchange;

void ssh_result_clear(SshResult *result)
{
    g_free(result->output);
    g_free(result->errors);
}

/* Programs of ours in single quotes, as root. */
static char *root_command(const char *script)
{
    g_autofree char *quoted = g_shell_quote(script);

    return g_strconcat("S=", quoted,
                       "; if [ \"$(id -u)\" = 0 ]; then exec sh -c \"$S\"; else exec sudo -n sh "
                       "-c \"$S\"; fi",
                       NULL);
}

/* What is to be sent next; 0 at the end, -1 when the file cannot be read. */
static gssize next_piece(Exchange *x, const char **ret_data)
{
    if (x->sent < x->length) {
        *ret_data = x->input + x->sent;
        return (gssize)MIN(x->length - x->sent, (gsize)CHUNK);
    }
    if (x->chunk_sent == x->chunk_length && x->fd >= 0) {
        ssize_t got = read(x->fd, x->chunk, sizeof x->chunk);
        if (got < 0)
            return -1;
        x->chunk_length = (gsize)got;
        x->chunk_sent = 0;
    }
    *ret_data = x->chunk + x->chunk_sent;
    return (gssize)(x->chunk_length - x->chunk_sent);
}

/* Sends as much as goes without waiting. A command that has ended takes no more: that is no
 * failure, its status tells. */
static gboolean send_some(SshSession *s, LIBSSH2_CHANNEL *channel, Exchange *x, GError **error)
{
    const char *data = NULL;

    while (!x->ended) {
        gssize size = next_piece(x, &data);
        if (size < 0)
            return fail(error, INTERNAL, "cannot read what is to be uploaded");
        if (size == 0) {
            int code = libssh2_channel_send_eof(channel);
            x->ended = code == 0;
            return code == 0 || code == LIBSSH2_ERROR_EAGAIN ||
                   ssh_fail(s, error, "end the input of a command");
        }
        ssize_t wrote = libssh2_channel_write(channel, data, (size_t)size);
        if (wrote == LIBSSH2_ERROR_EAGAIN)
            return TRUE;
        if (wrote < 0) {
            x->ended = TRUE;
            return libssh2_channel_eof(channel) == 1 || ssh_fail(s, error, "send to a command");
        }
        if (x->sent < x->length)
            x->sent += (gsize)wrote;
        else
            x->chunk_sent += (gsize)wrote;
    }
    return TRUE;
}

static gboolean receive_some(SshSession *s, LIBSSH2_CHANNEL *channel, int which, GString *into,
                             gsize max, GError **error)
{
    char buffer[CHUNK];
    ssize_t got;

    while ((got = libssh2_channel_read_ex(channel, which, buffer, sizeof buffer)) > 0)
        g_string_append_len(into, buffer, (gssize)MIN((gsize)got, max - MIN(into->len, max)));
    return got == 0 || got == LIBSSH2_ERROR_EAGAIN || ssh_fail(s, error, "read from a command");
}

static gboolean exchange(SshSession *s, LIBSSH2_CHANNEL *channel, Exchange *x, GError **error)
{
    while (!libssh2_channel_eof(channel)) {
        if (!send_some(s, channel, x, error) ||
            !receive_some(s, channel, 0, x->output, OUTPUT_MAX, error) ||
            !receive_some(s, channel, SSH_EXTENDED_DATA_STDERR, x->errors, ERRORS_MAX, error))
            return FALSE;
        if (!libssh2_channel_eof(channel) && !ssh_wait(s, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean channel_finish(SshSession *s, LIBSSH2_CHANNEL *channel, int *ret_status,
                               GError **error)
{
    char *signal = NULL;
    int code;

    SSH_AWAIT(s, code, libssh2_channel_close(channel), error);
    SSH_AWAIT(s, code, libssh2_channel_wait_closed(channel), error);
    libssh2_channel_get_exit_signal(channel, &signal, NULL, NULL, NULL, NULL, NULL);
    *ret_status = signal ? -1 : libssh2_channel_get_exit_status(channel);
    if (signal)
        libssh2_free(s->ssh, signal);
    return TRUE;
}

static gboolean channel_run(SshSession *s, LIBSSH2_CHANNEL *channel, const char *script,
                            Exchange *x, int *ret_status, GError **error)
{
    g_autofree char *command = root_command(script);
    int code;

    SSH_AWAIT(s, code, libssh2_channel_exec(channel, command), error);
    if (code < 0)
        return ssh_fail(s, error, "run a command");
    return exchange(s, channel, x, error) && channel_finish(s, channel, ret_status, error);
}

static LIBSSH2_CHANNEL *channel_open(SshSession *s, GError **error)
{
    LIBSSH2_CHANNEL *channel;

    while (!(channel = libssh2_channel_open_session(s->ssh))) {
        if (libssh2_session_last_errno(s->ssh) != LIBSSH2_ERROR_EAGAIN) {
            ssh_fail(s, error, "open a channel");
            return NULL;
        }
        if (!ssh_wait(s, error))
            return NULL;
    }
    return channel;
}

gboolean ssh_script_file(SshSession *session, const char *script, const char *input, gsize length,
                         int fd, guint timeout_ms, SshResult *ret_result, GError **error)
{
    g_autofree Exchange *x = g_new0(Exchange, 1);

    session->deadline_ms = clock_mono_ms() + timeout_ms;
    LIBSSH2_CHANNEL *channel = channel_open(session, error);
    if (!channel)
        return FALSE;
    *x = (Exchange){ .input = input, .length = length, .fd = fd };
    x->output = g_string_new(NULL);
    x->errors = g_string_new(NULL);
    gboolean done = channel_run(session, channel, script, x, &ret_result->status, error);
    libssh2_channel_free(channel);
    ret_result->output = g_string_free(x->output, FALSE);
    ret_result->errors = g_string_free(x->errors, FALSE);
    return done;
}

gboolean ssh_script(SshSession *session, const char *script, const char *input, gsize length,
                    guint timeout_ms, SshResult *ret_result, GError **error)
{
    return ssh_script_file(session, script, input, length, -1, timeout_ms, ret_result, error);
}
