/*
 * tests/unit/wire_peer.c - our codecs and signatures behind lines of JSON, for wire_truth.t and sigv4_truth.t
 *
 * Each line of input {"do", "service", "operation", ...} gives one line of output: what the codec made, or
 * {"error": symbol, "message"}.
 */
#include "base/errors.h"
#include "catalog/catalog.h"
#include "shape/check.h"
#include "wire/codec.h"
#include "wire/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 64

typedef struct {
    const Service *service;
    const Operation *operation;
    const char *body;
    gsize length;
    const json_t *tree;
} Job;

static json_t *as_body(char *text, gsize length)
{
    g_autofree char *owned = text;

    return text ? json_pack("{s:s%}", "body", owned, length) : NULL;
}

static json_t *run(const char *what, const Job *job, GError **error)
{
    gsize length = 0;

    if (g_str_equal(what, "decode_request"))
        return codec_decode_request(job->service, job->operation, job->body, job->length, error);
    if (g_str_equal(what, "decode_answer"))
        return codec_decode_answer(job->service, job->operation, job->body, job->length, error);
    if (g_str_equal(what, "check_output"))
        return shape_check_output(job->tree, operation_output(job->operation), error)
                   ? json_object()
                   : NULL;
    if (g_str_equal(what, "encode_request")) {
        char *text = codec_encode_request(job->service, job->operation, job->tree, &length, error);
        return as_body(text, length);
    }
    if (g_str_equal(what, "encode_answer")) {
        char *text = codec_encode_answer(job->service, job->operation, job->tree, "req-1", &length,
                                         error);
        return as_body(text, length);
    }
    g_printerr("wire_peer: cannot \"%s\"\n", what);
    exit(2);
}

static json_t *encode_error(const Service *service, const char *message)
{
    g_autoptr(GError) cause = NULL;
    const char *code;
    gsize length;
    int status;

    fail(&cause, CLUSTER_NOT_FOUND, "%s", message);
    char *body = codec_encode_error(service, cause, "req-1", &status, &code, &length);
    json_auto_t *text = as_body(body, length);
    return json_pack("{s:O, s:s, s:i}", "body", json_object_get(text, "body"), "code", code,
                     "status", status);
}

/* Whether a request {method, path, query, headers, body, secret, now} verifies. */
static json_t *verify(const json_t *line)
{
    const json_t *body = json_object_get(line, "body");
    const json_t *pairs = json_object_get(line, "headers");
    SigV4Header headers[HEADERS_MAX];
    SigV4Request request = { .method = json_string_value(json_object_get(line, "method")),
                             .path = json_string_value(json_object_get(line, "path")),
                             .query = json_string_value(json_object_get(line, "query")),
                             .headers = headers,
                             .body = json_string_value(body),
                             .body_length = json_string_length(body) };
    g_autoptr(GError) error = NULL;
    g_auto(SigV4Claim) claim = { 0 };
    guint8 key[SIGV4_KEY_SIZE];
    json_t *pair;
    size_t n;

    json_array_foreach(pairs, n, pair)
        if (request.header_count < HEADERS_MAX)
            headers[request.header_count++] =
                (SigV4Header){ json_string_value(json_array_get(pair, 0)),
                               json_string_value(json_array_get(pair, 1)) };
    if (sigv4_parse(&request, &claim, &error)) {
        sigv4_signing_key(json_string_value(json_object_get(line, "secret")), claim.date,
                          claim.region, claim.service, key);
        if (sigv4_verify(&request, &claim, key,
                         json_integer_value(json_object_get(line, "now")) * 1000000, &error))
            return json_pack("{s:{}}", "made");
    }
    return json_pack("{s:s, s:s}", "error", error_symbol(error_code(error)), "message",
                     error->message);
}

static json_t *answer(const json_t *line)
{
    const char *what = json_string_value(json_object_get(line, "do"));
    const char *operation = json_string_value(json_object_get(line, "operation"));
    const json_t *body = json_object_get(line, "body");
    g_autoptr(GError) error = NULL;
    Job job = { .body = json_string_value(body),
                .length = json_string_length(body),
                .tree = json_object_get(line, "tree") };

    for (guint i = 0; i < SERVICE__COUNT; i++)
        if (g_strcmp0(catalog_services[i].name,
                      json_string_value(json_object_get(line, "service"))) == 0)
            job.service = &catalog_services[i];
    if (g_str_equal(what, "verify"))
        return verify(line);
    if (g_str_equal(what, "encode_error"))
        return encode_error(job.service, json_string_value(json_object_get(line, "message")));
    job.operation = job.service ? catalog_operation(job.service, operation) : NULL;
    if (!job.operation)
        return json_pack("{s:s}", "error", "no such operation");
    json_t *made = run(what, &job, &error);
    if (made)
        return json_pack("{s:o}", "made", made);
    return json_pack("{s:s, s:s}", "error", error_symbol(error_code(error)), "message",
                     error ? error->message : "no error was set");
}

int main(void)
{
    char *text = NULL;
    size_t room = 0;

    while (getline(&text, &room, stdin) > 0) {
        json_auto_t *line = json_loads(text, 0, NULL);
        json_auto_t *made = line ? answer(line) : json_pack("{s:s}", "error", "no JSON");
        json_dumpf(made, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
    }
    free(text);
    return 0;
}
