/*
 * server/api.h - one API call: bytes in, bytes out, whatever the transport
 *
 * Gates in order: route, signature, action, parameters, policy; then the action in its transaction;
 * then the answer's bytes, made before the commit, so that no committed change is answered with
 * an error. Thread-safe. Every call ends in one log line.
 */
#pragma once

#include "handlers/request.h"
#include "server/keycache.h"
#include "wire/sigv4.h"

typedef struct {
    HandlerContext context;
    KeyCache *keys;
} Api;

typedef struct {
    SigV4Request http;
    const char *request_id; /* a UUID */
    const char *client_address;
} ApiCall;

/* Free body with g_free; code is the error's wire code, NULL for a success. */
typedef struct {
    int status;
    const char *content_type;
    const char *code;
    gboolean json; /* the error's code goes into a header too */
    char *body;
    gsize length;
} ApiAnswer;

void api_call(const Api *api, const ApiCall *call, ApiAnswer *ret_answer);
