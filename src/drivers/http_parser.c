#include "drivers/http_parser.h"
#include "base/errors.h"

#include <string.h>

#define CHUNK_LINE_MAX 256

typedef enum {
    PART_HEAD,
    PART_LENGTH,     /* a body of "left" bytes */
    PART_UNTIL_END,  /* a body up to the end of the connection */
    PART_CHUNK_SIZE, /* the line before a chunk */
    PART_CHUNK,      /* "left" bytes of a chunk */
    PART_CHUNK_END,  /* the line end behind a chunk */
    PART_TRAILER,    /* lines up to an empty one */
    PART_DONE
} Part;

struct HttpParser {
    Part part;
    gboolean no_body;
    gboolean keeps;
    int status;
    guint64 left;
    gsize trailer_bytes;
    GString *line;      /* head so far, or the line being read */
    GPtrArray *headers; /* name, value, name, value */
    HttpSink sink;
    gpointer user;
};

HttpParser *http_parser_new(gboolean no_body, HttpSink sink, gpointer user)
{
    HttpParser *parser = g_new0(HttpParser, 1);

    parser->no_body = no_body;
    parser->sink = sink;
    parser->user = user;
    parser->line = g_string_new(NULL);
    parser->headers = g_ptr_array_new_with_free_func(g_free);
    return parser;
}

void http_parser_free(HttpParser *parser)
{
    if (!parser)
        return;
    g_string_free(parser->line, TRUE);
    g_ptr_array_free(parser->headers, TRUE);
    g_free(parser);
}

gboolean http_parser_has_head(const HttpParser *parser)
{
    return parser->part != PART_HEAD;
}

gboolean http_parser_is_done(const HttpParser *parser)
{
    return parser->part == PART_DONE;
}

gboolean http_parser_keeps(const HttpParser *parser)
{
    return parser->part == PART_DONE && parser->keeps;
}

int http_parser_status(const HttpParser *parser)
{
    return parser->status;
}

const char *http_parser_header(const HttpParser *parser, const char *name)
{
    for (guint i = 0; i + 1 < parser->headers->len; i += 2)
        if (g_ascii_strcasecmp(parser->headers->pdata[i], name) == 0)
            return parser->headers->pdata[i + 1];
    return NULL;
}

/* "HTTP/1.1 200 OK" */
static gboolean status_line(HttpParser *parser, const char *line, GError **error)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || !g_ascii_isdigit(line[7]) || line[8] != ' ' ||
        !g_ascii_isdigit(line[9]) || !g_ascii_isdigit(line[10]) || !g_ascii_isdigit(line[11]) ||
        (line[12] != ' ' && line[12] != '\0'))
        return fail(error, HTTP_CLIENT, "the answer is not HTTP/1.1");
    parser->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    parser->keeps = line[7] != '0';
    return TRUE;
}

static gboolean header_line(HttpParser *parser, const char *line, GError **error)
{
    const char *colon = strchr(line, ':');

    if (!colon || colon == line || g_ascii_isspace(line[0]) || g_ascii_isspace(colon[-1]))
        return fail(error, HTTP_CLIENT, "the answer has a bad header line");
    g_ptr_array_add(parser->headers, g_strndup(line, (gsize)(colon - line)));
    g_ptr_array_add(parser->headers, g_strstrip(g_strdup(colon + 1)));
    return TRUE;
}

/* How the body is framed (RFC 9112 section 6.3). */
static gboolean body_begin(HttpParser *parser, GError **error)
{
    const char *coding = http_parser_header(parser, "Transfer-Encoding");
    const char *length = http_parser_header(parser, "Content-Length");
    const char *connection = http_parser_header(parser, "Connection");

    if (connection && g_ascii_strcasecmp(connection, "close") == 0)
        parser->keeps = FALSE;
    if (parser->no_body || parser->status == 101 || parser->status == 204 ||
        parser->status == 304) {
        parser->part = PART_DONE;
    } else if (coding) {
        if (g_ascii_strcasecmp(coding, "chunked") != 0)
            return fail(error, HTTP_CLIENT, "transfer coding \"%.40s\" is not known", coding);
        parser->part = PART_CHUNK_SIZE;
    } else if (length) {
        if (!g_ascii_string_to_unsigned(length, 10, 0, G_MAXINT64, &parser->left, NULL))
            return fail(error, HTTP_CLIENT, "the answer has a bad Content-Length");
        parser->part = parser->left ? PART_LENGTH : PART_DONE;
    } else {
        parser->keeps = FALSE;
        parser->part = PART_UNTIL_END;
    }
    return TRUE;
}

static gboolean head_parse(HttpParser *parser, GError **error)
{
    if (memchr(parser->line->str, '\0', parser->line->len))
        return fail(error, HTTP_CLIENT, "the answer is not HTTP/1.1");
    g_auto(GStrv) lines = g_strsplit(parser->line->str, "\n", -1);

    for (char **line = lines; *line; line++)
        g_strchomp(*line);
    g_string_truncate(parser->line, 0);
    if (!status_line(parser, lines[0], error))
        return FALSE;
    for (char **line = lines + 1; *line && **line; line++)
        if (!header_line(parser, *line, error))
            return FALSE;
    if (parser->status / 100 == 1 && parser->status != 101) {
        g_ptr_array_set_size(parser->headers, 0);
        return TRUE;
    }
    return body_begin(parser, error);
}

/* Collects one byte of the head; the head is complete after an empty line. */
static gboolean head_byte(HttpParser *parser, char c, GError **error)
{
    GString *head = parser->line;

    if (head->len >= HTTP_HEAD_MAX)
        return fail(error, HTTP_CLIENT, "the head of the answer is too long");
    g_string_append_c(head, c);
    if (c != '\n')
        return TRUE;
    gboolean complete =
        g_str_has_suffix(head->str, "\r\n\r\n") || g_str_has_suffix(head->str, "\n\n");
    return !complete || head_parse(parser, error);
}

static gboolean chunk_size(HttpParser *parser, GError **error)
{
    char *end = NULL;
    const char *text = parser->line->str;

    if (!g_ascii_isxdigit(text[0]))
        return fail(error, HTTP_CLIENT, "the answer has a bad chunk");
    parser->left = g_ascii_strtoull(text, &end, 16);
    if (parser->left > G_MAXINT64 || (*end && *end != ';' && !g_ascii_isspace(*end)))
        return fail(error, HTTP_CLIENT, "the answer has a bad chunk");
    parser->part = parser->left ? PART_CHUNK : PART_TRAILER;
    return TRUE;
}

/* Collects one byte of a line of the chunked coding and acts on a complete line. */
static gboolean chunk_byte(HttpParser *parser, char c, GError **error)
{
    gboolean good = TRUE;

    if (c != '\n') {
        g_string_append_c(parser->line, c);
        return parser->line->len < CHUNK_LINE_MAX ||
               (parser->part == PART_TRAILER && parser->line->len < HTTP_HEAD_MAX) ||
               fail(error, HTTP_CLIENT, "the answer has a bad chunk");
    }
    g_strchomp(parser->line->str);
    parser->line->len = strlen(parser->line->str);
    parser->trailer_bytes += parser->line->len + 1;
    if (parser->part == PART_CHUNK_SIZE) {
        parser->trailer_bytes = 0;
        good = chunk_size(parser, error);
    } else if (parser->part == PART_CHUNK_END) {
        parser->part = PART_CHUNK_SIZE;
        good = parser->line->len == 0 || fail(error, HTTP_CLIENT, "the answer has a bad chunk");
    } else if (parser->line->len == 0) {
        parser->part = PART_DONE;
    } else if (parser->trailer_bytes > HTTP_HEAD_MAX) {
        good = fail(error, HTTP_CLIENT, "the trailer of the answer is too long");
    }
    g_string_truncate(parser->line, 0);
    return good;
}

/* Hands a piece of the body to the sink; the bytes used, or -1. */
static gssize body_piece(HttpParser *parser, const char *data, gsize length, GError **error)
{
    gboolean counted = parser->part != PART_UNTIL_END;
    gsize piece = counted ? (gsize)MIN((guint64)length, parser->left) : length;

    if (parser->sink && !parser->sink(data, piece, parser->user, error))
        return -1;
    if (counted && (parser->left -= piece) == 0)
        parser->part = parser->part == PART_CHUNK ? PART_CHUNK_END : PART_DONE;
    return (gssize)piece;
}

gssize http_parser_feed(HttpParser *parser, const char *data, gsize length, GError **error)
{
    gsize used = 0;

    while (used < length && parser->part != PART_DONE) {
        gboolean good = TRUE;
        gssize step = 1;
        if (parser->part == PART_HEAD)
            good = head_byte(parser, data[used], error);
        else if (parser->part == PART_LENGTH || parser->part == PART_CHUNK ||
                 parser->part == PART_UNTIL_END)
            good = (step = body_piece(parser, data + used, length - used, error)) >= 0;
        else
            good = chunk_byte(parser, data[used], error);
        if (!good)
            return -1;
        used += (gsize)step;
    }
    return (gssize)used;
}

gboolean http_parser_end(HttpParser *parser, GError **error)
{
    if (parser->part == PART_UNTIL_END)
        parser->part = PART_DONE;
    return parser->part == PART_DONE ||
           fail(error, HTTP_CLIENT, "the connection was closed in the middle of the answer");
}
