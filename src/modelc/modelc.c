/*
 * modelc - makes the shape and operation tables from the published service models
 *
 *     modelc OUT_DIR OVERLAY_DIR NAME=service-2.json ...
 *
 * Writes OUT_DIR/shape/tables.c, OUT_DIR/catalog/operations.h and OUT_DIR/catalog/operations.c.
 * NAME= without a file is a service of our own, all of it in OVERLAY_DIR/NAME.json.
 */
#include "modelc/tables.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    FILE *header;
    FILE *source;
    GString *services; /* rows of catalog_services */
    Tables *tables;
} Output;

static FILE *open_file(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    g_mkdir_with_parents(folder, 0755);
    FILE *file = fopen(path, "w");
    if (!file)
        die("cannot write \"%s\"", path);
    fputs("/* made by modelc */\n", file);
    return file;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *shape_name(const json_t *operation, const char *part)
{
    return model_text(json_object_get(operation, part), "shape");
}

static void check_operation(const Model *model, const char *name, const json_t *operation)
{
    static const char *const known[] = { "name",
                                         "http",
                                         "input",
                                         "output",
                                         "errors",
                                         "documentation",
                                         "documentationUrl",
                                         "idempotent",
                                         "deprecated",
                                         "deprecatedMessage",
                                         NULL };
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)operation, key, value)
    {
        if (!g_strv_contains(known, key))
            die("%s: operation \"%s\" has trait \"%s\", which no codec of ours knows", model->name,
                name, key);
    }
}

static Operation operation_row(Tables *t, const Model *model, const char *name)
{
    const json_t *operation = json_object_get(model->operations, name);
    const char *input = shape_name(operation, "input");
    const char *output = shape_name(operation, "output");
    const char *wrapper = model_text(json_object_get(operation, "output"), "resultWrapper");
    Operation row = { .name = tables_string(t, name),
                      .result_wrapper = tables_string(t, wrapper ? wrapper : ""),
                      .errors = (guint16)t->errors->len };
    json_t *error;
    size_t n;

    check_operation(model, name, operation);
    if (input)
        row.input = tables_shape(t, model, input);
    if (output)
        row.output = tables_shape(t, model, output);
    json_array_foreach(json_object_get(operation, "errors"), n, error)
    {
        guint16 shape = tables_shape(t, model, model_text(error, "shape"));
        g_array_append_val(t->errors, shape);
        row.error_count++;
    }
    if (t->errors->len > G_MAXUINT16)
        die("more than %d errors of operations: widen Operation.errors", G_MAXUINT16);
    return row;
}

static void append_text(GString *out, const char *text)
{
    if (text)
        g_string_append_printf(out, "\"%s\", ", text);
    else
        g_string_append(out, "NULL, ");
}

static void service_row(GString *out, const Model *model, guint id)
{
    const json_t *metadata = json_object_get(model->root, "metadata");
    const char *signing = model_text(metadata, "signingName");
    const char *namespace = model_text(metadata, "xmlNamespace");
    g_autofree char *protocol = g_ascii_strup(model->protocol, -1);
    g_autofree char *with_slash = NULL;

    /* The model leaves out the slash that EC2's own answers have. */
    if (namespace && !g_str_has_suffix(namespace, "/"))
    namespace = with_slash = g_strconcat(namespace, "/", NULL);
    g_string_append(out, "    { ");
    append_text(out, model->name);
    append_text(out, signing ? signing : model_text(metadata, "endpointPrefix"));
    append_text(out, model_text(metadata, "apiVersion"));
    append_text(out, model_text(metadata, "targetPrefix"));
    append_text(out, namespace);
    g_string_append_printf(out, "%s_operations, G_N_ELEMENTS(%s_operations), %u, PROTOCOL_%s },\n",
                           model->name, model->name, id, protocol);
}

static void add_service(Output *out, const Model *model, guint id)
{
    g_autofree char *upper = g_ascii_strup(model->name, -1);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *name;
    json_t *operation;

    json_object_foreach(model->operations, name, operation) g_ptr_array_add(names, (gpointer)name);
    qsort(names->pdata, names->len, sizeof(gpointer), by_text);

    fprintf(out->header, "enum {\n");
    fprintf(out->source, "static const Operation %s_operations[] = {\n", model->name);
    for (guint i = 0; i < names->len; i++) {
        Operation row = operation_row(out->tables, model, names->pdata[i]);
        fprintf(out->header, "    OP_%s_%s,\n", upper, (char *)names->pdata[i]);
        fprintf(out->source, "{%u,%u,%u,%u,%u,%u}, /* %s */\n", row.name, row.result_wrapper,
                row.input, row.output, row.errors, row.error_count, (char *)names->pdata[i]);
    }
    fprintf(out->header, "    OP_%s__COUNT\n};\n", upper);
    fprintf(out->source, "};\n");
    service_row(out->services, model, id);
}

static void write_service_ids(FILE *header, char **arguments)
{
    fputs("typedef enum {\n", header);
    for (; *arguments; arguments++) {
        g_autofree char *name = g_strndup(*arguments, strcspn(*arguments, "="));
        g_autofree char *upper = g_ascii_strup(name, -1);
        fprintf(header, "    SERVICE_%s,\n", upper);
    }
    fputs("    SERVICE__COUNT\n} ServiceId;\n", header);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        die("usage: modelc OUT_DIR OVERLAY_DIR NAME=service-2.json ...");
    Output out = { .header = open_file(argv[1], "catalog/operations.h"),
                   .source = open_file(argv[1], "catalog/operations.c"),
                   .services = g_string_new(NULL),
                   .tables = tables_new() };

    fputs("#pragma once\n\n", out.header);
    fputs("#include \"catalog/catalog.h\"\n\n", out.source);
    write_service_ids(out.header, argv + 3);
    for (int i = 3; i < argc; i++) {
        Model *model = model_load(argv[i], argv[2]);
        add_service(&out, model, (guint)i - 3);
        model_free(model);
    }
    fprintf(out.source, "const Service catalog_services[SERVICE__COUNT] = {\n%s};\n",
            out.services->str);
    if (fclose(out.header) != 0 || fclose(out.source) != 0)
        die("cannot write below \"%s\"", argv[1]);

    tables_mark_time(out.tables);
    g_autofree char *folder = g_build_filename(argv[1], "shape", NULL);
    g_mkdir_with_parents(folder, 0755);
    g_autofree char *path = g_build_filename(folder, "tables.c", NULL);
    tables_write(out.tables, path);
    tables_free(out.tables);
    g_string_free(out.services, TRUE);
    return 0;
}
