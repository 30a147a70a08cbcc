/* Requests of EC2 and Query services: a tree that was written and read once is written the same ever after. */
#include "base/errors.h"
#include "fuzz.h"
#include "shape/check.h"
#include "wire/query.h"

#include <string.h>

static json_t *read_text(const char *text, gsize length, const Operation *operation, Protocol protocol)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Form) form = form_parse(text, length, &error);
    json_t *tree =
        form ? query_decode(form, operation_input(operation), protocol, &error) : NULL;

    g_assert((tree == NULL) == (error != NULL));
    return tree;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Service *service;
    const Operation *operation = fuzz_operation(&data, &size, FALSE, &service);

    if (!operation)
        return 0;
    Protocol protocol = (Protocol)service->protocol;
    const Shape *shape = operation_input(operation);
    json_t *tree = read_text((const char *)data, size, operation, protocol);
    g_autofree char *before = NULL;

    for (int round = 0; tree && round < 3; round++) {
        char *text = query_encode("A", "V", tree, shape, protocol, NULL);
        g_assert_nonnull(text);
        json_decref(tree);
        tree = read_text(text, strlen(text), operation, protocol);
        g_assert_nonnull(tree);
        if (round == 2)
            g_assert_cmpstr(text, ==, before);
        g_free(before);
        before = text;
    }
    if (tree)
        shape_check(tree, shape, protocol, NULL);
    json_decref(tree);
    return 0;
}
