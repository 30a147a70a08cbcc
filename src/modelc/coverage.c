/*
 * coverage - docs/coverage.md from the catalogue: which operations of the models are built
 */
#include "catalog/catalog.h"

#include <stdio.h>

static guint count_built(const Service *service)
{
    guint built = 0;

    for (guint i = 0; i < service->operation_count; i++)
        built += catalog_action(service, &service->operations[i]) != NULL;
    return built;
}

static void print_summary(void)
{
    puts("| Service | API version | Built | In the model |\n| --- | --- | ---: | ---: |");
    for (guint i = 0; i < SERVICE__COUNT; i++) {
        const Service *service = &catalog_services[i];
        printf("| [%s](#%s) | %s | %u | %u |\n", service->name, service->name, service->api_version,
               count_built(service), service->operation_count);
    }
}

static void print_row(const Operation *operation, const Action *action)
{
    static const char *const modes[] = {
        [ACTION_DB_READ] = "reads",
        [ACTION_DB_WRITE] = "writes",
        [ACTION_ID_READ] = "reads identity",
        [ACTION_ID_WRITE] = "writes identity",
    };

    printf("| %s | %s | `%s` |\n", operation_name(operation), modes[action->mode],
           action->resource);
}

static void print_built(const Service *service)
{
    puts("| Action | | Authorised on |\n| --- | --- | --- |");
    for (guint i = 0; i < service->operation_count; i++) {
        const Operation *operation = &service->operations[i];
        const Action *action = catalog_action(service, operation);
        if (action)
            print_row(operation, action);
    }
}

static void print_missing(const Service *service)
{
    const char *separator = "\nKnown, answered with \"not supported\": ";

    for (guint i = 0; i < service->operation_count; i++) {
        if (catalog_action(service, &service->operations[i]))
            continue;
        printf("%s%s", separator, operation_name(&service->operations[i]));
        separator = ", ";
    }
    puts("");
}

int main(void)
{
    puts("# What is built\n\nMade by `make coverage` from the action rows in `src/catalog/*.def` "
         "and "
         "the service models.\nAn operation that is in a model and has no row answers that it is "
         "not supported, in the form of its\nprotocol; one that is in no model answers that it "
         "is unknown. Nothing answers a success it did not have.\n");
    print_summary();
    for (guint i = 0; i < SERVICE__COUNT; i++) {
        printf("\n## %s\n\n", catalog_services[i].name);
        if (count_built(&catalog_services[i]))
            print_built(&catalog_services[i]);
        if (count_built(&catalog_services[i]) < catalog_services[i].operation_count)
            print_missing(&catalog_services[i]);
    }
    return 0;
}
