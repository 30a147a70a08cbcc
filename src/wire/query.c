#include "wire/query.h"

#include "base/errors.h"
#include "shape/check.h"
#include "shape/text.h"

#include <stdlib.h>
#include <string.h>

/* Fields are sorted by their dotted names, numbers as numbers; then each structure, list and map is
 * a run of neighbours with the same beginning. */
typedef struct {
    const FormField **fields;
    Protocol protocol;
    GError **error;
} Decoder;

static json_t *decode_value(Decoder *d, gsize from, gsize to, gsize at, const Shape *shape,
                            guint depth);

static gsize segment_length(const char *name)
{
    return strcspn(name, ".");
}

static gboolean is_number(const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isdigit(text[i]))
            return FALSE;
    return length > 0;
}

/* Numbers come first, by value; "01" and "1" are neighbours, not equals: a run's names must be
 * alike to the byte, as offsets into one are used in all. */
static int compare_segments(const char *a, gsize a_length, const char *b, gsize b_length)
{
    gboolean numbers = is_number(a, a_length);
    gsize a_zeros = 0, b_zeros = 0;

    if (numbers != is_number(b, b_length))
        return numbers ? -1 : 1;
    if (numbers) {
        while (a_zeros + 1 < a_length && a[a_zeros] == '0')
            a_zeros++;
        while (b_zeros + 1 < b_length && b[b_zeros] == '0')
            b_zeros++;
        if (a_length - a_zeros != b_length - b_zeros)
            return a_length - a_zeros < b_length - b_zeros ? -1 : 1;
    }
    int order = memcmp(a + a_zeros, b + b_zeros, MIN(a_length - a_zeros, b_length - b_zeros));
    return order ? order : a_length < b_length ? -1 : a_length > b_length;
}

/* Equal names keep their order, as pointers into one array do, so that the last one wins. */
static int by_path(const void *left, const void *right)
{
    const FormField *l = *(const FormField *const *)left;
    const FormField *r = *(const FormField *const *)right;
    const char *a = l->name, *b = r->name;

    for (;;) {
        gsize a_length = segment_length(a), b_length = segment_length(b);
        int order = compare_segments(a, a_length, b, b_length);
        if (order)
            return order;
        a += a_length;
        b += b_length;
        if (!*a || !*b)
            break;
        a++;
        b++;
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return l < r ? -1 : l > r;
}

/* What follows the first at bytes of a field's name; "" when the dot before at is its end. */
static const char *rest_of(const Decoder *d, gsize field, gsize at)
{
    const char *name = d->fields[field]->name;

    return at > 0 && name[at - 1] == '\0' ? "" : name + at;
}

/* The end of the run that shares field from's next segment, and where the segment after it begins.
 */
static gsize run_end(const Decoder *d, gsize from, gsize to, gsize at, gsize *ret_next)
{
    const char *name = rest_of(d, from, at);
    gsize length = segment_length(name);
    gsize end = from + 1;

    *ret_next = at + length + 1;
    while (end < to) {
        const char *other = rest_of(d, end, at);
        if (compare_segments(name, length, other, segment_length(other)) != 0)
            break;
        end++;
    }
    return end;
}

static json_t *unknown(const Decoder *d, gsize field)
{
    return fail_null(d->error, UNKNOWN_PARAMETER, "The parameter %s is not recognized",
                     d->fields[field]->name);
}

static json_t *invalid(const Decoder *d, gsize field, const char *reason)
{
    return fail_null(d->error, INVALID_PARAMETER, "The parameter %s is invalid: %s",
                     d->fields[field]->name, reason);
}

static json_t *decode_structure(Decoder *d, gsize from, gsize to, gsize at, const Shape *shape,
                                guint depth)
{
    json_auto_t *tree = json_object();
    gsize next;

    for (gsize end; from < to; from = end) {
        const char *name = rest_of(d, from, at);
        const ShapeMember *member = shape_member_by_wire_in(shape, name, segment_length(name));

        end = run_end(d, from, to, at, &next);
        if (!member)
            return unknown(d, from);
        json_t *value = decode_value(d, from, end, next, shape_at(member->shape), depth + 1);
        if (!value)
            return NULL;
        json_object_set_new_nocheck(tree, shape_text(member->name), value);
    }
    return g_steal_pointer(&tree);
}

/* Steps over the word that AWS Query has between a list's name and number ("member", "entry"). An
 * empty list is written as its name alone: then *ret_empty is set. */
static gboolean step_into(Decoder *d, gsize *from, gsize to, gsize *at, const char *word,
                          gboolean *ret_empty)
{
    *ret_empty = FALSE;
    while (*from < to && rest_of(d, *from, *at)[0] == '\0') {
        if (d->fields[*from]->value[0] != '\0') {
            invalid(d, *from, "a list needs numbered values");
            return FALSE;
        }
        (*from)++;
    }
    if (*from == to) {
        *ret_empty = TRUE;
        return TRUE;
    }
    if (d->protocol == PROTOCOL_EC2)
        return TRUE;
    gsize next;
    if (run_end(d, *from, to, *at, &next) != to ||
        !g_str_has_prefix(rest_of(d, *from, *at), word) || next != *at + strlen(word) + 1) {
        unknown(d, *from);
        return FALSE;
    }
    *at = next;
    return TRUE;
}

static json_t *decode_list(Decoder *d, gsize from, gsize to, gsize at, const Shape *shape,
                           guint depth)
{
    const ShapeMember *element = shape_member_rows(shape);
    json_auto_t *list = json_array();
    gboolean empty;
    gsize next;

    if (!step_into(d, &from, to, &at, shape_text(element->wire_in), &empty))
        return NULL;
    for (gsize end; from < to; from = end) {
        const char *number = rest_of(d, from, at);

        if (!is_number(number, segment_length(number)))
            return unknown(d, from);
        if (json_array_size(list) >= SHAPE_LIST_MAX)
            return invalid(d, from, "the list has too many elements");
        end = run_end(d, from, to, at, &next);
        json_t *value = decode_value(d, from, end, next, shape_at(element->shape), depth + 1);
        if (!value)
            return NULL;
        json_array_append_new(list, value);
    }
    return g_steal_pointer(&list);
}

static json_t *decode_entry(Decoder *d, gsize from, gsize to, gsize at, const Shape *map,
                            json_t *tree, guint depth)
{
    const ShapeMember *rows = shape_member_rows(map);
    json_auto_t *key = NULL, *value = NULL;
    gsize next;

    for (gsize end, start = from; start < to; start = end) {
        const char *name = rest_of(d, start, at);
        gsize length = segment_length(name);
        gboolean is_key = length == strlen(shape_text(rows[0].wire_in)) &&
                          strncmp(name, shape_text(rows[0].wire_in), length) == 0;

        end = run_end(d, start, to, at, &next);
        if (!is_key && (length != strlen(shape_text(rows[1].wire_in)) ||
                        strncmp(name, shape_text(rows[1].wire_in), length) != 0))
            return unknown(d, start);
        json_t *part =
            decode_value(d, start, end, next, shape_at(rows[is_key ? 0 : 1].shape), depth + 1);
        if (!part)
            return NULL;
        if (is_key)
            key = part;
        else
            value = part;
    }
    if (!json_is_string(key) || !value)
        return invalid(d, from, "a map's entry needs key and value");
    json_object_set(tree, json_string_value(key), value);
    return tree;
}

static json_t *decode_map(Decoder *d, gsize from, gsize to, gsize at, const Shape *shape,
                          guint depth)
{
    json_auto_t *tree = json_object();
    gboolean empty;
    gsize next;

    if (!step_into(d, &from, to, &at, "entry", &empty))
        return NULL;
    for (gsize end; from < to; from = end) {
        const char *number = rest_of(d, from, at);
        if (!is_number(number, segment_length(number)))
            return unknown(d, from);
        end = run_end(d, from, to, at, &next);
        if (!decode_entry(d, from, end, next, shape, tree, depth))
            return NULL;
    }
    return g_steal_pointer(&tree);
}

static json_t *decode_value(Decoder *d, gsize from, gsize to, gsize at, const Shape *shape,
                            guint depth)
{
    if (depth > SHAPE_DEPTH_MAX)
        return invalid(d, from, "it is nested too deeply");
    switch (shape->kind) {
    case SHAPE_STRUCTURE:
        return decode_structure(d, from, to, at, shape, depth);
    case SHAPE_LIST:
        return decode_list(d, from, to, at, shape, depth);
    case SHAPE_MAP:
        return decode_map(d, from, to, at, shape, depth);
    default:
        if (rest_of(d, to - 1, at)[0] != '\0')
            return unknown(d, to - 1);
        return shape_value_from_text(shape, d->fields[to - 1]->value, d->fields[to - 1]->name,
                                     d->error);
    }
}

static gboolean is_envelope(const char *name)
{
    return g_str_equal(name, "Action") || g_str_equal(name, "Version") ||
           g_ascii_strncasecmp(name, "X-Amz-", 6) == 0;
}

json_t *query_decode(const Form *form, const Shape *input, Protocol protocol, GError **error)
{
    g_autofree const FormField **fields = g_new(const FormField *, form->count + 1);
    Decoder decoder = { .fields = fields, .protocol = protocol, .error = error };
    gsize count = 0;

    for (gsize i = 0; i < form->count; i++)
        if (!is_envelope(form->fields[i].name))
            fields[count++] = &form->fields[i];
    qsort(fields, count, sizeof *fields, by_path);
    return decode_structure(&decoder, 0, count, 0, input ? input : shape_at(0), 0);
}

/* -- requests of clients */

static gboolean encode_value(GString *out, GString *name, const json_t *value, const Shape *shape,
                             Protocol protocol, GError **error);

static gboolean encode_child(GString *out, GString *name, const char *segment, const json_t *value,
                             const Shape *shape, Protocol protocol, GError **error)
{
    gsize before = name->len;

    if (before)
        g_string_append_c(name, '.');
    g_string_append(name, segment);
    gboolean done = encode_value(out, name, value, shape, protocol, error);
    g_string_truncate(name, before);
    return done;
}

static gboolean encode_structure(GString *out, GString *name, const json_t *value,
                                 const Shape *shape, Protocol protocol, GError **error)
{
    const char *key;
    json_t *child;

    json_object_foreach((json_t *)value, key, child)
    {
        const ShapeMember *member = shape_member(shape, key);
        if (!member)
            return fail(error, INVALID_PARAMETER, "there is no parameter \"%s\"", key);
        if (!encode_child(out, name, shape_text(member->wire_in), child, shape_at(member->shape),
                          protocol, error))
            return FALSE;
    }
    return TRUE;
}

static void append_field(GString *out, const char *name, const char *value)
{
    if (out->len)
        g_string_append_c(out, '&');
    g_string_append(out, name);
    g_string_append_c(out, '=');
    form_escape(out, value);
}

static gboolean encode_list(GString *out, GString *name, const json_t *value, const Shape *shape,
                            Protocol protocol, GError **error)
{
    const ShapeMember *element = shape_member_rows(shape);
    gsize before = name->len;
    json_t *child;
    size_t n;

    if (json_array_size(value) == 0 && protocol == PROTOCOL_QUERY)
        append_field(out, name->str, "");
    json_array_foreach(value, n, child)
    {
        if (protocol == PROTOCOL_QUERY)
            g_string_append_printf(name, ".%s", shape_text(element->wire_in));
        g_autofree char *number = g_strdup_printf("%" G_GSIZE_FORMAT, n + 1);
        if (!encode_child(out, name, number, child, shape_at(element->shape), protocol, error))
            return FALSE;
        g_string_truncate(name, before);
    }
    return TRUE;
}

static gboolean encode_map(GString *out, GString *name, const json_t *value, const Shape *shape,
                           Protocol protocol, GError **error)
{
    const ShapeMember *rows = shape_member_rows(shape);
    gsize before = name->len;
    gsize n = 0;
    const char *key;
    json_t *child;

    json_object_foreach((json_t *)value, key, child)
    {
        g_string_append_printf(name, ".entry.%" G_GSIZE_FORMAT ".", ++n);
        gsize entry = name->len;
        g_string_append(name, shape_text(rows[0].wire_in));
        append_field(out, name->str, key);
        g_string_truncate(name, entry);
        g_string_append(name, shape_text(rows[1].wire_in));
        if (!encode_value(out, name, child, shape_at(rows[1].shape), protocol, error))
            return FALSE;
        g_string_truncate(name, before);
    }
    return TRUE;
}

static gboolean encode_value(GString *out, GString *name, const json_t *value, const Shape *shape,
                             Protocol protocol, GError **error)
{
    if (shape->kind == SHAPE_STRUCTURE && json_is_object(value))
        return encode_structure(out, name, value, shape, protocol, error);
    if (shape->kind == SHAPE_LIST && json_is_array(value))
        return encode_list(out, name, value, shape, protocol, error);
    if (shape->kind == SHAPE_MAP && json_is_object(value))
        return encode_map(out, name, value, shape, protocol, error);

    g_autofree char *text = shape_value_to_text(shape, value, protocol, NULL);
    if (!text)
        return fail(error, INVALID_PARAMETER, "parameter \"%s\" has the wrong type", name->str);
    append_field(out, name->str, text);
    return TRUE;
}

char *query_encode(const char *action, const char *version, const json_t *tree, const Shape *input,
                   Protocol protocol, GError **error)
{
    g_autoptr(GString) out = g_string_sized_new(256);
    g_autoptr(GString) name = g_string_sized_new(64);

    append_field(out, "Action", action);
    append_field(out, "Version", version);
    if (!encode_structure(out, name, tree, input ? input : shape_at(0), protocol, error))
        return NULL;
    return g_string_free(g_steal_pointer(&out), FALSE);
}
