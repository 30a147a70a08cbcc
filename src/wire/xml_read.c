#include "wire/xml_read.h"

#include "base/errors.h"
#include "shape/check.h"
#include "shape/text.h"

#include <libxml/xmlreader.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlTextReader, xmlFreeTextReader)

/* The reader stands on an element's start; each function below leaves it on that element's end, or
 * on the same node for an empty element. */

static const char *here(xmlTextReader *reader)
{
    return (const char *)xmlTextReaderConstLocalName(reader);
}

/* Goes to the next child element of depth; 1 there is one, 0 the parent ends, -1 not well-formed.
 */
static int next_child(xmlTextReader *reader, int depth)
{
    int more;

    while ((more = xmlTextReaderRead(reader)) == 1) {
        int type = xmlTextReaderNodeType(reader);
        int at = xmlTextReaderDepth(reader);

        if (type == XML_READER_TYPE_DOCUMENT_TYPE || type == XML_READER_TYPE_ENTITY_REFERENCE)
            return -1;
        if (type == XML_READER_TYPE_ELEMENT && at == depth)
            return 1;
        if (type == XML_READER_TYPE_END_ELEMENT && at < depth)
            return 0;
    }
    return -1;
}

static gboolean skip(xmlTextReader *reader)
{
    int depth = xmlTextReaderDepth(reader);
    int more = 1;

    if (xmlTextReaderIsEmptyElement(reader))
        return TRUE;
    while (more > 0)
        more = next_child(reader, depth + 1) == 1 ? skip(reader) : 0;
    return xmlTextReaderNodeType(reader) == XML_READER_TYPE_END_ELEMENT &&
           xmlTextReaderDepth(reader) == depth;
}

/* The text of the element; NULL when it has children or is not well-formed. Caller frees. */
static char *read_text(xmlTextReader *reader)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int depth = xmlTextReaderDepth(reader);

    if (xmlTextReaderIsEmptyElement(reader))
        return g_strdup("");
    while (xmlTextReaderRead(reader) == 1) {
        int type = xmlTextReaderNodeType(reader);

        if (type == XML_READER_TYPE_END_ELEMENT && xmlTextReaderDepth(reader) == depth)
            return g_string_free(g_steal_pointer(&text), FALSE);
        if (type == XML_READER_TYPE_ELEMENT || type == XML_READER_TYPE_ENTITY_REFERENCE)
            return NULL;
        const char *part = (const char *)xmlTextReaderConstValue(reader);
        if (part &&
            (type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_CDATA ||
             type == XML_READER_TYPE_SIGNIFICANT_WHITESPACE || type == XML_READER_TYPE_WHITESPACE))
            g_string_append(text, part);
    }
    return NULL;
}

static json_t *read_value(xmlTextReader *reader, const Shape *shape, GError **error);

static json_t *malformed(GError **error)
{
    return fail_null(error, MALFORMED_REQUEST, "the answer is not well-formed XML of its shape");
}

static json_t *read_structure(xmlTextReader *reader, const Shape *shape, GError **error)
{
    json_auto_t *tree = json_object();
    int depth = xmlTextReaderDepth(reader);
    int more = 0;

    if (xmlTextReaderIsEmptyElement(reader))
        return g_steal_pointer(&tree);
    while ((more = next_child(reader, depth + 1)) == 1) {
        const char *name = here(reader);
        const ShapeMember *member = shape_member_by_wire_out(shape, name, strlen(name));

        if (!member) {
            if (!skip(reader))
                return malformed(error);
            continue;
        }
        json_t *value = read_value(reader, shape_at(member->shape), error);
        if (!value)
            return NULL;
        json_object_set_new(tree, shape_text(member->name), value);
    }
    return more < 0 ? malformed(error) : g_steal_pointer(&tree);
}

static json_t *read_list(xmlTextReader *reader, const Shape *shape, GError **error)
{
    const Shape *element = shape_at(shape_member_rows(shape)->shape);
    json_auto_t *list = json_array();
    int depth = xmlTextReaderDepth(reader);
    int more = 0;

    if (xmlTextReaderIsEmptyElement(reader))
        return g_steal_pointer(&list);
    while ((more = next_child(reader, depth + 1)) == 1) {
        json_t *value = read_value(reader, element, error);
        if (!value)
            return NULL;
        json_array_append_new(list, value);
    }
    return more < 0 ? malformed(error) : g_steal_pointer(&list);
}

static gboolean read_entry(xmlTextReader *reader, const Shape *shape, json_t *map, GError **error)
{
    const ShapeMember *rows = shape_member_rows(shape);
    g_autofree char *key = NULL;
    json_auto_t *value = NULL;
    int depth = xmlTextReaderDepth(reader);
    int more = xmlTextReaderIsEmptyElement(reader) ? 0 : 1;

    while (more == 1 && (more = next_child(reader, depth + 1)) == 1) {
        if (!key && g_str_equal(here(reader), shape_text(rows[0].wire_out))) {
            key = read_text(reader);
            if (!key)
                return malformed(error), FALSE;
        } else if (!value && g_str_equal(here(reader), shape_text(rows[1].wire_out))) {
            value = read_value(reader, shape_at(rows[1].shape), error);
            if (!value)
                return FALSE;
        } else {
            return malformed(error), FALSE;
        }
    }
    if (!key || !value || more < 0)
        return malformed(error), FALSE;
    json_object_set(map, key, value);
    return TRUE;
}

static json_t *read_map(xmlTextReader *reader, const Shape *shape, GError **error)
{
    json_auto_t *map = json_object();
    int depth = xmlTextReaderDepth(reader);
    int more = 0;

    if (xmlTextReaderIsEmptyElement(reader))
        return g_steal_pointer(&map);
    while ((more = next_child(reader, depth + 1)) == 1)
        if (!read_entry(reader, shape, map, error))
            return NULL;
    return more < 0 ? malformed(error) : g_steal_pointer(&map);
}

static json_t *read_value(xmlTextReader *reader, const Shape *shape, GError **error)
{
    if (xmlTextReaderDepth(reader) > 2 * SHAPE_DEPTH_MAX)
        return malformed(error);
    switch (shape->kind) {
    case SHAPE_STRUCTURE:
        return read_structure(reader, shape, error);
    case SHAPE_LIST:
        return read_list(reader, shape, error);
    case SHAPE_MAP:
        return read_map(reader, shape, error);
    default:
        break;
    }
    g_autofree char *name = g_strdup(here(reader));
    g_autofree char *text = read_text(reader);
    if (!text)
        return malformed(error);
    g_autoptr(GError) cause = NULL;
    json_t *value = shape_value_from_text(shape, text, name, &cause);
    return value ? value : fail_null(error, MALFORMED_REQUEST, "%s", cause->message);
}

/* libxml2 would print its complaints otherwise. */
static void quiet(void *user G_GNUC_UNUSED, const char *message G_GNUC_UNUSED,
                  xmlParserSeverities severity G_GNUC_UNUSED,
                  xmlTextReaderLocatorPtr where G_GNUC_UNUSED)
{
}

/* A reader on the root element; NULL when there is none. */
static xmlTextReader *open_reader(const char *text, gsize length)
{
    const int options = XML_PARSE_NONET | XML_PARSE_NOCDATA;
    g_autoptr(xmlTextReader) reader = NULL;

    if (length > G_MAXINT || !g_utf8_validate_len(text, length, NULL))
        return NULL;
    reader = xmlReaderForMemory(text, (int)length, NULL, "UTF-8", options);
    if (!reader)
        return NULL;
    xmlTextReaderSetErrorHandler(reader, quiet, NULL);
    return next_child(reader, 0) == 1 ? g_steal_pointer(&reader) : NULL;
}

json_t *xml_decode_answer(const Service *service, const Operation *operation, const char *text,
                          gsize length, GError **error)
{
    g_autoptr(xmlTextReader) reader = open_reader(text, length);
    const Shape *shape = operation->output ? operation_output(operation) : shape_at(0);
    const char *wrapper = shape_text(operation->result_wrapper);
    int more = 0;

    if (!reader)
        return malformed(error);
    if (service->protocol == PROTOCOL_EC2 || !*wrapper)
        return read_structure(reader, shape, error);
    if (!xmlTextReaderIsEmptyElement(reader))
        while ((more = next_child(reader, 1)) == 1) {
            if (g_str_equal(here(reader), wrapper))
                return read_structure(reader, shape, error);
            if (!skip(reader))
                break;
        }
    return fail_null(error, MALFORMED_REQUEST, "the answer has no element \"%s\"", wrapper);
}

/* Takes Code and Message where they are, at whatever depth either form has them. */
static gboolean find_error(xmlTextReader *reader, int levels, char **ret_code, char **ret_message)
{
    int depth = xmlTextReaderDepth(reader);
    int more = 0;

    if (xmlTextReaderIsEmptyElement(reader))
        return TRUE;
    while ((more = next_child(reader, depth + 1)) == 1) {
        const char *name = here(reader);
        char **into = g_str_equal(name, "Code")      ? ret_code
                      : g_str_equal(name, "Message") ? ret_message
                                                     : NULL;
        gboolean done;

        if (into && !*into) {
            *into = read_text(reader);
            done = *into != NULL;
        } else if (levels > 0 && (g_str_equal(name, "Errors") || g_str_equal(name, "Error"))) {
            done = find_error(reader, levels - 1, ret_code, ret_message);
        } else {
            done = skip(reader);
        }
        if (!done)
            return FALSE;
    }
    return more == 0;
}

gboolean xml_decode_error(const char *text, gsize length, char **ret_code, char **ret_message)
{
    g_autoptr(xmlTextReader) reader = open_reader(text, length);
    g_autofree char *code = NULL;
    g_autofree char *message = NULL;

    if (!reader || !find_error(reader, 2, &code, &message) || !code)
        return FALSE;
    *ret_code = g_steal_pointer(&code);
    *ret_message = message ? g_steal_pointer(&message) : g_strdup("");
    return TRUE;
}
