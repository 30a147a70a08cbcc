/*
 * agent/serve.h - a small HTTP server in the agent's loop, for containers and this machine
 *
 * One request a connection; heads and bodies are bounded, as are connections, the time each may
 * take and (when asked) requests a second: more are answered 429. A request may be answered later,
 * by its id; when its connection has gone by then, the answer is dropped.
 * Source: RFC 9112; agent protocol, task endpoint limits (40 requests a second, bursts of 60).
 */
#pragma once

#include "agent/loop.h"

#include <jansson.h>

typedef struct Serve Serve;

/* Borrowed until the handler returns. */
typedef struct {
    guint64 id;
    const char *method;
    char **path; /* parts between slashes, decoded; no empty ones; ends with NULL */
    guint parts;
    const char *query; /* as sent, "" for none */
    const char *body;
    gsize body_length;
    const char *peer;   /* IPv4 address */
    gboolean from_here; /* it is an address of this machine */
} ServeRequest;

typedef void (*ServeHandler)(gpointer user, const ServeRequest *request);

/* Listens on address ("127.0.0.1", "0.0.0.0") and port; while the port is taken it tries again.
 * It lives as long as the process. */
Serve *serve_new(Loop *loop, const char *address, guint port, gboolean limited,
                 ServeHandler handler, gpointer user);
/* Takes body; NULL sends null. */
void serve_answer(Serve *serve, guint64 id, int status, json_t *body);
/* Value of a parameter of the query, decoded, or NULL. Caller frees. */
char *serve_query(const ServeRequest *request, const char *name);
