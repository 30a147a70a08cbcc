/*
 * handlers/metrics_page.h - pages of CloudWatch's answers
 *
 * A token is the number of items that were given before. Error: METRIC_TOKEN (a token that is
 * none).
 */
#pragma once

#include "handlers/request.h"

/* How many items the request's NextToken leaves out. */
gboolean metrics_page_start(const Request *rq, gint64 *ret_skip, GError **error);
/* At most limit of list from skip on, and NextToken when more follow: {member: [...], ...}. */
json_t *metrics_page(const char *member, const json_t *list, gint64 skip, gint64 limit);
/* The same of datapoints: results of GetMetricData, in their order, cut within Timestamps and
 * Values. One that goes on says "PartialData". Results of no points are on the first page. */
json_t *metrics_data_page(const json_t *results, gint64 skip, gint64 limit);
