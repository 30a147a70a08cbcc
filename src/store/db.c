#include "store/db.h"
#include "base/clock.h"
#include "base/errors.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define WAIT_SECONDS 10

const char db_args_end[] = "";

typedef struct {
    PGconn *conn;
    GHashTable *prepared; /* address of an SQL literal -> statement number */
} Session;

struct DbPool {
    char *dsn;
    char *user;
    guint size;
    pthread_mutex_t lock; /* guards idle and open */
    pthread_cond_t freed;
    GQueue idle;
    guint open;
};

struct DbTx {
    DbPool *pool;
    Session *session;
    DbMode mode;
    gboolean begun;
    gboolean broken; /* the session is not given back */
    GPtrArray *texts;
};

static void session_free(Session *session)
{
    if (!session)
        return;
    PQfinish(session->conn);
    g_hash_table_destroy(session->prepared);
    g_free(session);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

static void ignore_notice(void *arg G_GNUC_UNUSED, const PGresult *res G_GNUC_UNUSED)
{
}

static PGconn *connect_as(const char *dsn, const char *user, GError **error)
{
    g_autofree char *full = g_strdup_printf("%s user=%s application_name=berthd", dsn, user);
    PGconn *conn = PQconnectdb(full);

    if (PQstatus(conn) != CONNECTION_OK) {
        g_autofree char *cause = g_strchomp(g_strdup(PQerrorMessage(conn)));
        PQfinish(conn);
        return fail_null(error, UNAVAILABLE, "cannot reach the database: %s", cause);
    }
    PQsetNoticeReceiver(conn, ignore_notice, NULL);
    return conn;
}

static Session *session_new(DbPool *pool, GError **error)
{
    PGconn *conn = connect_as(pool->dsn, pool->user, error);

    if (!conn)
        return NULL;
    Session *session = g_new0(Session, 1);
    session->conn = conn;
    session->prepared = g_hash_table_new(g_direct_hash, g_direct_equal);
    return session;
}

DbPool *db_pool_new(const char *dsn, const char *user, guint size)
{
    DbPool *pool = g_new0(DbPool, 1);

    pool->dsn = g_strdup(dsn);
    pool->user = g_strdup(user);
    pool->size = size;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->freed, NULL);
    g_queue_init(&pool->idle);
    return pool;
}

void db_pool_free(DbPool *pool)
{
    if (!pool)
        return;
    g_queue_clear_full(&pool->idle, (GDestroyNotify)session_free);
    pthread_cond_destroy(&pool->freed);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool->dsn);
    g_free(pool->user);
    g_free(pool);
}

/* Gives a session or, with *ret_open, the right to open one; FALSE when none came free. */
static gboolean pool_take(DbPool *pool, Session **ret_session, gboolean *ret_open)
{
    struct timespec until;
    gboolean got = TRUE;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&pool->lock);
    while (g_queue_is_empty(&pool->idle) && pool->open >= pool->size && got)
        got = pthread_cond_timedwait(&pool->freed, &pool->lock, &until) == 0;
    *ret_session = g_queue_pop_head(&pool->idle);
    *ret_open = !*ret_session && pool->open < pool->size;
    if (*ret_open)
        pool->open++;
    pthread_mutex_unlock(&pool->lock);
    return *ret_session || *ret_open;
}

/* Takes session, or the count of one that broke when it is NULL. */
static void pool_give(DbPool *pool, Session *session)
{
    pthread_mutex_lock(&pool->lock);
    if (session)
        g_queue_push_head(&pool->idle, session);
    else
        pool->open--;
    pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
}

/* Nothing is due on an idle session: what waits there is the server's farewell. */
static gboolean session_alive(Session *session)
{
    struct pollfd waits = { .fd = PQsocket(session->conn), .events = POLLIN };

    return PQstatus(session->conn) == CONNECTION_OK && poll(&waits, 1, 0) == 0;
}

DbTx *db_begin(DbPool *pool, DbMode mode, GError **error)
{
    Session *session = NULL;
    gboolean open = FALSE;

    if (!pool_take(pool, &session, &open))
        return fail_null(error, UNAVAILABLE, "no database session came free in %d s", WAIT_SECONDS);
    if (session && !session_alive(session)) {
        session_free(session);
        session = NULL;
        open = TRUE;
    }
    if (open)
        session = session_new(pool, error);
    if (!session) {
        pool_give(pool, NULL);
        return NULL;
    }
    DbTx *tx = g_new0(DbTx, 1);
    tx->pool = pool;
    tx->session = session;
    tx->mode = mode;
    tx->texts = g_ptr_array_new_with_free_func(g_free);
    return tx;
}

static void tx_end(DbTx *tx)
{
    if (tx->broken) {
        session_free(tx->session);
        tx->session = NULL;
    }
    pool_give(tx->pool, tx->session);
    g_ptr_array_unref(tx->texts);
    g_free(tx);
}

static gboolean tx_failed(DbTx *tx, const PGresult *res, const char *sql, GError **error)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    g_autofree char *cause = g_strchomp(g_strdup(PQerrorMessage(tx->session->conn)));

    if (PQstatus(tx->session->conn) != CONNECTION_OK || (state && g_str_has_prefix(state, "57P"))) {
        tx->broken = TRUE;
        return fail(error, UNAVAILABLE, "the database went away: %s", cause);
    }
    if (state && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0))
        return fail(error, TX_CONFLICT, "transaction conflict: %s", cause);
    return fail(error, INTERNAL, "statement failed: %s (SQL state %s, in: %.120s)", cause,
                state ? state : "none", sql);
}

static gboolean tx_simple(DbTx *tx, const char *sql, GError **error)
{
    g_autoptr(PGresult) res = PQexec(tx->session->conn, sql);

    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        return tx_failed(tx, res, sql, error);
    return TRUE;
}

gboolean db_commit(DbTx *tx, GError **error)
{
    gboolean done = !tx->begun || tx_simple(tx, "COMMIT", error);

    tx_end(tx);
    return done;
}

void db_rollback(DbTx *tx)
{
    if (!tx)
        return;
    if (tx->begun && !tx->broken && !tx_simple(tx, "ROLLBACK", NULL))
        tx->broken = TRUE;
    tx_end(tx);
}

/* The statement's name on this session, prepared when it is met for the first time. */
static gboolean statement_name(DbTx *tx, const char *sql, char ret_name[24], GError **error)
{
    GHashTable *prepared = tx->session->prepared;
    guint number = GPOINTER_TO_UINT(g_hash_table_lookup(prepared, sql));
    gboolean known = number != 0;

    if (!known)
        number = g_hash_table_size(prepared) + 1;
    g_snprintf(ret_name, 24, "s%u", number);
    if (known)
        return TRUE;
    g_autoptr(PGresult) res = PQprepare(tx->session->conn, ret_name, sql, 0, NULL);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        return tx_failed(tx, res, sql, error);
    g_hash_table_insert(prepared, (gpointer)sql, GUINT_TO_POINTER(number));
    return TRUE;
}

PGresult *db_query(DbTx *tx, GError **error, const char *sql, const char *const *args)
{
    char name[24];
    int count = 0;

    if (tx->mode == DB_MODE_WRITE && !tx->begun && !tx_simple(tx, "BEGIN", error))
        return NULL;
    tx->begun = tx->mode == DB_MODE_WRITE;
    if (!statement_name(tx, sql, name, error))
        return NULL;
    while (args[count] != db_args_end)
        count++;
    g_autoptr(PGresult) res = PQexecPrepared(tx->session->conn, name, count, args, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        tx_failed(tx, res, sql, error);
        return NULL;
    }
    return g_steal_pointer(&res);
}

gboolean db_exec(DbTx *tx, GError **error, const char *sql, const char *const *args,
                 guint *ret_rows)
{
    g_autoptr(PGresult) res = db_query(tx, error, sql, args);

    if (!res)
        return FALSE;
    if (ret_rows)
        *ret_rows = (guint)g_ascii_strtoull(PQcmdTuples(res), NULL, 10);
    return TRUE;
}

static const char *tx_keep(DbTx *tx, char *text)
{
    g_ptr_array_add(tx->texts, text);
    return text;
}

const char *db_int(DbTx *tx, gint64 value)
{
    return tx_keep(tx, g_strdup_printf("%" G_GINT64_FORMAT, value));
}

const char *db_bool(gboolean value)
{
    return value ? "true" : "false";
}

const char *db_time(DbTx *tx, gint64 us)
{
    char seconds[CLOCK_ISO_SIZE];
    gint64 part = (us % CLOCK_SECOND_US + CLOCK_SECOND_US) % CLOCK_SECOND_US;

    clock_iso_s(us, seconds);
    seconds[strlen(seconds) - 1] = '\0';
    return tx_keep(tx, g_strdup_printf("%s.%06dZ", seconds, (int)part));
}

const char *db_text_array(DbTx *tx, const char *const *values, gssize count)
{
    g_autoptr(GString) text = g_string_new("{");

    for (gssize i = 0; count < 0 ? values[i] != NULL : i < count; i++) {
        g_string_append(text, !values[i] ? (i ? ",NULL" : "NULL") : i ? ",\"" : "\"");
        if (!values[i])
            continue;
        for (const char *p = values[i]; *p; p++) {
            if (*p == '"' || *p == '\\')
                g_string_append_c(text, '\\');
            g_string_append_c(text, *p);
        }
        g_string_append_c(text, '"');
    }
    g_string_append_c(text, '}');
    return tx_keep(tx, g_string_free(g_steal_pointer(&text), FALSE));
}

const char *db_int_array(DbTx *tx, const gint64 *values, gsize count)
{
    g_autoptr(GString) text = g_string_new("{");

    for (gsize i = 0; i < count; i++)
        g_string_append_printf(text, "%s%" G_GINT64_FORMAT, i ? "," : "", values[i]);
    g_string_append_c(text, '}');
    return tx_keep(tx, g_string_free(g_steal_pointer(&text), FALSE));
}

const char *db_bytes(DbTx *tx, const void *data, gsize length)
{
    const guint8 *bytes = data;
    char *text = g_malloc(2 * length + 3);

    text[0] = '\\';
    text[1] = 'x';
    for (gsize i = 0; i < length; i++) {
        text[2 + 2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[3 + 2 * i] = "0123456789abcdef"[bytes[i] & 15];
    }
    text[2 + 2 * length] = '\0';
    return tx_keep(tx, text);
}

const char *db_text(const PGresult *res, int row, int column)
{
    return PQgetisnull(res, row, column) ? NULL : PQgetvalue(res, row, column);
}

gint64 db_int64(const PGresult *res, int row, int column)
{
    const char *text = db_text(res, row, column);

    return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

gboolean db_truth(const PGresult *res, int row, int column)
{
    const char *text = db_text(res, row, column);

    return text && text[0] == 't';
}

gboolean db_ask(DbTx *tx, GError **error, const char *sql, const char *const *args,
                gboolean *ret_answer)
{
    g_autoptr(PGresult) res = db_query(tx, error, sql, args);

    if (!res)
        return FALSE;
    *ret_answer = db_truth(res, 0, 0);
    return TRUE;
}

GPtrArray *db_texts(const PGresult *res, int column)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);

    for (int row = 0; row < PQntuples(res); row++)
        g_ptr_array_add(list, g_strdup(db_text(res, row, column)));
    return list;
}

gboolean db_wake(DbTx *tx, const char *kind, const char *id, GError **error)
{
    return db_exec(tx, error, "SELECT pg_notify('berth_wake', $1 || ':' || $2)", DB_ARGS(kind, id),
                   NULL);
}
