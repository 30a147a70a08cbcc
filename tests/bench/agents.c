/*
 * agents - many container agents in one process, for measuring what their channels cost berthd
 *
 *     agents HOST PORT CA REGION ACCOUNT COUNT TELEMETRY DSN      (keys: AWS_ACCESS_KEY_ID, ...)
 *
 * Agent n is container instance lpad(to_hex(n), 32, '0') of cluster "default", registered by SQL.
 * Each keeps an ACS channel, the first TELEMETRY ones a TCS channel too, answers heartbeats, publishes
 * idle metrics every 20 s, acknowledges payloads and comes back with a backoff, as stock agents do:
 * full TLS handshakes, never resumed, with the preferences of Go's TLS, chain and name ("HOST:PORT")
 * verified, every upgrade signed. All of them sign with one key, which berthd keeps in its cache:
 * agents with keys of their own cost one more statement each.
 *
 * Orders are lines on standard input, each answered by one JSON object:
 *     settle SECONDS   until every channel is open
 *     run SECONDS      just live
 *     again SECONDS    until every channel has been opened once more: berthd was started anew
 *     drop SECONDS     break every connection at once, then settle
 *     tasks COUNT RATE commit COUNT tasks, RATE a second, each on an agent of its own, and see how
 *                      long after its commit was asked for each payload is at its agent
 *     storm COUNT RATE the same, and break every connection at once in the midst of it: until every
 *                      channel is open and every payload is at its agent
 * Bounded: no order lasts longer than 300 s.
 */
#include "base/clock.h"
#include "store/db.h"
#include "wire/sigv4.h"
#include "wire/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ORDER_MAX_S     300
#define PUBLISH_MS      20000
#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS  120000
#define MESSAGE_MAX     (1 << 20)
#define TASKS_MAX       20000
#define TICK_MS         50
/* As crypto/tls of Go has them: RSA first. */
#define SIGNATURES "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha384:"\
                   "rsa_pss_rsae_sha512:rsa_pkcs1_sha256:ecdsa_secp384r1_sha384"
#define SOURCES         16 /* loopback addresses that connections come from: ports are few */

typedef enum { AWAY, CONNECTING, SHAKING, ASKING, OPEN } Stage;

typedef struct {
    guint agent; /* from 1 */
    gboolean telemetry;
    Stage stage;
    int fd;
    SSL *ssl;
    Ws *ws;
    GString *out;      /* of the request */
    GString *in;       /* of its answer */
    guint32 events;
    gint64 retry_ms;   /* AWAY: not before */
    gint64 backoff_ms;
    gint64 publish_ms;
} Link;

enum { HOST = 1, PORT, CA, REGION, ACCOUNT, COUNT, TELEMETRY, DSN, ARGC };

static struct {
    char **argv;
    struct sockaddr_in address;
    SSL_CTX *tls;
    int epoll_fd;
    Link *links;
    guint link_count;
    guint open;
    guint64 anew; /* connects there must have been */
    guint64 connects, failures, heartbeats, published, payloads, manifests;
    guint arrived; /* tasks whose payload has come, however often */
    guint asked;   /* tasks committed by earlier orders */
    gint64 asked_us[TASKS_MAX + 1], arrived_us[TASKS_MAX + 1];
} world;

/* -- one link */

static void link_watch(Link *l, guint32 events)
{
    struct epoll_event event = { .events = events, .data.ptr = l };

    if (events != l->events)
        epoll_ctl(world.epoll_fd, l->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, l->fd, &event);
    l->events = events;
}

static void link_end(Link *l, gboolean failed)
{
    struct linger abrupt = { 1, 0 };

    if (l->stage == AWAY)
        return;
    if (l->stage == OPEN)
        world.open--;
    world.failures += failed;
    setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
    SSL_free(g_steal_pointer(&l->ssl));
    close(l->fd);
    ws_free(g_steal_pointer(&l->ws));
    g_string_truncate(l->out, 0);
    g_string_truncate(l->in, 0);
    l->events = 0;
    l->retry_ms = clock_mono_ms();
    if (failed) {
        l->retry_ms += l->backoff_ms + g_random_int_range(0, (gint32)(l->backoff_ms / 5) + 1);
        l->backoff_ms = MIN(l->backoff_ms * 3 / 2, BACKOFF_MAX_MS);
    }
    l->stage = AWAY;
}

static void link_connect(Link *l)
{
    struct sockaddr_in from = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(0x7f000002u + l->agent % SOURCES) };
    int on = 1;

    world.connects++;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    l->stage = CONNECTING;
    setsockopt(l->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        (connect(l->fd, (struct sockaddr *)&world.address, sizeof world.address) < 0 &&
         errno != EINPROGRESS)) {
        link_end(l, TRUE);
        return;
    }
    l->ssl = SSL_new(world.tls);
    SSL_set_fd(l->ssl, l->fd);
    SSL_set_connect_state(l->ssl);
    link_watch(l, EPOLLOUT);
}

static void add_parameter(GString *query, const char *name, const char *value)
{
    g_autofree char *escaped = g_uri_escape_string(value, NULL, FALSE);

    g_string_append_printf(query, "%s%s=%s", query->len ? "&" : "", name, escaped);
}

static char *link_query(const Link *l)
{
    GString *query = g_string_new(NULL);
    g_autofree char *arn = g_strdup_printf("arn:aws:ecs:%s:%s:container-instance/default/%032x",
                                           world.argv[REGION], world.argv[ACCOUNT], l->agent);

    add_parameter(query, "agentHash", "0e7482df");
    add_parameter(query, "agentVersion", "1.70.0");
    add_parameter(query, l->telemetry ? "cluster" : "clusterArn", "default");
    add_parameter(query, l->telemetry ? "containerInstance" : "containerInstanceArn", arn);
    add_parameter(query, "dockerVersion",
                  l->telemetry ? "20.10.24+dfsg1" : "DockerVersion: 20.10.24+dfsg1");
    if (!l->telemetry) {
        add_parameter(query, "protocolVersion", "2");
        add_parameter(query, "sendCredentials", "true");
        add_parameter(query, "seqNum", "1");
    }
    return g_string_free(query, FALSE);
}

static void link_ask(Link *l)
{
    g_autofree char *query = link_query(l);
    g_autofree char *host = g_strdup_printf("%s:%s", world.argv[HOST], world.argv[PORT]);
    const char *path = l->telemetry ? "/tcs/ws" : "/acs/ws";
    SigV4Header headers[] = { { "Host", host } };
    SigV4Request request = { .method = "GET", .path = path, .query = query, .headers = headers,
                             .header_count = 1, .body = "", .secure = TRUE };
    SigV4Signer signer = { g_getenv("AWS_ACCESS_KEY_ID"), g_getenv("AWS_SECRET_ACCESS_KEY"), NULL,
                           world.argv[REGION], "ecs" };
    g_auto(SigV4Signature) signature = { 0 };
    char key[WS_KEY_SIZE];

    ws_make_key(key);
    sigv4_sign(&request, &signer, clock_now_us(), &signature);
    g_string_printf(l->out,
                    "GET %s?%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: %s\r\nX-Amz-Date: %s\r\nAuthorization: %s\r\n\r\n",
                    path, query, host, key, signature.date, signature.authorization);
    l->stage = ASKING;
}

/* -- what agents say and hear */

static void link_say(Link *l, const char *text)
{
    ws_send_text(l->ws, text, strlen(text));
}

/* The text of a member, wherever it first stands. Caller frees; NULL: none. */
static char *find_member(const char *text, const char *name)
{
    g_autofree char *start = g_strdup_printf("\"%s\":\"", name);
    const char *at = strstr(text, start);

    if (!at)
        return NULL;
    at += strlen(start);
    return g_strndup(at, strcspn(at, "\""));
}

static void note_arrival(const char *text)
{
    g_autofree char *arn = find_member(text, "arn");
    const char *id = arn ? strrchr(arn, '/') : NULL;
    guint64 task = id ? g_ascii_strtoull(id + 1, NULL, 16) : 0;

    world.payloads++;
    if (task == 0 || task > TASKS_MAX || world.arrived_us[task])
        return;
    world.arrived_us[task] = clock_now_us();
    world.arrived++;
}

static void on_text(Ws *ws G_GNUC_UNUSED, const char *text, gsize length G_GNUC_UNUSED,
                    gpointer user)
{
    Link *l = user;
    g_autofree char *kind = find_member(text, "type");
    g_autofree char *id = find_member(text, "messageId");
    g_autofree char *answer = NULL;

    if (l->telemetry || !id)
        return;
    if (g_strcmp0(kind, "HeartbeatMessage") == 0) {
        world.heartbeats++;
        answer = g_strdup_printf(
            "{\"type\":\"HeartbeatAckRequest\",\"message\":{\"messageId\":\"%s\"}}", id);
    } else if (g_strcmp0(kind, "PayloadMessage") == 0 ||
               g_strcmp0(kind, "TaskManifestMessage") == 0) {
        if (*kind == 'P')
            note_arrival(text);
        world.manifests += *kind == 'T';
        answer = g_strdup_printf("{\"type\":\"AckRequest\",\"message\":{\"cluster\":\"default\","
                                 "\"containerInstance\":\"%032x\",\"messageId\":\"%s\"}}",
                                 l->agent, id);
    }
    if (answer)
        link_say(l, answer);
}

static void link_publish(Link *l)
{
    g_autofree char *text = g_strdup_printf(
        "Authorization: AWS4-HMAC-SHA256 Credential=%s/20261122/%s/ecs/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=%064x\r\nHost: %s:%s\r\n"
        "X-Amz-Date: 20261122T090905Z\r\n\r\n"
        "{\"type\":\"PublishMetricsRequest\",\"message\":{\"metadata\":{\"cluster\":\"default\","
        "\"containerInstance\":\"%032x\",\"fin\":true,\"idle\":true,\"messageId\":\"%08x\"},"
        "\"timestamp\":1795338545.204}}",
        g_getenv("AWS_ACCESS_KEY_ID"), world.argv[REGION], 0u, world.argv[HOST], world.argv[PORT],
        l->agent, g_random_int());

    link_say(l, text);
    world.published++;
}

/* -- bytes */

static gboolean tls_waits(Link *l, int result, guint32 *events)
{
    switch (SSL_get_error(l->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *events = EPOLLIN;
        return TRUE;
    case SSL_ERROR_WANT_WRITE:
        *events = EPOLLIN | EPOLLOUT;
        return TRUE;
    default:
        ERR_clear_error();
        return FALSE;
    }
}

static gboolean take_answer(Link *l, const char *data, gsize length)
{
    g_string_append_len(l->in, data, (gssize)length);
    const char *end = strstr(l->in->str, "\r\n\r\n");
    if (!end)
        return TRUE;
    if (!g_str_has_prefix(l->in->str, "HTTP/1.1 101 ")) {
        static guint told;
        if (told++ < 3)
            fprintf(stderr, "refused: %.200s\n", end + 4);
        return FALSE;
    }
    gsize used = (gsize)(end + 4 - l->in->str);
    l->ws = ws_new(WS_CLIENT, MESSAGE_MAX, on_text, NULL, l);
    l->stage = OPEN;
    l->backoff_ms = BACKOFF_FIRST_MS;
    l->publish_ms = clock_mono_ms() + g_random_int_range(0, PUBLISH_MS);
    world.open++;
    gboolean alive = ws_feed(l->ws, l->in->str + used, l->in->len - used);
    g_string_truncate(l->in, 0);
    return alive;
}

static gboolean link_read(Link *l, guint32 *events)
{
    char buffer[16384];

    for (;;) {
        int got = SSL_read(l->ssl, buffer, sizeof buffer);
        if (got <= 0)
            return tls_waits(l, got, events);
        if (l->stage == OPEN ? !ws_feed(l->ws, buffer, (gsize)got)
                             : !take_answer(l, buffer, (gsize)got))
            return FALSE;
    }
}

static gboolean link_write(Link *l, guint32 *events)
{
    while (l->out->len) {
        int sent = SSL_write(l->ssl, l->out->str, (int)l->out->len);
        if (sent <= 0)
            return tls_waits(l, sent, events);
        g_string_erase(l->out, 0, sent);
    }
    for (gsize length; l->ws;) {
        const guint8 *frames = ws_output(l->ws, &length);
        if (!length)
            break;
        int sent = SSL_write(l->ssl, frames, (int)length);
        if (sent <= 0)
            return tls_waits(l, sent, events);
        ws_output_done(l->ws, (gsize)sent);
    }
    return TRUE;
}

/* Whatever can go on goes on; FALSE when the link is over. */
static gboolean link_move(Link *l)
{
    guint32 events = EPOLLIN;

    if (l->stage == CONNECTING)
        l->stage = SHAKING;
    if (l->stage == SHAKING) {
        int done = SSL_do_handshake(l->ssl);
        if (done != 1) {
            gboolean alive = tls_waits(l, done, &events);
            if (alive)
                link_watch(l, events);
            return alive;
        }
        link_ask(l);
    }
    if (!link_write(l, &events) || !link_read(l, &events) || !link_write(l, &events))
        return FALSE;
    link_watch(l, events);
    return TRUE;
}

/* -- all of them */

static void tick(void)
{
    gint64 now_ms = clock_mono_ms();

    for (guint i = 0; i < world.link_count; i++) {
        Link *l = &world.links[i];
        if (l->stage == AWAY && now_ms >= l->retry_ms) {
            link_connect(l);
        } else if (l->stage == OPEN && l->telemetry && now_ms >= l->publish_ms) {
            l->publish_ms = now_ms + PUBLISH_MS;
            link_publish(l);
            if (!link_move(l))
                link_end(l, FALSE);
        }
    }
}

/* Lives until the time is over or done says so; the seconds that took. */
static double live(double seconds, gboolean (*done)(void))
{
    gint64 begin_ms = clock_mono_ms(), next_tick_ms = 0;
    gint64 until_ms = begin_ms + (gint64)(MIN(seconds, ORDER_MAX_S) * 1000);
    struct epoll_event events[512];

    while (clock_mono_ms() < until_ms && !(done && done())) {
        if (clock_mono_ms() >= next_tick_ms) {
            tick();
            next_tick_ms = clock_mono_ms() + TICK_MS;
        }
        int count = epoll_wait(world.epoll_fd, events, G_N_ELEMENTS(events), TICK_MS);
        for (int i = 0; i < count; i++) {
            Link *l = events[i].data.ptr;
            if (l->stage != AWAY && !link_move(l))
                link_end(l, l->stage != OPEN);
        }
    }
    return (double)(clock_mono_ms() - begin_ms) / 1000;
}

static gboolean all_open(void)
{
    return world.open == world.link_count && world.connects >= world.anew;
}

static void tell(const char *order, double seconds)
{
    printf("{\"order\": \"%s\", \"seconds\": %.2f, \"open\": %u, \"links\": %u, \"connects\": "
           "%" G_GUINT64_FORMAT ", \"failures\": %" G_GUINT64_FORMAT ", \"heartbeats\": "
           "%" G_GUINT64_FORMAT ", \"published\": %" G_GUINT64_FORMAT ", \"payloads\": "
           "%" G_GUINT64_FORMAT ", \"manifests\": %" G_GUINT64_FORMAT "}\n",
           order, seconds, world.open, world.link_count, world.connects, world.failures,
           world.heartbeats, world.published, world.payloads, world.manifests);
    fflush(stdout);
}

/* -- tasks: a second thread commits them */

typedef struct {
    guint count;
    guint rate;
    gint done; /* atomic */
} Commits;

static gboolean commit_task(DbPool *pool, guint n, GError **error)
{
    guint agents = (guint)atoi(world.argv[COUNT]);
    g_autofree char *task = g_strdup_printf("%032x", n);
    g_autofree char *instance = g_strdup_printf("%032x", 1 + (n - 1) % agents);
    g_autoptr(DbTx) tx = db_begin(pool, DB_MODE_WRITE, error);

    if (!tx ||
        !db_exec(tx, error,
                 "WITH made AS (INSERT INTO tasks (task_id, account_id, cluster_id, task_group,"
                 "  task_definition_id, ci_id, cpu, memory_mib, last_status, placed_at)"
                 "  SELECT $1, i.account_id, i.cluster_id, 'bench', d.task_definition_id, i.ci_id,"
                 "   1, 4, 'PENDING', now() FROM container_instances i, task_definitions d"
                 "  WHERE i.container_instance_id = $2 AND d.family = 'bench'"
                 "  RETURNING task_key, ci_id),"
                 " part AS (INSERT INTO containers (task_key, name, position, image)"
                 "  SELECT task_key, 'app', 1, 'bb:1' FROM made)"
                 " SELECT pg_notify('berth_wake', 'channel:' || ci_id) FROM made",
                 DB_ARGS(task, instance), NULL))
        return FALSE;
    world.asked_us[n] = clock_now_us();
    return db_commit(g_steal_pointer(&tx), error);
}

static void *commit_all(void *arg)
{
    Commits *commits = arg;
    g_autoptr(GError) error = NULL;
    DbPool *pool = db_pool_new(world.argv[DSN], "berth_owner", 1);
    gint64 begin_us = clock_now_us();

    for (guint i = 0; i < commits->count && !error; i++) {
        guint n = world.asked + 1 + i;
        gint64 due_us = begin_us + (gint64)i * CLOCK_SECOND_US / commits->rate;
        gint64 wait_us = due_us - clock_now_us();
        if (wait_us > 0)
            g_usleep((gulong)wait_us);
        if (!commit_task(pool, n, &error))
            fprintf(stderr, "task %u: %s\n", n, error->message);
    }
    db_pool_free(pool);
    g_atomic_int_set(&commits->done, 1);
    return NULL;
}

static Commits commits;

static gboolean all_arrived(void)
{
    return g_atomic_int_get(&commits.done) && world.arrived >= world.asked + commits.count &&
           all_open();
}

static int compare(gconstpointer a, gconstpointer b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

    return x < y ? -1 : x > y;
}

static void drop_all(void)
{
    for (guint i = 0; i < world.link_count; i++)
        link_end(&world.links[i], FALSE);
}

/* What each of the order's tasks took, in order. */
static GArray *tasks_took_us(void)
{
    GArray *took_us = g_array_new(FALSE, FALSE, sizeof(gint64));

    for (guint n = world.asked + 1; n <= world.asked + commits.count; n++) {
        gint64 took = world.arrived_us[n] - world.asked_us[n];
        if (world.arrived_us[n])
            g_array_append_val(took_us, took);
    }
    g_array_sort(took_us, compare);
    return took_us;
}

static void run_tasks(const char *order, guint count, guint rate)
{
    double takes = (double)count / MAX(rate, 1), seconds = 0;
    pthread_t thread;

    commits = (Commits){ .count = MIN(count, TASKS_MAX - world.asked), .rate = MAX(rate, 1) };
    pthread_create(&thread, NULL, commit_all, &commits);
    if (strcmp(order, "storm") == 0) {
        seconds = live(takes / 4, NULL);
        drop_all();
    }
    seconds += live(takes + 120, all_arrived);
    pthread_join(thread, NULL);
    g_autoptr(GArray) took_us = tasks_took_us();
    const gint64 *t = (const gint64 *)(const void *)took_us->data;
    guint got = took_us->len;
    printf("{\"order\": \"%s\", \"seconds\": %.2f, \"asked\": %u, \"arrived\": %u, \"open\": %u, "
           "\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
           order, seconds, commits.count, got, world.open, got ? (double)t[got / 2] / 1000 : -1,
           got ? (double)t[got * 99 / 100] / 1000 : -1, got ? (double)t[got - 1] / 1000 : -1);
    fflush(stdout);
    world.asked += commits.count;
}

static void obey(const char *line)
{
    char order[16] = "";
    double first = 0, second = 0;

    sscanf(line, "%15s %lf %lf", order, &first, &second);
    if (strcmp(order, "tasks") == 0 || strcmp(order, "storm") == 0) {
        run_tasks(order, (guint)first, (guint)second);
        return;
    }
    if (strcmp(order, "again") == 0)
        world.anew = world.connects + world.link_count;
    if (strcmp(order, "drop") == 0)
        drop_all();
    tell(order, live(first, strcmp(order, "run") == 0 ? NULL : all_open));
}

static gboolean set_up(char **argv)
{
    struct rlimit files;
    g_autofree char *name = g_strdup_printf("%s:%s", argv[HOST], argv[PORT]);
    guint count = (guint)atoi(argv[COUNT]), telemetry = (guint)atoi(argv[TELEMETRY]);

    signal(SIGPIPE, SIG_IGN);
    world.argv = argv;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    world.address = (struct sockaddr_in){ .sin_family = AF_INET,
                                          .sin_port = htons((guint16)atoi(argv[PORT])) };
    inet_pton(AF_INET, argv[HOST], &world.address.sin_addr);
    world.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    world.tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(world.tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set1_sigalgs_list(world.tls, SIGNATURES);
    X509_VERIFY_PARAM_set1_host(SSL_CTX_get0_param(world.tls), name, 0);
    SSL_CTX_set_mode(world.tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    world.link_count = count + telemetry;
    world.links = g_new0(Link, world.link_count);
    for (guint i = 0; i < world.link_count; i++)
        world.links[i] = (Link){ .agent = 1 + i % count, .telemetry = i >= count, .fd = -1,
                                 .out = g_string_new(NULL), .in = g_string_new(NULL),
                                 .backoff_ms = BACKOFF_FIRST_MS };
    return SSL_CTX_load_verify_locations(world.tls, argv[CA], NULL) == 1;
}

int main(int argc, char **argv)
{
    char line[128];

    if (argc != ARGC || !set_up(argv)) {
        fprintf(stderr, "usage: agents HOST PORT CA REGION ACCOUNT COUNT TELEMETRY DSN\n");
        return 2;
    }
    while (fgets(line, sizeof line, stdin))
        obey(line);
    return 0;
}
