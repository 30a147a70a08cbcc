#include "wire/xml.h"

#include "base/errors.h"
#include "shape/text.h"

#include <string.h>

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

/* An answer of a thousand instances has a hundred thousand elements: libxml2's writer, which
 * allocates for each, would be most of the request's time. */

static void open_element(GString *out, const char *name)
{
    g_string_append_c(out, '<');
    g_string_append(out, name);
    g_string_append_c(out, '>');
}

static void close_element(GString *out, const char *name)
{
    g_string_append_c(out, '<');
    g_string_append_c(out, '/');
    g_string_append(out, name);
    g_string_append_c(out, '>');
}

static void empty_element(GString *out, const char *name)
{
    g_string_append_c(out, '<');
    g_string_append(out, name);
    g_string_append_len(out, "/>", 2);
}

/* What stands for a byte of text; NULL for the byte itself. A control character that XML 1.0
 * forbids becomes U+FFFD, so that one stray byte in a row cannot make an answer unreadable. */
static const char *replacement(guchar c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\r':
        return "&#13;";
    case '\t':
    case '\n':
        return NULL;
    default:
        return c < 0x20 ? "\xef\xbf\xbd" : NULL;
    }
}

static void append_text(GString *out, const char *text)
{
    const char *start = text;

    for (; *text; text++) {
        const char *other = replacement((guchar)*text);
        /* U+FFFE and U+FFFF are forbidden too: their last byte gives U+FFFD. */
        if (!other && (guchar)text[0] == 0xef && (guchar)text[1] == 0xbf &&
            (guchar)text[2] >= 0xbe) {
            g_string_append_len(out, start, text - start);
            g_string_append(out, "\xef\xbf\xbd");
            text += 2;
            start = text + 1;
            continue;
        }
        if (!other)
            continue;
        g_string_append_len(out, start, text - start);
        g_string_append(out, other);
        start = text + 1;
    }
    g_string_append_len(out, start, text - start);
}

static void text_element(GString *out, const char *name, const char *text)
{
    if (!*text) {
        empty_element(out, name);
        return;
    }
    open_element(out, name);
    append_text(out, text);
    close_element(out, name);
}

static gboolean write_value(GString *out, const char *name, const json_t *value, const Shape *shape,
                            Protocol protocol, GError **error);

static gboolean write_members(GString *out, const json_t *value, const Shape *shape,
                              Protocol protocol, GError **error)
{
    const char *key;
    json_t *child;

    json_object_foreach((json_t *)value, key, child)
    {
        const ShapeMember *member = shape_member(shape, key);
        if (!member)
            return fail(error, INTERNAL, "answer has member \"%s\", which shape \"%s\" lacks", key,
                        shape_text(shape->name));
        if (!write_value(out, shape_text(member->wire_out), child, shape_at(member->shape),
                         protocol, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean write_elements(GString *out, const json_t *value, const Shape *shape,
                               Protocol protocol, GError **error)
{
    const ShapeMember *element = shape_member_rows(shape);
    const Shape *of = shape_at(element->shape);
    json_t *child;
    size_t n;

    json_array_foreach(value, n, child) if (!write_value(out, shape_text(element->wire_out), child,
                                                         of, protocol, error)) return FALSE;
    return TRUE;
}

static gboolean write_entries(GString *out, const json_t *value, const Shape *shape,
                              Protocol protocol, GError **error)
{
    const ShapeMember *rows = shape_member_rows(shape);
    const char *key;
    json_t *child;

    json_object_foreach((json_t *)value, key, child)
    {
        open_element(out, "entry");
        text_element(out, shape_text(rows[0].wire_out), key);
        if (!write_value(out, shape_text(rows[1].wire_out), child, shape_at(rows[1].shape),
                         protocol, error))
            return FALSE;
        close_element(out, "entry");
    }
    return TRUE;
}

static gboolean write_leaf(GString *out, const char *name, const json_t *value, const Shape *shape,
                           Protocol protocol, GError **error)
{
    if (json_is_string(value) && (shape->kind == SHAPE_STRING || shape->kind == SHAPE_BLOB)) {
        text_element(out, name, json_string_value(value));
        return TRUE;
    }
    g_autofree char *text = shape_value_to_text(shape, value, protocol, error);
    if (!text)
        return fail_prefix(error, "element \"%s\"", name);
    text_element(out, name, text);
    return TRUE;
}

static gboolean write_value(GString *out, const char *name, const json_t *value, const Shape *shape,
                            Protocol protocol, GError **error)
{
    gboolean container =
        (shape->kind == SHAPE_LIST && json_is_array(value)) ||
        (shape->kind <= SHAPE_MAP && shape->kind != SHAPE_LIST && json_is_object(value));
    gboolean done;

    if (!container)
        return write_leaf(out, name, value, shape, protocol, error);
    if (json_array_size(value) == 0 && json_object_size(value) == 0) {
        empty_element(out, name);
        return TRUE;
    }
    open_element(out, name);
    if (shape->kind == SHAPE_STRUCTURE)
        done = write_members(out, value, shape, protocol, error);
    else if (shape->kind == SHAPE_LIST)
        done = write_elements(out, value, shape, protocol, error);
    else
        done = write_entries(out, value, shape, protocol, error);
    close_element(out, name);
    return done;
}

/* The outermost element; xml_namespace may be NULL. */
static void open_root(GString *out, const char *name, const char *xml_namespace)
{
    g_string_append(out, DECLARATION);
    g_string_append_c(out, '<');
    g_string_append(out, name);
    if (xml_namespace) {
        g_string_append(out, " xmlns=\"");
        append_text(out, xml_namespace);
        g_string_append_c(out, '"');
    }
    g_string_append_c(out, '>');
}

static char *finish(GString **out, gsize *ret_length)
{
    *ret_length = (*out)->len;
    return g_string_free(g_steal_pointer(out), FALSE);
}

char *xml_encode_answer(const Service *service, const Operation *operation, const json_t *tree,
                        const char *request_id, gsize *ret_length, GError **error)
{
    g_autoptr(GString) out = g_string_sized_new(4096);
    g_autofree char *root = g_strconcat(operation_name(operation), "Response", NULL);
    const Shape *shape = operation->output ? operation_output(operation) : shape_at(0);
    const char *wrapper = shape_text(operation->result_wrapper);
    gboolean ec2 = service->protocol == PROTOCOL_EC2;

    if (!json_is_object(tree))
        return fail_null(error, INTERNAL, "answer of %s is not a structure",
                         operation_name(operation));
    open_root(out, root, service->xml_namespace);
    if (ec2)
        text_element(out, "requestId", request_id);
    if (*wrapper)
        open_element(out, wrapper);
    if (!write_members(out, tree, shape, (Protocol)service->protocol, error))
        return fail_prefix(error, "answer of %s", operation_name(operation)), NULL;
    if (*wrapper)
        close_element(out, wrapper);
    if (!ec2) {
        open_element(out, "ResponseMetadata");
        text_element(out, "RequestId", request_id);
        close_element(out, "ResponseMetadata");
    }
    close_element(out, root);
    return finish(&out, ret_length);
}

char *xml_encode_error(Protocol protocol, const char *xml_namespace, const char *code,
                       const char *message, gboolean sender_fault, const char *request_id,
                       gsize *ret_length)
{
    g_autoptr(GString) out = g_string_sized_new(512);
    gboolean ec2 = protocol == PROTOCOL_EC2;
    const char *root = ec2 ? "Response" : "ErrorResponse";

    open_root(out, root, ec2 ? NULL : xml_namespace);
    if (ec2)
        open_element(out, "Errors");
    open_element(out, "Error");
    if (!ec2)
        text_element(out, "Type", sender_fault ? "Sender" : "Receiver");
    text_element(out, "Code", code);
    text_element(out, "Message", message);
    close_element(out, "Error");
    if (ec2)
        close_element(out, "Errors");
    text_element(out, ec2 ? "RequestID" : "RequestId", request_id);
    close_element(out, root);
    return finish(&out, ret_length);
}
