#include "store/regions.h"

char **regions_list(DbPool *identity, const char *own, GError **error)
{
    g_autoptr(DbTx) tx = db_begin(identity, DB_MODE_READ, error);
    g_autoptr(PGresult) res =
        tx ? db_query(tx, error, "SELECT region FROM regions UNION SELECT $1 ORDER BY 1",
                      DB_ARGS(own))
           : NULL;

    if (!res)
        return NULL;
    char **names = g_new0(char *, (gsize)PQntuples(res) + 1);
    for (int row = 0; row < PQntuples(res); row++)
        names[row] = g_strdup(db_text(res, row, 0));
    return names;
}
