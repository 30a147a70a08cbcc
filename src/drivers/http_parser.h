/*
 * drivers/http_parser.h - reads one HTTP/1.1 response from bytes as they come
 *
 * Pure: no I/O. Heads are bounded (HTTP_HEAD_MAX); the body goes to a sink piece by piece, so it
 * bounds itself. Interim answers (100, 103) are skipped; 101 ends the message.
 * Errors: HTTP_CLIENT for anything that is not HTTP, and whatever the sink raises.
 * Source: RFC 9112 sections 4 to 7.
 */
#pragma once

#include <glib.h>

#define HTTP_HEAD_MAX (32 * 1024)

typedef struct HttpParser HttpParser;

/* Takes one piece of the body; FALSE with error set ends the reading. */
typedef gboolean (*HttpSink)(const char *data, gsize length, gpointer user, GError **error);

/* no_body: the request was HEAD. sink may be NULL: the body is dropped. */
HttpParser *http_parser_new(gboolean no_body, HttpSink sink, gpointer user);
void http_parser_free(HttpParser *parser);

/* Bytes used, all of them unless the message ended before; -1 on error. */
gssize http_parser_feed(HttpParser *parser, const char *data, gsize length, GError **error);
/* The peer closed: fails unless that may end the message here. */
gboolean http_parser_end(HttpParser *parser, GError **error);

gboolean http_parser_has_head(const HttpParser *parser);
gboolean http_parser_is_done(const HttpParser *parser);
/* Whether the connection may carry another request after this message. */
gboolean http_parser_keeps(const HttpParser *parser);
/* Once the head is there. */
int http_parser_status(const HttpParser *parser);
/* Value of the first header of this name in any case, or NULL. Borrowed. */
const char *http_parser_header(const HttpParser *parser, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpParser, http_parser_free)
