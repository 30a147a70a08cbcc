/*
 * handlers/request.h - one call: a checked tree in, a transaction, a tree or an error out
 *
 * The dispatcher fills a Request, opens the transaction of the database the action works on,
 * calls the handler and commits, or rolls back when the handler fails. It may run the handler
 * again from the start (TX_CONFLICT, a client token), so a handler touches rows only: never the
 * world, never memory that outlives the call. Dry runs and client tokens are the dispatcher's.
 */
#pragma once

#include "base/config.h"
#include "base/crypto.h"
#include "model/policy.h"
#include "store/db.h"

#include <jansson.h>

typedef enum {
    PRINCIPAL_ROOT, /* the account itself */
    PRINCIPAL_USER,
    PRINCIPAL_SESSION, /* a role's temporary credentials */
} PrincipalKind;

/* Who calls: what SigV4 proved. Strings are owned by the Identity. */
typedef struct {
    PrincipalKind kind;
    char *account_id;
    char *access_key_id;
    char *principal_arn; /* "arn:aws:iam::123456789012:root" */
    char *principal_id;  /* what GetCallerIdentity calls UserId */
    SessionKind session; /* of a session: what it was made for */
    char *role_name;     /* of a session */
    char *subject;       /* of a session: the instance or task it was made for; NULL: neither */
    gboolean is_admin;   /* account may call the admin service */
} Identity;

/* Things every request of this process shares; read-only after main has set up. */
typedef struct {
    const Config *config;
    DbPool *identity; /* as berth_api */
    DbPool *region;   /* as berth_api */
    guint8 master_key[CRYPTO_KEY_SIZE];
} HandlerContext;

typedef struct {
    const HandlerContext *context;
    const Identity *identity;
    const char *account_id; /* identity->account_id */
    const char *region;
    const char *request_id;
    const char *client_address;
    gint64 now_us;        /* UTC, when the request came */
    const json_t *params; /* borrowed; members by SDK name, checked against the input shape */
    DbTx *tx;             /* the database of the action's mode, open */
    /* A handler that asked for something which another process brings sets again_ms: what it wrote
     * is committed, and it runs anew after so long in place of being answered for. waited_ms is the
     * sum so far, which it must bound. Not for actions with a client token. */
    gint64 again_ms;
    gint64 waited_ms;
} Request;

/* A new reference to the answer, by SDK names; NULL with *error set. */
typedef json_t *(*ActionHandler)(Request *rq, GError **error);

/* Parameters by SDK name: NULL, fallback or an empty array when absent. Nothing to free. */
const char *request_text(const Request *rq, const char *name);
gint64 request_int(const Request *rq, const char *name, gint64 fallback);
gboolean request_bool(const Request *rq, const char *name, gboolean fallback);
const json_t *request_member(const Request *rq, const char *name);
