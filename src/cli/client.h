/*
 * cli/client.h - any call of the API: service, action and tree in, tree out
 *
 * Signed with the profile's keys, over TLS trusted by the profile's CA only. With --explain each
 * call is shown as the stock aws command first. Calls that fail for a transient reason are not
 * repeated here: the sentence says so.
 * Errors: API (what the service answered, "Code: message"), NOT_FOUND (the same, when the code says
 * that something does not exist), HTTP_CLIENT (no answer).
 */
#pragma once

#include "cli/command.h"
#include "cli/profile.h"

#include <jansson.h>

Client *client_new(Cli *cli, GError **error);
void client_free(Client *client);
/* The command's one client. Borrowed. */
Client *client_get(Cli *cli, GError **error);
const Profile *client_profile(const Client *client);

/* Takes params (NULL: none). service: "ec2", "ecs", "sts", "iam", "berth". The caller owns the
 * answer. */
json_t *client_call(Cli *cli, const char *service, const char *action, json_t *params,
                    GError **error);
/* For waits: makes *io_first the first of the answer's list member, or NULL when that is empty;
 * what it was before is released. Takes params. */
gboolean client_look(Cli *cli, const char *service, const char *action, json_t *params,
                     const char *member, json_t **io_first, GError **error);
/* All pages of a list: items of member of every answer. Takes params. */
json_t *client_pages(Cli *cli, const char *service, const char *action, json_t *params,
                     const char *member, GError **error);
