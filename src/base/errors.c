#include "base/errors.h"

#include <stdarg.h>

typedef struct {
    const char *symbol;
    const char *code[3];
    int status[3];
    ErrorRetry retry;
} ErrorRow;

#define ERR(symbol, code, status, retry)                                                           \
    [ERROR_##symbol] = { #symbol, { code, code, code }, { status, status, status }, RETRY_##retry },
#define ERR3(symbol, ec2, ec2_status, query, query_status, json, json_status, retry)               \
    [ERROR_##symbol] = {                                                                           \
        #symbol, { ec2, query, json }, { ec2_status, query_status, json_status }, RETRY_##retry    \
    },
static const ErrorRow error_rows[ERROR__COUNT] = {
#include "base/errors.def"
};
#undef ERR
#undef ERR3

GQuark berth_error_quark(void)
{
    return g_quark_from_static_string("berth-error");
}

const char *error_wire_code(ErrorCode code, ErrorDialect dialect)
{
    return error_rows[code].code[dialect];
}

int error_http_status(ErrorCode code, ErrorDialect dialect)
{
    return error_rows[code].status[dialect];
}

const char *error_symbol(ErrorCode code)
{
    return error_rows[code].symbol;
}

ErrorCode error_code(const GError *error)
{
    if (!error || error->domain != BERTH_ERROR || error->code < 0 || error->code >= ERROR__COUNT)
        return ERROR_INTERNAL;
    return (ErrorCode)error->code;
}

gboolean error_is(const GError *error, ErrorCode code)
{
    return error && error->domain == BERTH_ERROR && error->code == (int)code;
}

gboolean error_is_transient(const GError *error)
{
    return error_rows[error_code(error)].retry == RETRY_TRANSIENT;
}

gboolean error_fail(GError **error, ErrorCode code, const char *format, ...)
{
    va_list args;

    if (!error)
        return FALSE;
    va_start(args, format);
    *error = g_error_new_valist(BERTH_ERROR, (int)code, format, args);
    va_end(args);
    return FALSE;
}

gboolean fail_prefix(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *prefix = NULL;

    va_start(args, format);
    prefix = g_strdup_vprintf(format, args);
    va_end(args);
    g_prefix_error(error, "%s: ", prefix);
    return FALSE;
}
