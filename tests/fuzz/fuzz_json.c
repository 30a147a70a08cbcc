/* Requests in JSON: what passes the check is written and read to the same text. */
#include "base/errors.h"
#include "fuzz.h"
#include "shape/check.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Service *service;
    const Operation *operation = fuzz_operation(&data, &size, TRUE, &service);
    g_autofree char *code = NULL, *message = NULL;
    g_autoptr(GError) error = NULL;
    gsize length, length_again;

    json_decode_error((const char *)data, size, &code, &message);
    if (!operation)
        return 0;
    const Shape *shape = operation_input(operation);
    json_auto_t *tree = json_decode((const char *)data, size, shape, &error);
    g_assert((tree == NULL) == (error != NULL));
    if (!tree || !shape_check(tree, shape, PROTOCOL_JSON, NULL))
        return 0;
    g_autofree char *text = json_encode(tree, shape, &length);
    json_auto_t *back = json_decode(text, length, shape, NULL);
    g_assert_nonnull(back);
    g_assert_true(shape_check(back, shape, PROTOCOL_JSON, NULL));
    g_autofree char *again = json_encode(back, shape, &length_again);
    g_assert_cmpstr(again, ==, text);
    return 0;
}
