/*
 * wire/codec.h - one request, answer or error between bytes and tree, by the service's protocol
 *
 * The server decodes requests and encodes answers and errors; clients (berth, berth-agent) do the
 * reverse. For one protocol each: query.h, xml.h, xml_read.h, json.h. Bodies are NUL-terminated
 * beyond their length. Callers free results.
 */
#pragma once

#include "shape/shape.h"

/*
 * The checked tree of a request. body is the form or the JSON text; a GET of a Query service passes
 * its query string. Action, Version and X-Amz-* fields of forms are passed over. Errors: those of
 * form_parse, shape_check and json_decode.
 */
json_t *codec_decode_request(const Service *service, const Operation *operation, const char *body,
                             gsize length, GError **error);
/* An answer's body. Error: INTERNAL when tree is not what the operation may answer. */
char *codec_encode_answer(const Service *service, const Operation *operation, const json_t *tree,
                          const char *request_id, gsize *ret_length, GError **error);
/*
 * The body of an error, its HTTP status and wire code (static). The message of a 5xx is replaced by
 * a sentence that gives nothing away. service may be NULL (not known yet): EC2's form.
 */
char *codec_encode_error(const Service *service, const GError *cause, const char *request_id,
                         int *ret_status, const char **ret_code, gsize *ret_length);
/* Content-Type of answers; static. service may be NULL. */
const char *codec_content_type(const Service *service);

/* -- for clients */
/* A request's body. Error: INVALID_PARAMETER when tree is not what the operation takes. */
char *codec_encode_request(const Service *service, const Operation *operation, const json_t *tree,
                           gsize *ret_length, GError **error);
/* Content-Type of requests; static. */
const char *codec_request_type(const Service *service);
/* An answer's tree. Error: MALFORMED_REQUEST. */
json_t *codec_decode_answer(const Service *service, const Operation *operation, const char *body,
                            gsize length, GError **error);
/* Code and message of an error's body; FALSE when it is not in the protocol's form. */
gboolean codec_decode_error(const Service *service, const char *body, gsize length, char **ret_code,
                            char **ret_message);
