/*
 * wire/xml_read.h - answers and errors of EC2 Query and AWS Query from XML, for clients
 *
 * By libxml2's reader: no network, no DTD, no entities, bounded depth.
 * Source: EC2 Query and AWS Query protocols.
 */
#pragma once

#include "shape/shape.h"

/* The tree of an answer; elements the shape lacks are passed over, as SDKs do.
 * Error: MALFORMED_REQUEST. */
json_t *xml_decode_answer(const Service *service, const Operation *operation, const char *text,
                          gsize length, GError **error);
/* Code and message of an error document of either form; FALSE when it is none. Caller frees both.
 */
gboolean xml_decode_error(const char *text, gsize length, char **ret_code, char **ret_message);
