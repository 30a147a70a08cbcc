/* Forms: what is decoded can be written again and decoded to the same. */
#include "fuzz.h"
#include "wire/form.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Form) form = form_parse((const char *)data, size, NULL);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!form)
        return 0;
    for (gsize i = 0; i < form->count; i++) {
        g_string_append(text, i ? "&" : "");
        form_escape(text, form->fields[i].name);
        g_string_append_c(text, '=');
        form_escape(text, form->fields[i].value);
    }
    g_autoptr(Form) again = form_parse(text->str, text->len, NULL);
    g_assert_nonnull(again);
    g_assert_cmpuint(again->count, ==, form->count);
    for (gsize i = 0; i < form->count; i++) {
        g_assert_cmpstr(again->fields[i].name, ==, form->fields[i].name);
        g_assert_cmpstr(again->fields[i].value, ==, form->fields[i].value);
    }
    return 0;
}
