#include "modelc/tables.h"

#include <stdio.h>
#include <string.h>

static const char *const known_shape_traits[] = { "type",
                                                  "members",
                                                  "member",
                                                  "key",
                                                  "value",
                                                  "required",
                                                  "enum",
                                                  "min",
                                                  "max",
                                                  "pattern",
                                                  "documentation",
                                                  "box",
                                                  "deprecated",
                                                  "deprecatedMessage",
                                                  "sensitive",
                                                  "exception",
                                                  "error",
                                                  "fault",
                                                  "synthetic",
                                                  "retryable",
                                                  "locationName",
                                                  "wrapper",
                                                  "xmlOrder", /* no client reads by order */
                                                  NULL };
static const char *const known_member_traits[] = {
    "shape",      "documentation",     "locationName", "queryName", "idempotencyToken",
    "deprecated", "deprecatedMessage", "box",          NULL
};
static const struct {
    const char *type;
    ShapeKind kind;
} kinds[] = {
    { "structure", SHAPE_STRUCTURE },
    { "list", SHAPE_LIST },
    { "map", SHAPE_MAP },
    { "string", SHAPE_STRING },
    { "character", SHAPE_STRING },
    { "integer", SHAPE_INTEGER },
    { "long", SHAPE_LONG },
    { "double", SHAPE_DOUBLE },
    { "float", SHAPE_DOUBLE },
    { "boolean", SHAPE_BOOLEAN },
    { "timestamp", SHAPE_TIMESTAMP },
    { "blob", SHAPE_BLOB },
};

Tables *tables_new(void)
{
    Tables *t = g_new0(Tables, 1);
    const Shape none = { 0 };
    const ShapeLimit no_limit = { 0 };

    t->strings = g_string_new(NULL);
    t->string_at = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->shapes = g_array_new(FALSE, TRUE, sizeof(Shape));
    t->shape_at = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->members = g_array_new(FALSE, TRUE, sizeof(ShapeMember));
    t->enums = g_array_new(FALSE, TRUE, sizeof(guint32));
    t->limits = g_array_new(FALSE, TRUE, sizeof(ShapeLimit));
    t->errors = g_array_new(FALSE, TRUE, sizeof(guint16));
    tables_string(t, "");
    g_array_append_val(t->shapes, none);
    g_array_append_val(t->limits, no_limit);
    return t;
}

void tables_free(Tables *t)
{
    g_string_free(t->strings, TRUE);
    g_hash_table_destroy(t->string_at);
    g_hash_table_destroy(t->shape_at);
    g_array_free(t->shapes, TRUE);
    g_array_free(t->members, TRUE);
    g_array_free(t->enums, TRUE);
    g_array_free(t->limits, TRUE);
    g_array_free(t->errors, TRUE);
    g_free(t);
}

guint32 tables_string(Tables *t, const char *text)
{
    gpointer at;

    if (g_hash_table_lookup_extended(t->string_at, text, NULL, &at))
        return GPOINTER_TO_UINT(at);
    guint32 offset = (guint32)t->strings->len;
    g_string_append_len(t->strings, text, (gssize)strlen(text) + 1);
    g_hash_table_insert(t->string_at, g_strdup(text), GUINT_TO_POINTER(offset));
    return offset;
}

static guint16 row_number(guint count, const char *of)
{
    if (count > G_MAXUINT16)
        die("more than %d %s: widen the row numbers of shape.h", G_MAXUINT16, of);
    return (guint16)count;
}

static void check_traits(const Model *model, const char *where, const json_t *object,
                         const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (!g_strv_contains(known, key))
            die("%s: %s has trait \"%s\", which no codec of ours knows", model->name, where, key);
    }
}

static char *capitalised(const char *name)
{
    char *text = g_strdup(name);

    text[0] = g_ascii_toupper(text[0]);
    return text;
}

/* The names of a member on the wire; fallback is that of a list's element, map's key or value. */
static void name_member(Tables *t, const Model *model, const json_t *trait, const char *fallback,
                        ShapeMember *member)
{
    const char *location = model_text(trait, "locationName");
    const char *query = model_text(trait, "queryName");
    g_autofree char *capital = location ? capitalised(location) : NULL;
    gboolean ec2 = g_str_equal(model->protocol, "ec2");

    if (g_str_equal(model->protocol, "json") && location && !g_str_equal(location, fallback))
        die("%s: member \"%s\" is called \"%s\" in JSON, which json.c does not know", model->name,
            fallback, location);
    member->wire_out = tables_string(t, location ? location : fallback);
    if (ec2)
        member->wire_in = tables_string(t, query ? query : capital ? capital : fallback);
    else
        member->wire_in = member->wire_out;
}

static guint8 kind_of(const Model *model, const char *name, const char *type)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(kinds[i].type, type ? type : ""))
            return (guint8)kinds[i].kind;
    die("%s: shape \"%s\" has unknown type \"%s\"", model->name, name, type ? type : "");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of an object, or texts of an array, sorted. */
static GPtrArray *sorted_texts(const json_t *json)
{
    GPtrArray *texts = g_ptr_array_new();
    const char *key;
    json_t *value;
    size_t n;

    if (json_is_array(json))
        json_array_foreach(json, n, value)
            g_ptr_array_add(texts, (gpointer)json_string_value(value));
    else
        json_object_foreach((json_t *)json, key, value) g_ptr_array_add(texts, (gpointer)key);
    if (texts->len)
        qsort(texts->pdata, texts->len, sizeof(gpointer), by_text);
    return texts;
}

static gboolean array_has(const json_t *array, const char *text)
{
    size_t n;
    json_t *value;

    json_array_foreach(array, n,
                       value) if (g_str_equal(json_string_value(value), text)) return TRUE;
    return FALSE;
}

static void fill_members(Tables *t, const Model *model, guint row, const json_t *shape)
{
    const json_t *members = json_object_get(shape, "members");
    const json_t *required = json_object_get(shape, "required");
    g_autoptr(GPtrArray) names = sorted_texts(members);
    guint first = t->members->len;

    g_array_set_size(t->members, first + names->len);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        const json_t *trait = json_object_get(members, name);
        ShapeMember member = { .name = tables_string(t, name) };

        check_traits(model, name, trait, known_member_traits);
        name_member(t, model, trait, name, &member);
        if (array_has(required, name))
            member.flags |= MEMBER_REQUIRED;
        if (json_is_true(json_object_get(trait, "idempotencyToken")))
            member.flags |= MEMBER_TOKEN;
        member.shape = tables_shape(t, model, model_text(trait, "shape"));
        g_array_index(t->members, ShapeMember, first + i) = member;
    }
    g_array_index(t->shapes, Shape, row).first = row_number(first, "members");
    g_array_index(t->shapes, Shape, row).count = row_number(names->len, "members");
}

/* The element of a list, or key and value of a map. */
static void fill_elements(Tables *t, const Model *model, guint row, const json_t *shape)
{
    static const char *const list[] = { "member", NULL };
    static const char *const map[] = { "key", "value", NULL };
    gboolean is_list = g_array_index(t->shapes, Shape, row).kind == SHAPE_LIST;
    const char *const *parts = is_list ? list : map;
    guint first = t->members->len;
    guint count = is_list ? 1 : 2;

    g_array_set_size(t->members, first + count);
    for (guint i = 0; i < count; i++) {
        const json_t *trait = json_object_get(shape, parts[i]);
        gboolean ec2 = g_str_equal(model->protocol, "ec2");
        const char *name = ec2 && is_list ? "item" : parts[i];
        ShapeMember member = { .name = tables_string(t, parts[i]) };

        check_traits(model, parts[i], trait, known_member_traits);
        name_member(t, model, trait, name, &member);
        member.shape = tables_shape(t, model, model_text(trait, "shape"));
        g_array_index(t->members, ShapeMember, first + i) = member;
    }
    g_array_index(t->shapes, Shape, row).first = row_number(first, "members");
    g_array_index(t->shapes, Shape, row).count = (guint16)count;
}

static void fill_enum(Tables *t, guint row, const json_t *values)
{
    g_autoptr(GPtrArray) texts = sorted_texts(values);
    guint first = t->enums->len;
    guint count = 0;

    for (guint i = 0; i < texts->len; i++) {
        if (i > 0 && g_str_equal(texts->pdata[i], texts->pdata[i - 1]))
            continue;
        guint32 at = tables_string(t, texts->pdata[i]);
        g_array_append_val(t->enums, at);
        count++;
    }
    g_array_index(t->shapes, Shape, row).first = row_number(first, "enum values");
    g_array_index(t->shapes, Shape, row).count = row_number(count, "enum values");
}

static void fill_limit(Tables *t, guint row, const json_t *shape)
{
    Shape *s = &g_array_index(t->shapes, Shape, row);
    const json_t *min = json_object_get(shape, "min");
    const json_t *max = json_object_get(shape, "max");
    ShapeLimit limit = { (gint64)json_number_value(min), (gint64)json_number_value(max) };

    if (min)
        s->flags |= SHAPE_HAS_MIN;
    if (max)
        s->flags |= SHAPE_HAS_MAX;
    for (guint i = 0; i < t->limits->len; i++) {
        const ShapeLimit *have = &g_array_index(t->limits, ShapeLimit, i);
        if (have->min == limit.min && have->max == limit.max) {
            s->limit = row_number(i, "limits");
            return;
        }
    }
    s->limit = row_number(t->limits->len, "limits");
    g_array_append_val(t->limits, limit);
}

guint16 tables_shape(Tables *t, const Model *model, const char *name)
{
    g_autofree char *key = g_strdup_printf("%s:%s", model->name, name);
    gpointer at = g_hash_table_lookup(t->shape_at, key);

    if (at)
        return (guint16)GPOINTER_TO_UINT(at);
    const json_t *model_row = model_shape(model, name);
    check_traits(model, name, model_row, known_shape_traits);
    guint row = t->shapes->len;
    Shape shape = { .name = tables_string(t, name),
                    .kind = kind_of(model, name, model_text(model_row, "type")) };

    if (json_is_true(json_object_get(model_row, "exception")))
        shape.flags |= SHAPE_EXCEPTION;
    g_array_append_val(t->shapes, shape);
    g_hash_table_insert(t->shape_at, g_strdup(key), GUINT_TO_POINTER(row));
    fill_limit(t, row, model_row);
    if (shape.kind == SHAPE_STRUCTURE)
        fill_members(t, model, row, model_row);
    else if (shape.kind == SHAPE_LIST || shape.kind == SHAPE_MAP)
        fill_elements(t, model, row, model_row);
    else
        fill_enum(t, row, json_object_get(model_row, "enum"));
    return row_number(row, "shapes");
}

static gboolean holds_time(const Tables *t, const Shape *shape)
{
    if (shape->kind == SHAPE_TIMESTAMP)
        return TRUE;
    if (shape->kind > SHAPE_MAP)
        return FALSE;
    for (guint i = 0; i < shape->count; i++) {
        const ShapeMember *m = &g_array_index(t->members, ShapeMember, shape->first + i);
        if (g_array_index(t->shapes, Shape, m->shape).flags & SHAPE_HAS_TIME)
            return TRUE;
    }
    return FALSE;
}

void tables_mark_time(Tables *t)
{
    gboolean more = TRUE;

    /* Shapes may contain themselves, so rounds until nothing changes. */
    while (more) {
        more = FALSE;
        for (guint i = 0; i < t->shapes->len; i++) {
            Shape *shape = &g_array_index(t->shapes, Shape, i);
            if ((shape->flags & SHAPE_HAS_TIME) || !holds_time(t, shape))
                continue;
            shape->flags |= SHAPE_HAS_TIME;
            more = TRUE;
        }
    }
}

static void write_strings(const Tables *t, FILE *out)
{
    fputs("const char shape_strings[] =\n", out);
    for (gsize at = 0; at < t->strings->len; at += strlen(t->strings->str + at) + 1) {
        g_autofree char *text = g_strescape(t->strings->str + at, NULL);
        /* The NUL ends each literal as octal, so that a following digit is not taken into it. */
        fprintf(out, "\"%s\\000\"\n", text);
    }
    fputs(";\n", out);
}

void tables_write(const Tables *t, const char *path)
{
    FILE *out = fopen(path, "w");

    if (!out)
        die("cannot write \"%s\"", path);
    fputs("/* made by modelc */\n#include \"shape/shape.h\"\n\n", out);
    write_strings(t, out);
    fputs("const Shape shape_rows[] = {\n", out);
    for (guint i = 0; i < t->shapes->len; i++) {
        const Shape *s = &g_array_index(t->shapes, Shape, i);
        fprintf(out, "{%u,%u,%u,%u,%u,%u}, /* %s */\n", s->name, s->kind, s->flags, s->count,
                s->first, s->limit, t->strings->str + s->name);
    }
    fputs("};\nconst ShapeMember shape_members[] = {\n", out);
    for (guint i = 0; i < t->members->len; i++) {
        const ShapeMember *m = &g_array_index(t->members, ShapeMember, i);
        fprintf(out, "{%u,%u,%u,%u,%u}, /* %s */\n", m->name, m->wire_in, m->wire_out, m->shape,
                m->flags, t->strings->str + m->name);
    }
    fputs("};\nconst guint32 shape_enums[] = {\n", out);
    for (guint i = 0; i < t->enums->len; i++)
        fprintf(out, "%u,\n", g_array_index(t->enums, guint32, i));
    fputs("};\nconst ShapeLimit shape_limits[] = {\n", out);
    for (guint i = 0; i < t->limits->len; i++) {
        const ShapeLimit *l = &g_array_index(t->limits, ShapeLimit, i);
        fprintf(out, "{%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "},\n", l->min, l->max);
    }
    fputs("};\nconst guint16 shape_errors[] = {\n", out);
    for (guint i = 0; i < t->errors->len; i++)
        fprintf(out, "%u,\n", g_array_index(t->errors, guint16, i));
    fputs("0};\n", out);
    if (fclose(out) != 0)
        die("cannot write \"%s\"", path);
}
