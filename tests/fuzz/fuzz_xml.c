/* Answers in XML: what our reader takes, our writer gives again. */
#include "base/errors.h"
#include "fuzz.h"
#include "wire/xml.h"
#include "wire/xml_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Service *service;
    const Operation *operation = fuzz_operation(&data, &size, FALSE, &service);
    g_autofree char *code = NULL, *message = NULL;
    g_autoptr(GError) error = NULL;
    gsize length, length_again;

    xml_decode_error((const char *)data, size, &code, &message);
    if (!operation)
        return 0;
    json_auto_t *tree = xml_decode_answer(service, operation, (const char *)data, size, &error);
    g_assert((tree == NULL) == (error != NULL));
    if (!tree)
        return 0;
    g_autofree char *text = xml_encode_answer(service, operation, tree, "r", &length, NULL);
    g_assert_nonnull(text);
    json_auto_t *back = xml_decode_answer(service, operation, text, length, NULL);
    g_assert_nonnull(back);
    g_autofree char *again = xml_encode_answer(service, operation, back, "r", &length_again, NULL);
    g_assert_cmpstr(again, ==, text);
    return 0;
}
