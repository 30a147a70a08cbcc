/*
 * modelc/model.h - reading service models (botocore's service-2.json schema) and our overlays
 *
 * An overlay has the same schema and is merged into the model of its service: objects member by
 * member, arrays appended, null takes a key away, anything else replaces. modelc ends with a
 * message on any fault: it runs at build time only.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef struct {
    char *name; /* "ec2" */
    const char *protocol;
    json_t *root;       /* the whole merged model */
    json_t *shapes;     /* borrowed from root */
    json_t *operations; /* borrowed from root */
} Model;

/* Reads NAME=FILE; with FILE empty the overlay is all there is. Caller frees. */
Model *model_load(const char *argument, const char *overlay_dir);
void model_free(Model *model);

/* The shape object of this name; ends the program when there is none. */
json_t *model_shape(const Model *model, const char *name);
/* A string member of object; NULL when it is not there. */
const char *model_text(const json_t *object, const char *key);

void die(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
