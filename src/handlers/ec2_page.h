/*
 * handlers/ec2_page.h - MaxResults and NextToken of EC2's Describe actions
 *
 * A token says where to go on and carries a MAC over that, the account, the action and its other
 * parameters: it is worth nothing with another query. Nothing is kept between the calls.
 * Errors: INVALID_NEXT_TOKEN, INVALID_PARAMETER, in EC2's words.
 */
#pragma once

#include "handlers/request.h"

#define EC2_PAGE_ALL G_MAXUINT

typedef struct {
    const char *what; /* action */
    guint limit;      /* EC2_PAGE_ALL without MaxResults */
    char *after;      /* what ec2_page_token was given; NULL: from the start */
} Ec2Page;

void ec2_page_clear(Ec2Page *page);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Ec2Page, ec2_page_clear)

/* Reads both parameters; MaxResults must be from minimum to maximum. */
gboolean ec2_page_open(const Request *rq, const char *what, gint minimum, gint maximum,
                       Ec2Page *ret_page, GError **error);
/* Adds NextToken, from which a later call goes on after this position, to an answer. */
void ec2_page_continue(const Request *rq, const Ec2Page *page, const char *after, json_t *answer);

/* An answer of the whole list at once: takes items, keeps the page's part, under this member, and
 * adds NextToken when there is more. For lists that are small enough to be made whole. */
json_t *ec2_page_answer(const Request *rq, const Ec2Page *page, const char *member, json_t *items,
                        GError **error);
