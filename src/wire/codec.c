#include "wire/codec.h"

#include "base/errors.h"
#include "shape/check.h"
#include "wire/json.h"
#include "wire/query.h"
#include "wire/xml.h"
#include "wire/xml_read.h"

#include <string.h>

static Protocol protocol_of(const Service *service)
{
    return service ? (Protocol)service->protocol : PROTOCOL_EC2;
}

json_t *codec_decode_request(const Service *service, const Operation *operation, const char *body,
                             gsize length, GError **error)
{
    const Shape *shape = operation_input(operation);
    Protocol protocol = protocol_of(service);
    json_auto_t *tree = NULL;

    if (protocol == PROTOCOL_JSON) {
        tree = json_decode(body, length, shape, error);
    } else {
        g_autoptr(Form) form = form_parse(body, length, error);
        if (form)
            tree = query_decode(form, shape, protocol, error);
    }
    if (!tree || !shape_check(tree, shape, protocol, error))
        return NULL;
    return g_steal_pointer(&tree);
}

char *codec_encode_answer(const Service *service, const Operation *operation, const json_t *tree,
                          const char *request_id, gsize *ret_length, GError **error)
{
    if (protocol_of(service) != PROTOCOL_JSON)
        return xml_encode_answer(service, operation, tree, request_id, ret_length, error);
    if (!json_is_object(tree))
        return fail_null(error, INTERNAL, "answer of %s is not a structure",
                         operation_name(operation));
    return json_encode(tree, operation_output(operation), ret_length);
}

static ErrorDialect dialect_of(Protocol protocol)
{
    return protocol == PROTOCOL_EC2     ? ERROR_DIALECT_EC2
           : protocol == PROTOCOL_QUERY ? ERROR_DIALECT_QUERY
                                        : ERROR_DIALECT_JSON;
}

/* A 5xx that is part of a service's contract is told in full: the caller can act on it. */
static gboolean is_ours_to_tell(ErrorCode code, int status)
{
    return status < 500 || code == ERROR_INSUFFICIENT_CAPACITY || code == ERROR_THROTTLED;
}

char *codec_encode_error(const Service *service, const GError *cause, const char *request_id,
                         int *ret_status, const char **ret_code, gsize *ret_length)
{
    Protocol protocol = protocol_of(service);
    ErrorDialect dialect = dialect_of(protocol);
    ErrorCode code = error_code(cause);
    g_autofree char *message = NULL;

    *ret_status = error_http_status(code, dialect);
    *ret_code = error_wire_code(code, dialect);
    if (is_ours_to_tell(code, *ret_status) && cause)
        message = g_utf8_make_valid(cause->message, -1);
    else if (error_is_transient(cause) && code != ERROR_INTERNAL)
        message = g_strdup("The service is not available just now. Try again.");
    else
        message = g_strdup("An internal error has occurred. The service's log has the reason, by "
                           "this request's id.");
    if (protocol == PROTOCOL_JSON)
        return json_encode_error(*ret_code, message, ret_length);
    return xml_encode_error(protocol, service ? service->xml_namespace : NULL, *ret_code, message,
                            *ret_status < 500, request_id, ret_length);
}

const char *codec_content_type(const Service *service)
{
    return protocol_of(service) == PROTOCOL_JSON ? "application/x-amz-json-1.1"
                                                 : "text/xml;charset=UTF-8";
}

char *codec_encode_request(const Service *service, const Operation *operation, const json_t *tree,
                           gsize *ret_length, GError **error)
{
    const Shape *shape = operation_input(operation);
    Protocol protocol = protocol_of(service);

    if (!json_is_object(tree))
        return fail_null(error, INVALID_PARAMETER, "the request of %s is not a structure",
                         operation_name(operation));
    if (protocol == PROTOCOL_JSON)
        return json_encode(tree, shape, ret_length);
    char *text =
        query_encode(operation_name(operation), service->api_version, tree, shape, protocol, error);
    if (text)
        *ret_length = strlen(text);
    return text;
}

const char *codec_request_type(const Service *service)
{
    return protocol_of(service) == PROTOCOL_JSON
               ? "application/x-amz-json-1.1"
               : "application/x-www-form-urlencoded; charset=utf-8";
}

json_t *codec_decode_answer(const Service *service, const Operation *operation, const char *body,
                            gsize length, GError **error)
{
    if (protocol_of(service) == PROTOCOL_JSON)
        return json_decode(body, length, operation_output(operation), error);
    return xml_decode_answer(service, operation, body, length, error);
}

gboolean codec_decode_error(const Service *service, const char *body, gsize length, char **ret_code,
                            char **ret_message)
{
    if (protocol_of(service) == PROTOCOL_JSON)
        return json_decode_error(body, length, ret_code, ret_message);
    return xml_decode_error(body, length, ret_code, ret_message);
}
