/* What every fuzz target has: libFuzzer's entry, and the choice of an operation by the input's first bytes. */
#pragma once

#include "catalog/catalog.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An operation of a service of the wanted protocols, by two bytes; NULL when there are not so many. */
static inline const Operation *fuzz_operation(const uint8_t **data, size_t *size, gboolean json,
                                              const Service **ret_service)
{
    if (*size < 2)
        return NULL;
    guint choice = (guint)(*data)[0] << 8 | (*data)[1];
    const Service *service = &catalog_services[choice % SERVICE__COUNT];
    *data += 2;
    *size -= 2;
    if ((service->protocol == PROTOCOL_JSON) != json)
        return NULL;
    *ret_service = service;
    return &service->operations[choice / SERVICE__COUNT % service->operation_count];
}
