/*
 * wire/form.h - application/x-www-form-urlencoded text, of bodies and query strings
 *
 * Source: WHATWG URL, "application/x-www-form-urlencoded". Errors: MALFORMED_REQUEST (bad escape,
 * text that is not UTF-8, NUL), TOO_LARGE.
 */
#pragma once

#include <glib.h>

#define FORM_FIELDS_MAX 20000

typedef struct {
    const char *name;
    const char *value;
} FormField;

typedef struct {
    FormField *fields; /* in order of the text */
    gsize count;
    char *text; /* what the fields point into */
} Form;

/* Decodes length bytes of text; a field without "=" has the value "". Caller frees. */
Form *form_parse(const char *text, gsize length, GError **error);
void form_free(Form *form);
/* The value of a field (the last one, when it repeats); NULL when it is not there. */
const char *form_get(const Form *form, const char *name);
/* Appends text with everything but A-Z a-z 0-9 - . _ ~ as %XX (RFC 3986). */
void form_escape(GString *out, const char *text);
/* Appends length bytes of text the same way. */
void form_escape_bytes(GString *out, const char *text, gsize length);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Form, form_free)
