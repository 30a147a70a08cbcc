#include "handlers/request.h"

const json_t *request_member(const Request *rq, const char *name)
{
    return json_object_get(rq->params, name);
}

const char *request_text(const Request *rq, const char *name)
{
    return json_string_value(request_member(rq, name));
}

gint64 request_int(const Request *rq, const char *name, gint64 fallback)
{
    const json_t *value = request_member(rq, name);

    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

gboolean request_bool(const Request *rq, const char *name, gboolean fallback)
{
    const json_t *value = request_member(rq, name);

    return json_is_boolean(value) ? json_is_true(value) : fallback;
}
