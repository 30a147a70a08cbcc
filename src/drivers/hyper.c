#include "drivers/hyper_internal.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "drivers/stream.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000
#define KEEPALIVE_SECONDS  4
#define KEEPALIVE_MISSES   3

/* ---- libvirt's event loop, one for the process */

typedef struct {
    pthread_t thread;
    int timer;
    gboolean running;
    int stopping; /* atomic */
} EventLoop;

static EventLoop event_loop;
static pthread_once_t event_once = PTHREAD_ONCE_INIT;

static void ignore_libvirt_error(void *user G_GNUC_UNUSED, virErrorPtr err G_GNUC_UNUSED)
{
}

/* libvirt must have its loop before the first connection, once a process. */
static void event_register(void)
{
    virInitialize();
    virSetErrorFunc(NULL, ignore_libvirt_error);
    virEventRegisterDefaultImpl();
}

static void *event_main(void *arg G_GNUC_UNUSED)
{
    while (!g_atomic_int_get(&event_loop.stopping))
        if (virEventRunDefaultImpl() < 0)
            g_usleep(100000);
    return NULL;
}

static void event_tick(int timer G_GNUC_UNUSED, void *user G_GNUC_UNUSED)
{
}

gboolean hyper_events_start(GError **error)
{
    pthread_once(&event_once, event_register);
    if (event_loop.running)
        return TRUE;
    event_loop.timer = virEventAddTimeout(500, event_tick, NULL, NULL);
    g_atomic_int_set(&event_loop.stopping, 0);
    int cause = pthread_create(&event_loop.thread, NULL, event_main, NULL);
    if (cause)
        return fail(error, INTERNAL, "cannot start libvirt's event loop: %s", g_strerror(cause));
    event_loop.running = TRUE;
    return TRUE;
}

void hyper_events_stop(void)
{
    if (!event_loop.running)
        return;
    g_atomic_int_set(&event_loop.stopping, 1);
    virEventUpdateTimeout(event_loop.timer, 0);
    pthread_join(event_loop.thread, NULL);
    virEventRemoveTimeout(event_loop.timer);
    event_loop.running = FALSE;
}

/* ---- errors */

gboolean hyper_last_is(int code)
{
    virErrorPtr last = virGetLastError();

    return last && last->code == code;
}

gboolean hyper_fail(const Hyper *hyper, GError **error, const char *format, ...)
{
    virErrorPtr last = virGetLastError();
    g_autofree char *cause = g_strdup(last && last->message ? last->message : "unknown error");
    va_list args;

    va_start(args, format);
    g_autofree char *attempt = g_strdup_vprintf(format, args);
    va_end(args);
    if (!hyper->conn || virConnectIsAlive(hyper->conn) != 1)
        return fail(error, HOST_UNREACHABLE, "%s on host \"%s\": connection broke: %s", attempt,
                    hyper->uri, cause);
    return fail(error, HYPERVISOR, "%s on host \"%s\": %s", attempt, hyper->uri, cause);
}

char *hyper_derived_uuid(const HyperSettings *settings, const char *what)
{
    g_autofree char *words = g_strjoin("/", settings->install_uuid, settings->name, what, NULL);
    char h[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex(words, strlen(words), h);
    return g_strdup_printf("%.8s-%.4s-5%.3s-8%.3s-%.12s", h, h + 8, h + 12, h + 15, h + 18);
}

/* ---- connection */

/* What libvirt calls back with. It frees it, for it may still be calling while we unsubscribe. */
typedef struct {
    char *uri;
    HyperEvent event;
    gpointer user;
} Subscription;

static Subscription *subscription_new(const char *uri, HyperEvent event, gpointer user)
{
    Subscription *s = g_new0(Subscription, 1);

    *s = (Subscription){ g_strdup(uri), event, user };
    return s;
}

static void subscription_free(void *data)
{
    Subscription *s = data;

    g_free(s->uri);
    g_free(s);
}

static int on_domain_event(virConnectPtr conn G_GNUC_UNUSED, virDomainPtr domain,
                           int event G_GNUC_UNUSED, int detail G_GNUC_UNUSED, void *user)
{
    const Subscription *s = user;

    s->event(s->uri, virDomainGetName(domain), s->user);
    return 0;
}

static void on_close(virConnectPtr conn G_GNUC_UNUSED, int reason G_GNUC_UNUSED, void *user)
{
    const Subscription *s = user;

    s->event(s->uri, NULL, s->user);
}

static guint transport_port(const char *scheme)
{
    if (g_str_has_suffix(scheme, "+tcp"))
        return 16509;
    if (g_str_has_suffix(scheme, "+ssh") || g_str_has_suffix(scheme, "+libssh2") ||
        g_str_has_suffix(scheme, "+libssh"))
        return 22;
    return 16514;
}

/* virConnectOpen waits minutes for a host that swallows packets; a plain connect does not. */
static gboolean host_answers(const char *uri, GError **error)
{
    g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, NULL);

    if (!parsed)
        return fail(error, CONFIG, "\"%s\" is not a libvirt URI", uri);
    const char *host = g_uri_get_host(parsed);
    if (!host || !*host)
        return TRUE;
    int port = g_uri_get_port(parsed);
    StreamAddress to = { .kind = STREAM_TCP,
                         .host = host,
                         .port =
                             port > 0 ? (guint)port : transport_port(g_uri_get_scheme(parsed)) };
    g_autoptr(GError) cause = NULL;
    g_autoptr(Stream) stream = stream_open(&to, NULL, clock_mono_ms() + CONNECT_TIMEOUT_MS, &cause);
    if (!stream)
        return fail(error, HOST_UNREACHABLE, "cannot reach host \"%s\": %s", uri, cause->message);
    return TRUE;
}

static gboolean events_subscribe(Hyper *hyper, HyperEvent event, gpointer user, GError **error)
{
    if (!event)
        return TRUE;
    Subscription *domains = subscription_new(hyper->uri, event, user);
    hyper->event_id = virConnectDomainEventRegisterAny(
        hyper->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
        VIR_DOMAIN_EVENT_CALLBACK(on_domain_event), domains, subscription_free);
    if (hyper->event_id < 0) {
        subscription_free(domains);
        return hyper_fail(hyper, error, "cannot subscribe to events");
    }
    Subscription *closing = subscription_new(hyper->uri, event, user);
    if (virConnectRegisterCloseCallback(hyper->conn, on_close, closing, subscription_free) < 0) {
        subscription_free(closing);
        return hyper_fail(hyper, error, "cannot watch the connection");
    }
    return TRUE;
}

Hyper *hyper_open(const char *uri, const HyperSettings *settings, HyperEvent event, gpointer user,
                  GError **error)
{
    pthread_once(&event_once, event_register);
    if (!host_answers(uri, error))
        return NULL;
    g_autoptr(Hyper) hyper = g_new0(Hyper, 1);
    hyper->uri = g_strdup(uri);
    hyper->settings = settings;
    hyper->event_id = -1;
    hyper->conn = virConnectOpen(uri);
    if (!hyper->conn)
        return fail_null(error, HOST_UNREACHABLE, "cannot connect to host \"%s\": %s", uri,
                         virGetLastErrorMessage());
    virConnectSetKeepAlive(hyper->conn, KEEPALIVE_SECONDS, KEEPALIVE_MISSES);
    if (!events_subscribe(hyper, event, user, error))
        return NULL;
    return g_steal_pointer(&hyper);
}

/* An opening that may be given up: whoever comes last frees it. */
typedef struct {
    pthread_mutex_t lock; /* guards all below but what the thread is given */
    pthread_cond_t ended;
    char *uri;
    const HyperSettings *settings; /* only until it is given up */
    gboolean over;                 /* the thread has done its part, or nobody waits any more */
    Hyper *hyper;
    GError *cause;
} Opening;

static void opening_free(Opening *opening)
{
    hyper_release(opening->hyper);
    g_clear_error(&opening->cause);
    pthread_cond_destroy(&opening->ended);
    pthread_mutex_destroy(&opening->lock);
    g_free(opening->uri);
    g_free(opening);
}

/* TRUE for the second who is done with it. */
static gboolean opening_leave(Opening *opening)
{
    gboolean second = opening->over;

    opening->over = TRUE;
    pthread_cond_signal(&opening->ended);
    pthread_mutex_unlock(&opening->lock);
    return second;
}

static void *opening_main(void *arg)
{
    Opening *opening = arg;
    g_autoptr(GError) cause = NULL;
    Hyper *hyper = hyper_open(opening->uri, opening->settings, NULL, NULL, &cause);

    pthread_mutex_lock(&opening->lock);
    opening->hyper = hyper;
    opening->cause = g_steal_pointer(&cause);
    if (opening_leave(opening))
        opening_free(opening);
    return NULL;
}

/* With the lock held, which it leaves: what has come of it by then. */
static Hyper *opening_take(Opening *opening, guint timeout_ms, GError **error)
{
    gint64 until_ms = clock_mono_ms() + timeout_ms;
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

    while (!opening->over && clock_mono_ms() < until_ms)
        pthread_cond_timedwait(&opening->ended, &opening->lock, &until);
    Hyper *hyper = g_steal_pointer(&opening->hyper);
    if (opening->cause)
        g_propagate_error(error, g_steal_pointer(&opening->cause));
    else if (!hyper)
        fail(error, HOST_UNREACHABLE, "host \"%s\": its libvirt does not answer", opening->uri);
    if (opening_leave(opening))
        opening_free(opening);
    return hyper;
}

Hyper *hyper_open_within(const char *uri, const HyperSettings *settings, guint timeout_ms,
                         GError **error)
{
    Opening *opening = g_new0(Opening, 1);
    pthread_condattr_t monotonic;
    pthread_t thread;

    opening->uri = g_strdup(uri);
    opening->settings = settings;
    pthread_mutex_init(&opening->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&opening->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_lock(&opening->lock);
    int cause = pthread_create(&thread, NULL, opening_main, opening);
    if (cause) {
        pthread_mutex_unlock(&opening->lock);
        opening_free(opening);
        return fail_null(error, UNAVAILABLE, "cannot start a thread: %s", g_strerror(cause));
    }
    pthread_detach(thread);
    return opening_take(opening, timeout_ms, error);
}

void hyper_on_idle(Hyper *hyper, HyperIdle idle, gpointer user)
{
    hyper->idle = idle;
    hyper->idle_user = user;
}

const char *hyper_uri(const Hyper *hyper)
{
    return hyper->uri;
}

void hyper_release(Hyper *hyper)
{
    if (!hyper || (hyper->idle && hyper->idle(hyper, hyper->idle_user)))
        return;
    if (hyper->conn) {
        if (hyper->event_id >= 0) {
            virConnectUnregisterCloseCallback(hyper->conn, on_close);
            virConnectDomainEventDeregisterAny(hyper->conn, hyper->event_id);
        }
        virConnectClose(hyper->conn);
    }
    g_free(hyper->uri);
    g_free(hyper);
}

gboolean hyper_alive(Hyper *hyper)
{
    return virConnectIsAlive(hyper->conn) == 1;
}
