#include "modelc/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("modelc: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static json_t *read_file(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

    if (!root)
        die("%s:%d: %s", path, error.line, error.text);
    return root;
}

static void merge(json_t *into, json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach(from, key, value)
    {
        json_t *old = json_object_get(into, key);
        if (json_is_null(value))
            json_object_del(into, key);
        else if (json_is_object(old) && json_is_object(value))
            merge(old, value);
        else if (json_is_array(old) && json_is_array(value))
            json_array_extend(old, value);
        else
            json_object_set(into, key, value);
    }
}

Model *model_load(const char *argument, const char *overlay_dir)
{
    const char *file = strchr(argument, '=');

    if (!file)
        die("expected NAME=FILE, got \"%s\"", argument);
    Model *model = g_new0(Model, 1);
    model->name = g_strndup(argument, (gsize)(file - argument));
    model->root = file[1] ? read_file(file + 1) : json_object();

    g_autofree char *overlay = g_strdup_printf("%s/%s.json", overlay_dir, model->name);
    if (g_file_test(overlay, G_FILE_TEST_EXISTS)) {
        json_t *more = read_file(overlay);
        merge(model->root, more);
        json_decref(more);
    }
    model->protocol = model_text(json_object_get(model->root, "metadata"), "protocol");
    model->shapes = json_object_get(model->root, "shapes");
    model->operations = json_object_get(model->root, "operations");
    if (!model->protocol || !json_is_object(model->shapes) || !json_is_object(model->operations))
        die("service \"%s\" lacks metadata, shapes or operations", model->name);
    return model;
}

void model_free(Model *model)
{
    json_decref(model->root);
    g_free(model->name);
    g_free(model);
}

json_t *model_shape(const Model *model, const char *name)
{
    json_t *shape = json_object_get(model->shapes, name);

    if (!shape)
        die("service \"%s\" has no shape \"%s\"", model->name, name);
    return shape;
}

const char *model_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}
