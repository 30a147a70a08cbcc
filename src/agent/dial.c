#include "agent/dial.h"
#include "base/clock.h"
#include "base/errors.h"
#include "wire/ws.h"

#include <jansson.h>
#include <string.h>

#define DIAL_TIMEOUT_MS 30000
#define REFUSAL_MAX     8192

void agent_dial_free(AgentDial *dial)
{
    if (!dial)
        return;
    g_free(dial->url);
    http_url_free(dial->parsed);
    stream_free(dial->stream);
    if (dial->early)
        g_string_free(dial->early, TRUE);
    g_free(dial->exception);
    g_clear_error(&dial->error);
    g_free(dial);
}

void agent_dial_sign(const AgentSigner *signer, const HttpUrl *url, const char *body,
                     SigV4Signature *ret_signature)
{
    const char *question = strchr(url->target, '?');
    g_autofree char *path =
        question ? g_strndup(url->target, (gsize)(question - url->target)) : g_strdup(url->target);
    const SigV4Header host = { "Host", url->authority };
    const SigV4Request request = { .method = "GET",
                                   .path = path,
                                   .query = question ? question + 1 : "",
                                   .headers = &host,
                                   .header_count = 1,
                                   .body = body,
                                   .body_length = strlen(body),
                                   .secure = url->address.kind == STREAM_TLS };

    agent_signer_sign(signer, &request, ret_signature);
}

static gboolean send_upgrade(AgentDial *dial, const char *key, gint64 deadline_ms)
{
    g_auto(AgentSigner) signer = { 0 };
    g_auto(SigV4Signature) signature = { 0 };

    agent_api_renew(dial->api);
    agent_api_signer(dial->api, &signer);
    agent_dial_sign(&signer, dial->parsed, "", &signature);
    const char *headers[] = { "Upgrade",
                              "websocket",
                              "Connection",
                              "Upgrade",
                              "Sec-WebSocket-Version",
                              "13",
                              "Sec-WebSocket-Key",
                              key,
                              "User-Agent",
                              "berth-agent/" BERTH_VERSION,
                              "X-Amz-Date",
                              signature.date,
                              "Authorization",
                              signature.authorization,
                              *signer.token ? "X-Amz-Security-Token" : NULL,
                              signer.token,
                              NULL };
    const HttpRequest request = { .method = "GET",
                                  .target = dial->parsed->target,
                                  .headers = headers };
    g_autoptr(GString) bytes = http_request_bytes(&request, dial->parsed->authority, &dial->error);
    return bytes && stream_write(dial->stream, bytes->str, bytes->len, deadline_ms, &dial->error);
}

static gboolean take_refusal(const char *data, gsize length, gpointer user, GError **error)
{
    GString *body = user;

    if (body->len + length > REFUSAL_MAX)
        return fail(error, TOO_LARGE, "the refusal is too long");
    g_string_append_len(body, data, (gssize)length);
    return TRUE;
}

/* Reads up to the end of the answer; what follows a 101 is kept. */
static gboolean read_answer(AgentDial *dial, HttpParser *parser, gint64 deadline_ms)
{
    char piece[2048];

    while (!http_parser_is_done(parser)) {
        gssize count = stream_read(dial->stream, piece, sizeof piece, deadline_ms, &dial->error);
        if (count < 0)
            return FALSE;
        if (count == 0)
            return http_parser_end(parser, &dial->error);
        gssize used = http_parser_feed(parser, piece, (gsize)count, &dial->error);
        if (used < 0)
            return FALSE;
        g_string_append_len(dial->early, piece + used, count - used);
    }
    return TRUE;
}

/* {"InactiveInstanceException": "..."}: one key that names an exception. */
static gboolean refused(AgentDial *dial, int status, const GString *body)
{
    json_auto_t *tree = json_loadb(body->str, body->len, 0, NULL);
    void *first = json_object_iter(tree);

    if (first && json_object_size(tree) == 1 && json_is_string(json_object_iter_value(first)))
        dial->exception = g_strdup(json_object_iter_key(first));
    return fail(&dial->error, HTTP_CLIENT, "the upgrade was refused: %d %.300s", status, body->str);
}

static gboolean shake_hands(AgentDial *dial, gint64 deadline_ms)
{
    g_autoptr(GString) body = g_string_new(NULL);
    g_autoptr(HttpParser) parser = http_parser_new(FALSE, take_refusal, body);
    char key[WS_KEY_SIZE], accept[WS_ACCEPT_SIZE];

    ws_make_key(key);
    ws_make_accept(key, accept);
    if (!send_upgrade(dial, key, deadline_ms) || !read_answer(dial, parser, deadline_ms))
        return FALSE;
    if (http_parser_status(parser) != 101)
        return refused(dial, http_parser_status(parser), body);
    const char *answer = http_parser_header(parser, "Sec-WebSocket-Accept");
    return g_strcmp0(answer, accept) == 0 ||
           fail(&dial->error, HTTP_CLIENT, "the upgrade's answer does not match its key");
}

void agent_dial_run(gpointer user)
{
    AgentDial *dial = user;
    gint64 deadline_ms = clock_mono_ms() + DIAL_TIMEOUT_MS;
    StreamTls *tls = agent_api_tls(dial->api);

    dial->early = g_string_new(NULL);
    dial->parsed = http_url_parse(dial->url, &dial->error);
    if (!dial->parsed)
        return;
    if (dial->parsed->address.kind == STREAM_TLS && !tls) {
        fail(&dial->error, HTTP_CLIENT, "the API is not https, but \"%s\" is", dial->url);
        return;
    }
    dial->stream = stream_open(&dial->parsed->address, tls, deadline_ms, &dial->error);
    if (dial->stream && !shake_hands(dial, deadline_ms))
        g_clear_pointer(&dial->stream, stream_free);
}
