/*
 * base/tree.h - reading members of trees (jansson values)
 *
 * Results are borrowed from the tree. A tree that is NULL or no object has no members.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdlib.h>

/* NULL when it is absent or no string. */
static inline const char *tree_text(const json_t *tree, const char *name)
{
    return json_string_value(json_object_get(tree, name));
}
/* The same, "" in place of NULL. */
static inline const char *text_of(const json_t *tree, const char *name)
{
    const char *text = tree_text(tree, name);

    return text ? text : "";
}
static inline gint64 tree_int(const json_t *tree, const char *name, gint64 fallback)
{
    const json_t *value = json_object_get(tree, name);

    return json_is_integer(value) ? (gint64)json_integer_value(value) : fallback;
}
static inline gboolean tree_bool(const json_t *tree, const char *name, gboolean fallback)
{
    const json_t *value = json_object_get(tree, name);

    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

/* What json_dumps gives: g_autoptr(JsonText). */
typedef char JsonText;
static inline void json_text_free(JsonText *text)
{
    free(text);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonText, json_text_free)
