#include "wire/form.h"

#include "base/errors.h"

#include <string.h>

/* Decodes length bytes of from into to, with a NUL; to may be from. Returns what follows the NUL,
 * or NULL when an escape is broken or stands for NUL. */
static char *unescape(char *to, const char *from, gsize length)
{
    const char *end = from + length;

    while (from < end) {
        if (*from == '%') {
            int high = end - from > 2 ? g_ascii_xdigit_value(from[1]) : -1;
            int low = end - from > 2 ? g_ascii_xdigit_value(from[2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0)
                return NULL;
            *to++ = (char)(high << 4 | low);
            from += 3;
        } else if (*from == '\0') {
            return NULL;
        } else {
            *to++ = *from == '+' ? ' ' : *from;
            from++;
        }
    }
    *to++ = '\0';
    return to;
}

static gboolean field_decode(char **to, const char *text, gsize length, FormField *ret_field)
{
    const char *equals = memchr(text, '=', length);
    gsize name_length = equals ? (gsize)(equals - text) : length;

    ret_field->name = *to;
    *to = unescape(*to, text, name_length);
    if (!*to)
        return FALSE;
    ret_field->value = *to;
    *to = equals ? unescape(*to, equals + 1, length - name_length - 1) : unescape(*to, text, 0);
    return *to && g_utf8_validate(ret_field->name, -1, NULL) &&
           g_utf8_validate(ret_field->value, -1, NULL);
}

Form *form_parse(const char *text, gsize length, GError **error)
{
    g_autoptr(Form) form = g_new0(Form, 1);
    gsize room = 1;

    for (gsize i = 0; i < length; i++)
        room += text[i] == '&';
    if (room > FORM_FIELDS_MAX)
        return fail_null(error, TOO_LARGE, "the request has more than %d parameters",
                         FORM_FIELDS_MAX);
    form->fields = g_new(FormField, room);
    /* A field gets at most one NUL for its "&" and one more when it has no "=". */
    form->text = g_malloc(length + room + 1);

    char *to = form->text;
    for (gsize at = 0; at < length;) {
        const char *ampersand = memchr(text + at, '&', length - at);
        gsize field_length = ampersand ? (gsize)(ampersand - text) - at : length - at;

        if (field_length > 0 &&
            !field_decode(&to, text + at, field_length, &form->fields[form->count++]))
            return fail_null(error, MALFORMED_REQUEST,
                             "the request has a parameter that is not percent-encoded UTF-8");
        at += field_length + 1;
    }
    return g_steal_pointer(&form);
}

void form_free(Form *form)
{
    if (!form)
        return;
    g_free(form->fields);
    g_free(form->text);
    g_free(form);
}

const char *form_get(const Form *form, const char *name)
{
    for (gsize i = form->count; i-- > 0;)
        if (g_str_equal(form->fields[i].name, name))
            return form->fields[i].value;
    return NULL;
}

void form_escape_bytes(GString *out, const char *text, gsize length)
{
    static const char hex[] = "0123456789ABCDEF";

    for (gsize i = 0; i < length; i++) {
        guchar c = (guchar)text[i];
        if (g_ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            g_string_append_c(out, (char)c);
        } else {
            g_string_append_c(out, '%');
            g_string_append_c(out, hex[c >> 4]);
            g_string_append_c(out, hex[c & 15]);
        }
    }
}

void form_escape(GString *out, const char *text)
{
    form_escape_bytes(out, text, strlen(text));
}
