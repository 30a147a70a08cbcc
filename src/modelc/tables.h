/*
 * modelc/tables.h - models as the rows of shape/shape.h, and their text as C
 *
 * Only shapes that an operation reaches become rows. Traits that the codecs do not know end the
 * program, so that no model is half understood.
 */
#pragma once

#include "modelc/model.h"
#include "shape/shape.h"

typedef struct {
    GString *strings;      /* the pool: NUL-terminated texts */
    GHashTable *string_at; /* text -> offset */
    GArray *shapes;        /* Shape */
    GHashTable *shape_at;  /* "service:Name" -> row */
    GArray *members;       /* ShapeMember */
    GArray *enums;         /* guint32 */
    GArray *limits;        /* ShapeLimit */
    GArray *errors;        /* guint16 */
} Tables;

Tables *tables_new(void);
void tables_free(Tables *tables);
guint32 tables_string(Tables *tables, const char *text);
/* The row of a shape and all that it reaches. */
guint16 tables_shape(Tables *tables, const Model *model, const char *name);
/* Sets SHAPE_HAS_TIME; call when all shapes are in. */
void tables_mark_time(Tables *tables);
/* Writes the arrays that shape/shape.h declares. */
void tables_write(const Tables *tables, const char *path);
