/*
 * wire/xml.h - answers and errors of EC2 Query and AWS Query between XML and tree
 *
 * Written by a small emitter of ours: element names come from the generated tables alone, text through
 * one escape. Read by libxml2's reader: no network, no DTD, no entities, bounded.
 * Source: EC2 Query and AWS Query protocols.
 */
#pragma once

#include "shape/shape.h"

/* A whole answer. tree is an object. Error: INTERNAL (a member the shape lacks, a wrong type). */
char *xml_encode_answer(const Service *service, const Operation *operation, const json_t *tree,
                        const char *request_id, gsize *ret_length, GError **error);
/* An error's document: EC2's form, or that of AWS Query with xml_namespace (may be NULL). */
char *xml_encode_error(Protocol protocol, const char *xml_namespace, const char *code,
                       const char *message, gboolean sender_fault, const char *request_id,
                       gsize *ret_length);
/* The tree of an answer; elements the shape lacks are passed over, as SDKs do.
 * Error: MALFORMED_REQUEST. */
json_t *xml_decode_answer(const Service *service, const Operation *operation, const char *text,
                          gsize length, GError **error);
/* Code and message of an error document of either form; FALSE when it is none. Caller frees both. */
gboolean xml_decode_error(const char *text, gsize length, char **ret_code, char **ret_message);
