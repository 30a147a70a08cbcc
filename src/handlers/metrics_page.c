#include "handlers/metrics_page.h"
#include "base/errors.h"

gboolean metrics_page_start(const Request *rq, gint64 *ret_skip, GError **error)
{
    const char *token = request_text(rq, "NextToken");
    guint64 skip = 0;

    if (token && !g_ascii_string_to_unsigned(token, 10, 1, G_MAXINT32, &skip, NULL))
        return fail(error, METRIC_TOKEN, "The NextToken \"%.40s\" is invalid.", token);
    *ret_skip = (gint64)skip;
    return TRUE;
}

static void set_next(json_t *answer, gint64 total, gint64 skip, gint64 limit)
{
    if (total - skip > limit)
        json_object_set_new(answer, "NextToken", json_sprintf("%" G_GINT64_FORMAT, skip + limit));
}

static json_t *slice(const json_t *list, gint64 from, gint64 to)
{
    json_t *part = json_array();

    for (gint64 n = from; n < to; n++)
        json_array_append(part, json_array_get(list, (size_t)n));
    return part;
}

json_t *metrics_page(const char *member, const json_t *list, gint64 skip, gint64 limit)
{
    gint64 total = (gint64)json_array_size(list);
    json_t *answer =
        json_pack("{s:o}", member, slice(list, skip, MAX(skip, MIN(total, skip + limit))));

    set_next(answer, total, skip, limit);
    return answer;
}

/* The points of result from number from to number to. */
static json_t *result_part(const json_t *result, gint64 from, gint64 to)
{
    json_t *times = json_object_get(result, "Timestamps");
    json_t *part = json_copy((json_t *)result);

    json_object_set_new(part, "Values", slice(json_object_get(result, "Values"), from, to));
    json_object_set_new(part, "Timestamps", slice(times, from, to));
    if (to < (gint64)json_array_size(times))
        json_object_set_new(part, "StatusCode", json_string("PartialData"));
    return part;
}

json_t *metrics_data_page(const json_t *results, gint64 skip, gint64 limit)
{
    json_t *page = json_array(), *answer;
    gint64 before = 0; /* points of the results before this one */
    const json_t *result;
    size_t n;

    json_array_foreach(results, n, result)
    {
        gint64 count = (gint64)json_array_size(json_object_get(result, "Values"));
        gint64 from = CLAMP(skip - before, 0, count), to = CLAMP(skip + limit - before, 0, count);
        if (from < to || (count == 0 && skip == 0))
            json_array_append_new(page, result_part(result, from, to));
        before += count;
    }
    answer = json_pack("{s:o, s:[]}", "MetricDataResults", page, "Messages");
    set_next(answer, before, skip, limit);
    return answer;
}
