#include "shape/shape.h"

#include <string.h>

const ShapeMember *shape_member(const Shape *shape, const char *name)
{
    const ShapeMember *rows = shape_member_rows(shape);
    guint low = 0, high = shape->count;

    while (low < high) {
        guint middle = (low + high) / 2;
        int order = strcmp(name, shape_text(rows[middle].name));
        if (order == 0)
            return &rows[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static gboolean text_is(guint32 offset, const char *name, gsize length)
{
    const char *text = shape_text(offset);

    return strncmp(text, name, length) == 0 && text[length] == '\0';
}

const ShapeMember *shape_member_by_wire_in(const Shape *shape, const char *name, gsize length)
{
    const ShapeMember *rows = shape_member_rows(shape);

    for (guint i = 0; i < shape->count; i++)
        if (text_is(rows[i].wire_in, name, length))
            return &rows[i];
    return NULL;
}

const ShapeMember *shape_member_by_wire_out(const Shape *shape, const char *name, gsize length)
{
    const ShapeMember *rows = shape_member_rows(shape);

    for (guint i = 0; i < shape->count; i++)
        if (text_is(rows[i].wire_out, name, length))
            return &rows[i];
    return NULL;
}

gboolean shape_enum_has(const Shape *shape, const char *value)
{
    guint low = 0, high = shape->count;

    if (shape->count == 0)
        return TRUE;
    while (low < high) {
        guint middle = (low + high) / 2;
        int order = strcmp(value, shape_text(shape_enums[shape->first + middle]));
        if (order == 0)
            return TRUE;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return FALSE;
}
