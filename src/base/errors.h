/*
 * base/errors.h - every error of Berth, by one table (errors.def)
 *
 * An error is raised once, where the fact is known, with fail(); a caller adds context with
 * fail_prefix() and passes it on. GError's code is an ErrorCode. Nothing here logs.
 * Source: EC2 API Reference "Error codes"; ECS API Reference "Common Errors".
 */
#pragma once

#include <glib.h>

#define ERR(symbol, code, status, retry)                                             ERROR_##symbol,
#define ERR3(symbol, ec2, ec2_status, query, query_status, json, json_status, retry) ERROR_##symbol,
typedef enum {
#include "base/errors.def"
    ERROR__COUNT
} ErrorCode;
#undef ERR
#undef ERR3

typedef enum { ERROR_DIALECT_EC2, ERROR_DIALECT_QUERY, ERROR_DIALECT_JSON } ErrorDialect;

typedef enum { RETRY_PERMANENT, RETRY_TRANSIENT } ErrorRetry;

#define BERTH_ERROR (berth_error_quark())
GQuark berth_error_quark(void);

/* The code a client of this dialect reads ("InvalidParameterValue"); static. */
const char *error_wire_code(ErrorCode code, ErrorDialect dialect);
/* The HTTP status that goes with it. */
int error_http_status(ErrorCode code, ErrorDialect dialect);
/* The table's own name of it ("INVALID_PARAMETER"); static. */
const char *error_symbol(ErrorCode code);
/* Whether the same call may succeed later without a change by the caller. */
gboolean error_is_transient(const GError *error);
/* The ErrorCode of any GError: ERROR_INTERNAL for one that is not ours. */
ErrorCode error_code(const GError *error);
/* Whether error is ours and has this code; NULL matches nothing. */
gboolean error_is(const GError *error, ErrorCode code);

/* Each of these sets *error (when error is not NULL) and returns failure. The code is given
 * without its ERROR_ prefix: fail(error, INVALID_PARAMETER, "volume size %d ...", n). */
gboolean error_fail(GError **error, ErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define fail(error, code, ...)      error_fail((error), ERROR_##code, __VA_ARGS__)
#define fail_null(error, code, ...) (error_fail((error), ERROR_##code, __VA_ARGS__), NULL)
#define fail_int(error, code, ...)  (error_fail((error), ERROR_##code, __VA_ARGS__), -1)
/* Adds what was attempted in front of an error that is already set; returns FALSE. */
gboolean fail_prefix(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
