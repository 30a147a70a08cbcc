/*
 * server/http.h - the API's listener: HTTPS by libmicrohttpd, a pool of threads that poll
 *
 * A request is worked on in the thread that read it. Bounds: bodies of 1 MiB (413 above),
 * headers of 32 KiB together, 30 s for a body to arrive, 75 s of idleness between requests,
 * 8192 connections, 1024 from one address. TLS 1.2 at least.
 * Errors: CONFIG (certificate, key, port).
 */
#pragma once

#include "base/config.h"
#include "server/api.h"

#define HTTP_BODY_MAX (1024 * 1024)

typedef struct HttpServer HttpServer;

/* Starts to listen; cert_file and key_file are PEM. api is borrowed until http_stop. */
HttpServer *http_start(const Config *config, const char *cert_file, const char *key_file,
                       const Api *api, GError **error);
/* Takes no new connection, lets requests under way end (at most 10 s), then closes. */
void http_stop(HttpServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpServer, http_stop)
