/*
 * server/route.h - which service and action a request is for, and what it says about its signature
 *
 * In this order: X-Amz-Target, the credential scope, Action and Version of the form. Where target
 * and scope disagree, the request is refused: the scope is part of what is signed.
 * Source: api-surface 1.1.
 */
#pragma once

#include "catalog/catalog.h"
#include "wire/sigv4.h"

typedef struct {
    const Service *service; /* decides the form of errors; set on failure too, where it is known */
    SigV4Claim claim;
    char *action;
    const char *payload; /* what codec_decode_request takes: body, or query string of a GET */
    gsize payload_length;
} Route;

/* The first header of this name (any case); NULL for none. */
const char *route_header(const SigV4Request *request, const char *name);

/* Service and claim. region is the one served here. Errors: UNKNOWN_ACTION, UNSUPPORTED (service
 * not served), AUTH_MISSING, AUTH_INCOMPLETE, AUTH_SIGNATURE (target and scope disagree),
 * AUTH_UNKNOWN_REGION. The caller clears ret_route in any case. */
gboolean route_service(const SigV4Request *request, const char *region, Route *ret_route,
                       GError **error);
/* Action and payload, of a request that has been proven. Errors: MISSING_ACTION, those of
 * form_parse. */
gboolean route_action(const SigV4Request *request, Route *route, GError **error);
void route_clear(Route *route);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Route, route_clear)
