/*
 * drivers/http.h - an HTTP/1.1 client: http, https with a CA of one's own, or a unix socket
 *
 * Small on purpose: the agent must stay below 10 MiB, and libcurl with the libraries it brings
 * takes 11 MiB before its first request. A client keeps one connection open between requests;
 * one thread at a time may use it. Times are milliseconds.
 * Errors: HTTP_CLIENT (transient: connection, time, not HTTP); TOO_LARGE (a body above the
 * limit); GAVE_UP (cancelled); INVALID_PARAMETER (a URL or header that cannot be sent). A status of
 * 400 and above is an answer, not an error.
 */
#pragma once

#include "drivers/http_parser.h"
#include "drivers/stream.h"

#include <glib.h>

typedef struct HttpClient HttpClient;

/* "https://host[:port][/path]", "http://...", or "unix:///path" (the whole rest is the socket's
 * path). Owned strings; target is "/" when the URL has no path; authority is the Host header. */
typedef struct {
    StreamAddress address;
    char *host;
    char *socket_path;
    char *authority;
    char *target;
} HttpUrl;

HttpUrl *http_url_parse(const char *text, GError **error);
void http_url_free(HttpUrl *url);

typedef struct {
    const char *method;
    const char *target;         /* path and query as sent */
    const char *const *headers; /* name, value, ..., NULL; Host and Content-Length are added */
    const char *body;
    gsize body_length;
    guint timeout_ms;      /* for the whole exchange; 0: 30 s, or none with an idle timeout */
    guint idle_timeout_ms; /* for each byte to come (long answers); 0: none */
    gsize max_body;        /* 0: 1 MiB; not checked when there is a sink */
    const gint *cancelled; /* atomic; the exchange ends soon after it is no longer 0; or NULL */
    HttpSink sink;         /* takes the body of a 2xx answer instead of the response */
    gpointer user;
} HttpRequest;

typedef struct {
    int status;
    GString *body;      /* NUL-terminated */
    HttpParser *parser; /* for http_response_header */
} HttpResponse;

void http_response_free(HttpResponse *response);
const char *http_response_header(const HttpResponse *response, const char *name);

/* ca_file is PEM, or NULL for the system's store; it is read when the URL is https. */
HttpClient *http_client_new(const char *url, const char *ca_file, GError **error);
void http_client_free(HttpClient *client);
/* Host and port as sent in Host and signed by SigV4. Borrowed. */
const char *http_client_authority(const HttpClient *client);
/* Its trust, for streams of one's own; NULL unless https. Borrowed. */
StreamTls *http_client_tls(const HttpClient *client);
HttpResponse *http_client_send(HttpClient *client, const HttpRequest *request, GError **error);
/* Closes the idle connection. */
void http_client_rest(HttpClient *client);

/* The bytes of a request, or NULL when a name or value holds a line end. Caller frees. */
GString *http_request_bytes(const HttpRequest *request, const char *authority, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpUrl, http_url_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpClient, http_client_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpResponse, http_response_free)
