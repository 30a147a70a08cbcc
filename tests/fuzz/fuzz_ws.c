/* WebSockets: any bytes, cut anywhere; no message beyond its bound, and a broken connection stays broken. */
#include "fuzz.h"
#include "wire/ws.h"

#include <string.h>

#define MESSAGE_MAX 4096

static void hear(Ws *ws, const char *text, gsize length, gpointer user)
{
    g_assert_cmpuint(length, <=, MESSAGE_MAX);
    g_assert_true(g_utf8_validate_len(text, length, NULL) || memchr(text, 0, length));
    g_assert_cmpint(text[length], ==, 0);
    (*(guint *)user)++;
    ws_send_text(ws, "ack", 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    guint heard = 0;

    if (size < 2)
        return 0;
    g_autoptr(Ws) ws = ws_new(data[0] & 1 ? WS_CLIENT : WS_SERVER, MESSAGE_MAX, hear, NULL, &heard);
    gsize step = (gsize)data[1] + 1;
    gboolean open = TRUE;

    for (gsize at = 2; at < size; at += step) {
        guint before = heard;
        gsize length;
        gboolean still = ws_feed(ws, data + at, MIN(step, size - at));

        g_assert_true(open || (!still && heard == before));
        open = still;
        ws_output(ws, &length);
        ws_output_done(ws, length);
    }
    if (!open)
        g_assert_true(ws_is_closed(ws));
    return 0;
}
