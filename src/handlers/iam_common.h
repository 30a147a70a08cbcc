/*
 * handlers/iam_common.h - what IAM's actions have in common: names, pages, documents
 *
 * Errors: INVALID_PARAMETER ("ValidationError"), UNSUPPORTED.
 */
#pragma once

#include "handlers/request.h"

/* "arn:aws:iam::123456789012:role/path/name" as JSON text. */
json_t *iam_arn(const Request *rq, const char *kind, const char *path, const char *name);
/* The request's Path, "/" when absent; NULL when it is none. */
const char *iam_path(const Request *rq, GError **error);
/* The request's member (its length is the shape's to check) as the name of something new; NULL when
 * it has characters that names have not. Refusals call it shown. Source: IAM API Reference,
 * CreateRole. */
const char *iam_new_name(const Request *rq, const char *member, const char *shown, GError **error);
/* The request's Tags as they are kept, checked; a new reference. */
json_t *iam_tags(const Request *rq, GError **error);

/* Where a page begins and how many it holds; name is freed by the caller. */
typedef struct {
    gint64 limit;
    char *after; /* NULL: the beginning */
} IamPage;
gboolean iam_page(const Request *rq, IamPage *ret_page, GError **error);
void iam_page_clear(IamPage *page);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IamPage, iam_page_clear)
/* Takes items, listed for limit + 1, as member of the answer; names(i) is the name of item i. */
json_t *iam_page_answer(const IamPage *page, const char *member, const GPtrArray *list,
                        json_t *(*item)(const Request *rq, gconstpointer row),
                        const char *(*name)(gconstpointer row), const Request *rq);
