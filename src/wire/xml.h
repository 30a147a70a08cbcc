/*
 * wire/xml.h - answers and errors of EC2 Query and AWS Query as XML
 *
 * Written by a small emitter of ours: element names come from the generated tables alone, text
 * through one escape; xml_read.h reads them. Source: EC2 Query and AWS Query protocols.
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
