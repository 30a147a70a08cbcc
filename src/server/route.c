#include "server/route.h"
#include "base/errors.h"
#include "wire/form.h"

#include <string.h>

const char *route_header(const SigV4Request *request, const char *name)
{
    for (gsize i = 0; i < request->header_count; i++)
        if (g_ascii_strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

void route_clear(Route *route)
{
    sigv4_claim_clear(&route->claim);
    g_free(route->action);
    route->action = NULL;
}

/* A form comes as the body, or as the query string of a request without a body. */
static void form_text(const SigV4Request *request, const char **ret_text, gsize *ret_length)
{
    *ret_text = request->body_length ? request->body : request->query;
    *ret_text = *ret_text ? *ret_text : "";
    *ret_length = request->body_length ? request->body_length : strlen(*ret_text);
}

/* Of a request that names nothing in its headers: Version says it, if anything does. */
static const Service *service_by_form(const SigV4Request *request)
{
    const char *text;
    gsize length;

    form_text(request, &text, &length);
    g_autoptr(Form) form = form_parse(text, length, NULL);
    const char *version = form ? form_get(form, "Version") : NULL;
    return version ? catalog_by_version(version) : NULL;
}

static gboolean is_global(const Service *service)
{
    return service->id == SERVICE_IAM || service->id == SERVICE_STS;
}

static gboolean claim_fits(const Route *route, const char *region, GError **error)
{
    if (strcmp(route->claim.service, route->service->signing_name) != 0)
        return fail(error, AUTH_SIGNATURE,
                    "the request is for service \"%s\" and signed for \"%s\"",
                    route->service->signing_name, route->claim.service);
    if (!is_global(route->service) && strcmp(route->claim.region, region) != 0)
        return fail(error, AUTH_UNKNOWN_REGION,
                    "region \"%s\" is not served here; this endpoint serves \"%s\"",
                    route->claim.region, region);
    return TRUE;
}

gboolean route_service(const SigV4Request *request, const char *region, Route *ret_route,
                       GError **error)
{
    const char *target = route_header(request, "x-amz-target");
    g_autoptr(GError) unsigned_cause = NULL;
    const char *action = NULL;

    *ret_route = (Route){ 0 };
    gboolean claimed = sigv4_parse(request, &ret_route->claim, &unsigned_cause);
    if (target)
        ret_route->service = catalog_by_target(target, &action);
    else if (claimed)
        ret_route->service = catalog_by_signing_name(ret_route->claim.service, NULL);
    else
        ret_route->service = service_by_form(request);
    if (target && !ret_route->service) {
        ret_route->service = &catalog_services[SERVICE_ECS]; /* errors in JSON */
        return fail(error, UNKNOWN_ACTION, "target \"%s\" is not known", target);
    }
    ret_route->action = g_strdup(action);
    if (!claimed) {
        g_propagate_error(error, g_steal_pointer(&unsigned_cause));
        return FALSE;
    }
    if (!ret_route->service)
        return fail(error, UNSUPPORTED, "service \"%s\" is not served here",
                    ret_route->claim.service);
    return claim_fits(ret_route, region, error);
}

gboolean route_action(const SigV4Request *request, Route *route, GError **error)
{
    if (route->service->protocol == PROTOCOL_JSON) {
        route->payload = request->body_length ? request->body : "";
        route->payload_length = request->body_length;
        if (!route->action)
            return fail(error, MISSING_ACTION, "the request has no header X-Amz-Target");
        return TRUE;
    }
    form_text(request, &route->payload, &route->payload_length);
    g_autoptr(Form) form = form_parse(route->payload, route->payload_length, error);
    if (!form)
        return FALSE;
    const char *action = form_get(form, "Action");
    if (!action || !*action)
        return fail(error, MISSING_ACTION, "The request must contain the parameter Action");
    route->action = g_strdup(action);
    return TRUE;
}
