#include "model/cluster_query.h"
#include "base/clock.h"
#include "base/errors.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

typedef enum {
    SUBJECT_ATTRIBUTE,
    SUBJECT_GROUP,
    SUBJECT_CONNECTED,
    SUBJECT_VERSION,
    SUBJECT_EC2_ID,
    SUBJECT_REGISTERED,
    SUBJECT_RUNNING,
} Subject;

typedef enum {
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_GE,
    OP_LT,
    OP_LE,
    OP_EXISTS,
    OP_NOT_EXISTS,
    OP_IN,
    OP_NOT_IN,
    OP_MATCHES,
    OP_NOT_MATCHES,
} Operator;

typedef enum { NODE_AND, NODE_OR, NODE_NOT, NODE_CONDITION } NodeKind;

struct ClusterQuery {
    NodeKind kind;
    ClusterQuery *left, *right;
    Subject subject;
    char *name; /* of an attribute */
    Operator op;
    GPtrArray *values;
    GRegex *pattern;
};

/* Longest first where one begins another. */
static const struct {
    const char *word;
    Operator op;
} operators[] = {
    { "==", OP_EQ },
    { "equals", OP_EQ },
    { "!=", OP_NE },
    { "not_equals", OP_NE },
    { ">=", OP_GE },
    { "greater_than_equal", OP_GE },
    { "<=", OP_LE },
    { "less_than_equal", OP_LE },
    { ">", OP_GT },
    { "greater_than", OP_GT },
    { "<", OP_LT },
    { "less_than", OP_LT },
    { "!exists", OP_NOT_EXISTS },
    { "not_exists", OP_NOT_EXISTS },
    { "exists", OP_EXISTS },
    { "!in", OP_NOT_IN },
    { "not_in", OP_NOT_IN },
    { "in", OP_IN },
    { "=~", OP_MATCHES },
    { "matches", OP_MATCHES },
    { "!~", OP_NOT_MATCHES },
    { "not_matches", OP_NOT_MATCHES },
};

static const struct {
    const char *word;
    Subject subject;
} subjects[] = {
    { "agentConnected", SUBJECT_CONNECTED },  { "agentVersion", SUBJECT_VERSION },
    { "ec2InstanceId", SUBJECT_EC2_ID },      { "registeredAt", SUBJECT_REGISTERED },
    { "runningTasksCount", SUBJECT_RUNNING }, { "task:group", SUBJECT_GROUP },
};

typedef struct {
    const char *text;
    const char *at;
    guint depth;
} Parser;

void cluster_query_free(ClusterQuery *query)
{
    if (!query)
        return;
    cluster_query_free(query->left);
    cluster_query_free(query->right);
    g_free(query->name);
    g_clear_pointer(&query->values, g_ptr_array_unref);
    g_clear_pointer(&query->pattern, g_regex_unref);
    g_free(query);
}

static gpointer wrong(const Parser *p, const char *expected, GError **error)
{
    return fail_null(error, INVALID_PARAMETER,
                     "Invalid placement constraint expression: expected %s at \"%.40s\"", expected,
                     *p->at ? p->at : "the end");
}

static void skip_space(Parser *p)
{
    while (g_ascii_isspace(*p->at))
        p->at++;
}

static gboolean word_character(char c)
{
    return g_ascii_isalnum(c) || (c && strchr("_-./:*\\+?^$|{}", c));
}

/* Takes word when it stands here as a whole (a sign needs no end). */
static gboolean take(Parser *p, const char *word)
{
    gsize length = strlen(word);

    skip_space(p);
    if (g_ascii_strncasecmp(p->at, word, length) != 0)
        return FALSE;
    if (g_ascii_isalnum(word[length - 1]) && word_character(p->at[length]))
        return FALSE;
    p->at += length;
    return TRUE;
}

/* A bare word or a quoted text; caller frees. */
static char *take_literal(Parser *p, GError **error)
{
    skip_space(p);
    const char *start = p->at;
    if (*start == '\'' || *start == '"') {
        const char *end = strchr(start + 1, *start);
        if (!end)
            return wrong(p, "the closing quote", error);
        p->at = end + 1;
        return g_strndup(start + 1, (gsize)(end - start - 1));
    }
    while (word_character(*p->at) && !(p->at[0] == '|' && p->at[1] == '|'))
        p->at++;
    if (p->at == start)
        return wrong(p, "a value", error);
    return g_strndup(start, (gsize)(p->at - start));
}

static gboolean take_subject(Parser *p, ClusterQuery *node, GError **error)
{
    skip_space(p);
    if (g_ascii_strncasecmp(p->at, "attribute:", 10) == 0) {
        p->at += 10;
        const char *start = p->at;
        while (g_ascii_isalnum(*p->at) || (*p->at && strchr("_-./\\", *p->at)))
            p->at++;
        node->subject = SUBJECT_ATTRIBUTE;
        node->name = g_strndup(start, (gsize)(p->at - start));
        return p->at > start || wrong(p, "the attribute's name", error) != NULL;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(subjects); i++)
        if (take(p, subjects[i].word)) {
            node->subject = subjects[i].subject;
            return TRUE;
        }
    return wrong(p,
                 "attribute:NAME, agentConnected, agentVersion, ec2InstanceId, registeredAt, "
                 "runningTasksCount or task:group",
                 error) != NULL;
}

static gboolean take_values(Parser *p, ClusterQuery *node, GError **error)
{
    node->values = g_ptr_array_new_with_free_func(g_free);
    if (node->op != OP_IN && node->op != OP_NOT_IN) {
        char *value = take_literal(p, error);
        if (!value)
            return FALSE;
        g_ptr_array_add(node->values, value);
        return TRUE;
    }
    if (!take(p, "["))
        return wrong(p, "\"[\"", error) != NULL;
    do {
        char *value = take_literal(p, error);
        if (!value)
            return FALSE;
        g_ptr_array_add(node->values, value);
    } while (take(p, ","));
    return take(p, "]") || wrong(p, "\"]\"", error) != NULL;
}

static gboolean compile_pattern(ClusterQuery *node, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *anchored =
        g_strdup_printf("^(?:%s)$", (const char *)g_ptr_array_index(node->values, 0));

    node->pattern = g_regex_new(anchored, G_REGEX_OPTIMIZE | G_REGEX_DOLLAR_ENDONLY, 0, &cause);
    if (!node->pattern)
        return fail(error, INVALID_PARAMETER, "Invalid placement constraint expression: %s",
                    cause->message);
    return TRUE;
}

static ClusterQuery *parse_condition(Parser *p, GError **error)
{
    g_autoptr(ClusterQuery) node = g_new0(ClusterQuery, 1);
    gsize i = 0;

    node->kind = NODE_CONDITION;
    if (!take_subject(p, node, error))
        return NULL;
    while (i < G_N_ELEMENTS(operators) && !take(p, operators[i].word))
        i++;
    if (i == G_N_ELEMENTS(operators))
        return wrong(p, "an operator", error);
    node->op = operators[i].op;
    if (node->op == OP_EXISTS || node->op == OP_NOT_EXISTS)
        return g_steal_pointer(&node);
    if (!take_values(p, node, error))
        return NULL;
    if ((node->op == OP_MATCHES || node->op == OP_NOT_MATCHES) && !compile_pattern(node, error))
        return NULL;
    return g_steal_pointer(&node);
}

static ClusterQuery *parse_or(Parser *p, GError **error);

static ClusterQuery *parse_unary(Parser *p, GError **error)
{
    if (p->depth++ > DEPTH_MAX)
        return wrong(p, "fewer levels", error);
    if (take(p, "!") || take(p, "not")) {
        g_autoptr(ClusterQuery) node = g_new0(ClusterQuery, 1);
        node->kind = NODE_NOT;
        node->left = parse_unary(p, error);
        p->depth--;
        return node->left ? g_steal_pointer(&node) : NULL;
    }
    if (take(p, "(")) {
        g_autoptr(ClusterQuery) inner = parse_or(p, error);
        p->depth--;
        if (!inner)
            return NULL;
        return take(p, ")") ? g_steal_pointer(&inner) : wrong(p, "\")\"", error);
    }
    p->depth--;
    return parse_condition(p, error);
}

static ClusterQuery *join(NodeKind kind, ClusterQuery *left, ClusterQuery *right)
{
    ClusterQuery *node = g_new0(ClusterQuery, 1);

    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static ClusterQuery *parse_and(Parser *p, GError **error)
{
    g_autoptr(ClusterQuery) left = parse_unary(p, error);

    while (left && (take(p, "&&") || take(p, "and"))) {
        ClusterQuery *right = parse_unary(p, error);
        if (!right)
            return NULL;
        left = join(NODE_AND, g_steal_pointer(&left), right);
    }
    return g_steal_pointer(&left);
}

static ClusterQuery *parse_or(Parser *p, GError **error)
{
    g_autoptr(ClusterQuery) left = parse_and(p, error);

    while (left && (take(p, "||") || take(p, "or"))) {
        ClusterQuery *right = parse_and(p, error);
        if (!right)
            return NULL;
        left = join(NODE_OR, g_steal_pointer(&left), right);
    }
    return g_steal_pointer(&left);
}

ClusterQuery *cluster_query_parse(const char *text, GError **error)
{
    Parser p = { .text = text, .at = text };

    if (strlen(text) > CLUSTER_QUERY_MAX)
        return fail_null(error, INVALID_PARAMETER,
                         "Invalid placement constraint expression: longer than %d characters",
                         CLUSTER_QUERY_MAX);
    g_autoptr(ClusterQuery) query = parse_or(&p, error);
    if (!query)
        return NULL;
    skip_space(&p);
    return *p.at ? wrong(&p, "the end", error) : g_steal_pointer(&query);
}

static gboolean number_of(const char *text, double *ret_number)
{
    char *end = NULL;

    *ret_number = g_ascii_strtod(text, &end);
    return end != text && !*end;
}

/* Version numbers compare part by part: 1.10.0 is after 1.9.2. */
static int version_compare(const char *a, const char *b)
{
    while (*a || *b) {
        char *end_a = NULL, *end_b = NULL;
        guint64 x = g_ascii_strtoull(a, &end_a, 10);
        guint64 y = g_ascii_strtoull(b, &end_b, 10);
        if (x != y)
            return x < y ? -1 : 1;
        a = end_a + strcspn(end_a, ".");
        b = end_b + strcspn(end_b, ".");
        a += *a == '.';
        b += *b == '.';
    }
    return 0;
}

static int time_compare(gint64 us, const char *text)
{
    g_autofree char *full =
        strlen(text) == 10 ? g_strdup_printf("%sT00:00:00Z", text) : g_strdup(text);
    gint64 other = 0;

    if (!clock_parse_iso(full, &other))
        return 1;
    return us < other ? -1 : us > other;
}

static int value_compare(Subject subject, const char *actual, gint64 number, const char *wanted)
{
    double a = 0, b = 0;

    if (subject == SUBJECT_VERSION)
        return version_compare(actual, wanted);
    if (subject == SUBJECT_REGISTERED)
        return time_compare(number, wanted);
    if (subject == SUBJECT_CONNECTED)
        return g_ascii_strcasecmp(actual, wanted);
    if (number_of(actual, &a) && number_of(wanted, &b))
        return a < b ? -1 : a > b;
    return strcmp(actual, wanted);
}

static gboolean any_equal(const ClusterQuery *c, const char *actual, gint64 number)
{
    for (guint i = 0; i < c->values->len; i++)
        if (value_compare(c->subject, actual, number, g_ptr_array_index(c->values, i)) == 0)
            return TRUE;
    return FALSE;
}

static gboolean runs_any(const ClusterQuery *c, const ClusterQuerySubject *s)
{
    if (c->pattern)
        return s->runs_group(s->instance, NULL, c->pattern);
    for (guint i = 0; c->values && i < c->values->len; i++)
        if (s->runs_group(s->instance, g_ptr_array_index(c->values, i), NULL))
            return TRUE;
    return FALSE;
}

static gboolean negated(Operator op)
{
    return op == OP_NE || op == OP_NOT_IN || op == OP_NOT_MATCHES || op == OP_NOT_EXISTS;
}

static gboolean condition_holds(const ClusterQuery *c, const char *actual, gint64 number)
{
    switch (c->op) {
    case OP_EQ:
    case OP_IN:
        return any_equal(c, actual, number);
    case OP_NE:
    case OP_NOT_IN:
        return !any_equal(c, actual, number);
    case OP_MATCHES:
        return g_regex_match(c->pattern, actual, 0, NULL);
    case OP_NOT_MATCHES:
        return !g_regex_match(c->pattern, actual, 0, NULL);
    case OP_EXISTS:
        return TRUE;
    case OP_NOT_EXISTS:
        return FALSE;
    case OP_GT:
    case OP_GE:
    case OP_LT:
    case OP_LE:
        break;
    }
    int order = value_compare(c->subject, actual, number, g_ptr_array_index(c->values, 0));
    return c->op == OP_GT   ? order > 0
           : c->op == OP_GE ? order >= 0
           : c->op == OP_LT ? order < 0
                            : order <= 0;
}

static gboolean condition_matches(const ClusterQuery *c, const ClusterQuerySubject *s)
{
    char text[32];
    const char *actual = NULL;
    gint64 number = 0;

    switch (c->subject) {
    case SUBJECT_GROUP:
        return negated(c->op) ? !runs_any(c, s) : runs_any(c, s);
    case SUBJECT_ATTRIBUTE:
        actual = s->attribute(s->instance, c->name);
        break;
    case SUBJECT_CONNECTED:
        actual = s->agent_connected ? "true" : "false";
        break;
    case SUBJECT_VERSION:
        actual = s->agent_version;
        break;
    case SUBJECT_EC2_ID:
        actual = s->ec2_instance_id;
        break;
    case SUBJECT_REGISTERED:
        number = s->registered_us;
        actual = clock_iso_s(number, text);
        break;
    case SUBJECT_RUNNING:
        g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, s->running_tasks);
        actual = text;
        break;
    }
    return actual ? condition_holds(c, actual, number) : negated(c->op);
}

gboolean cluster_query_matches(const ClusterQuery *query, const ClusterQuerySubject *subject)
{
    switch (query->kind) {
    case NODE_AND:
        return cluster_query_matches(query->left, subject) &&
               cluster_query_matches(query->right, subject);
    case NODE_OR:
        return cluster_query_matches(query->left, subject) ||
               cluster_query_matches(query->right, subject);
    case NODE_NOT:
        return !cluster_query_matches(query->left, subject);
    case NODE_CONDITION:
        break;
    }
    return condition_matches(query, subject);
}

gboolean cluster_query_needs_groups(const ClusterQuery *query)
{
    if (query->kind == NODE_CONDITION)
        return query->subject == SUBJECT_GROUP;
    return cluster_query_needs_groups(query->left) ||
           (query->right && cluster_query_needs_groups(query->right));
}
