#include "store/ecs_rows.h"

json_t *row_json(const PGresult *res, int row, int column)
{
    const char *text = db_text(res, row, column);
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return value ? value : json_object();
}

GArray *row_ints(const PGresult *res, int row, int column)
{
    GArray *values = g_array_new(FALSE, FALSE, sizeof(gint64));
    const char *at = db_text(res, row, column);

    for (; at && *at; at++) {
        char *end = NULL;
        gint64 value = g_ascii_strtoll(at, &end, 10);
        if (end == at)
            continue;
        g_array_append_val(values, value);
        at = end - 1;
    }
    return values;
}

const char *ints_param(DbTx *tx, const GArray *values)
{
    return db_int_array(tx, (const gint64 *)(const void *)values->data, values->len);
}
