/*
 * load_api - signed requests over kept connections: how many a second, and how long each takes
 *
 *     load_api ENDPOINT CA REGION SERVICE TARGET CONTENT_TYPE BODY THREADS SECONDS
 *
 * Keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. TARGET is the X-Amz-Target header,
 * or "-". Prints one JSON object. An answer that is not 200 ends the run with exit code 1: a
 * benchmark of errors measures nothing. Bounded to 60 s.
 */
#include "base/clock.h"
#include "drivers/http.h"
#include "wire/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char **argv;
    gint64 until_ms;
    GArray *latencies_us; /* gint64 */
    gsize bytes;
    char *failure;
} Worker;

enum { ENDPOINT = 1, CA, REGION, SERVICE, TARGET, CONTENT_TYPE, BODY, THREADS, SECONDS, COUNT };

static gboolean one_request(Worker *w, HttpClient *client, GError **error)
{
    gboolean targeted = strcmp(w->argv[TARGET], "-") != 0;
    SigV4Header headers[] = { { "Host", http_client_authority(client) },
                              { "Content-Type", w->argv[CONTENT_TYPE] },
                              { "X-Amz-Target", w->argv[TARGET] } };
    SigV4Request request = { .method = "POST",
                             .path = "/",
                             .headers = headers,
                             .header_count = targeted ? 3 : 2,
                             .body = w->argv[BODY],
                             .body_length = strlen(w->argv[BODY]),
                             .secure = TRUE };
    SigV4Signer signer = { g_getenv("AWS_ACCESS_KEY_ID"), g_getenv("AWS_SECRET_ACCESS_KEY"), NULL,
                           w->argv[REGION], w->argv[SERVICE] };
    g_auto(SigV4Signature) signature = { 0 };

    sigv4_sign(&request, &signer, clock_now_us(), &signature);
    const char *sent[] = { "Content-Type",  w->argv[CONTENT_TYPE],
                           "X-Amz-Date",    signature.date,
                           "Authorization", signature.authorization,
                           targeted ? "X-Amz-Target" : NULL, w->argv[TARGET], NULL };
    HttpRequest http = { .method = "POST", .target = "/", .headers = sent, .body = w->argv[BODY],
                         .body_length = strlen(w->argv[BODY]), .max_body = 16 << 20 };
    g_autoptr(HttpResponse) response = http_client_send(client, &http, error);
    if (!response)
        return FALSE;
    if (response->status != 200)
        w->failure = g_strdup_printf("status %d: %.300s", response->status, response->body->str);
    w->bytes += response->body->len;
    return response->status == 200;
}

static gpointer work(gpointer data)
{
    Worker *w = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(HttpClient) client = http_client_new(w->argv[ENDPOINT], w->argv[CA], &error);

    while (client && clock_mono_ms() < w->until_ms) {
        gint64 start = g_get_monotonic_time();
        if (!one_request(w, client, &error))
            break;
        gint64 took = g_get_monotonic_time() - start;
        g_array_append_val(w->latencies_us, took);
    }
    if (error)
        w->failure = g_strdup(error->message);
    return NULL;
}

static int by_value(gconstpointer a, gconstpointer b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

    return (x > y) - (x < y);
}

static void report(GArray *all, gsize bytes, double seconds)
{
    g_array_sort(all, by_value);
    guint n = all->len;
#define AT(part) (n ? (double)g_array_index(all, gint64, (guint)((n - 1) * (part))) / 1000 : 0)
    printf("{\"requests\": %u, \"per_second\": %.0f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, "
           "\"max_ms\": %.2f, \"bytes_per_answer\": %.0f}\n",
           n, n / seconds, AT(0.5), AT(0.99), AT(1.0), n ? (double)bytes / n : 0);
#undef AT
}

int main(int argc, char **argv)
{
    if (argc != COUNT) {
        fprintf(stderr, "usage: load_api ENDPOINT CA REGION SERVICE TARGET CONTENT_TYPE BODY THREADS SECONDS\n");
        return 2;
    }
    guint threads = CLAMP((guint)strtoul(argv[THREADS], NULL, 10), 1, 64);
    guint seconds = CLAMP((guint)strtoul(argv[SECONDS], NULL, 10), 1, 60);
    g_autofree Worker *workers = g_new0(Worker, threads);
    g_autofree GThread **running = g_new0(GThread *, threads);
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint64));
    gint64 start = clock_mono_ms();
    gsize bytes = 0;
    gboolean failed = FALSE;

    for (guint i = 0; i < threads; i++) {
        workers[i] = (Worker){ .argv = argv, .until_ms = start + seconds * 1000,
                               .latencies_us = g_array_new(FALSE, FALSE, sizeof(gint64)) };
        running[i] = g_thread_new("load", work, &workers[i]);
    }
    for (guint i = 0; i < threads; i++) {
        g_thread_join(running[i]);
        g_array_append_vals(all, workers[i].latencies_us->data, workers[i].latencies_us->len);
        g_array_unref(workers[i].latencies_us);
        bytes += workers[i].bytes;
        if (workers[i].failure) {
            fprintf(stderr, "load_api: %s\n", workers[i].failure);
            failed = TRUE;
        }
        g_free(workers[i].failure);
    }
    report(all, bytes, (double)(clock_mono_ms() - start) / 1000);
    return failed ? 1 : 0;
}
