/* What may be written for a parameter or secret. */
#include "model/secret_ref.h"

#define SSM "arn:aws:ssm:home-1:123456789012:"
#define ASM "arn:aws:secretsmanager:home-1:123456789012:"

typedef struct {
    const char *text;
    gboolean is_secret;
    const char *name; /* NULL: refused */
    gint64 version;
    const char *json_key, *stage, *version_id;
} Case;

static void check(const Case *c, SecretRef *(*parse)(const char *, const char *, const char *))
{
    g_autoptr(SecretRef) ref = parse("home-1", "123456789012", c->text);

    g_test_message("%s", c->text);
    g_assert_cmpint(ref != NULL, ==, c->name != NULL);
    if (!ref)
        return;
    g_assert_cmpint(ref->is_secret, ==, c->is_secret);
    g_assert_cmpstr(ref->name, ==, c->name);
    g_assert_cmpint(ref->version, ==, c->version);
    g_assert_cmpstr(ref->json_key, ==, c->json_key);
    g_assert_cmpstr(ref->stage, ==, c->stage);
    g_assert_cmpstr(ref->version_id, ==, c->version_id);
}

static void test_value_from(void)
{
    static const Case cases[] = {
        { "name", FALSE, "name", 0, NULL, NULL, NULL },
        { "/a/b", FALSE, "/a/b", 0, NULL, NULL, NULL },
        { "/a/b:3", FALSE, "/a/b", 3, NULL, NULL, NULL },
        { SSM "parameter/a/b", FALSE, "/a/b", 0, NULL, NULL, NULL },
        { SSM "parameter/name", FALSE, "name", 0, NULL, NULL, NULL },
        { SSM "parameter/name:2", FALSE, "name", 2, NULL, NULL, NULL },
        { ASM "secret:db-AbCdEf", TRUE, "db-AbCdEf", 0, NULL, NULL, NULL },
        { ASM "secret:a/db-AbCdEf:key::", TRUE, "a/db-AbCdEf", 0, "key", NULL, NULL },
        { ASM "secret:db:key:AWSPREVIOUS:", TRUE, "db", 0, "key", "AWSPREVIOUS", NULL },
        { ASM "secret:db::AWSCURRENT:id", TRUE, "db", 0, NULL, "AWSCURRENT", "id" },
        { ASM "secret:db:::", TRUE, "db", 0, NULL, NULL, NULL },
        /* refused */
        { "", 0, NULL, 0, NULL, NULL, NULL },
        { "name:x", 0, NULL, 0, NULL, NULL, NULL },
        { "name:0", 0, NULL, 0, NULL, NULL, NULL },
        { "name:1:2", 0, NULL, 0, NULL, NULL, NULL },
        { SSM "document/a", 0, NULL, 0, NULL, NULL, NULL },
        { SSM "parameter/", 0, NULL, 0, NULL, NULL, NULL },
        { "arn:aws:ssm:other-1:123456789012:parameter/a", 0, NULL, 0, NULL, NULL, NULL },
        { "arn:aws:ssm:home-1:999999999999:parameter/a", 0, NULL, 0, NULL, NULL, NULL },
        { "arn:aws:s3:::bucket", 0, NULL, 0, NULL, NULL, NULL },
        { ASM "secret:", 0, NULL, 0, NULL, NULL, NULL },
        { ASM "secret:db:a:b:c:d", 0, NULL, 0, NULL, NULL, NULL },
        { ASM "thing:db", 0, NULL, 0, NULL, NULL, NULL },
        { "arn:aws:secretsmanager", 0, NULL, 0, NULL, NULL, NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        check(&cases[i], secret_ref_value_from);
}

static void test_secret(void)
{
    static const Case cases[] = {
        { "app/db", TRUE, "app/db", 0, NULL, NULL, NULL },
        { ASM "secret:app/db-AbCdEf", TRUE, "app/db-AbCdEf", 0, NULL, NULL, NULL },
        { ASM "secret:app/db-AbCdEf:key::", 0, NULL, 0, NULL, NULL, NULL },
        { SSM "parameter/a", 0, NULL, 0, NULL, NULL, NULL },
        { "", 0, NULL, 0, NULL, NULL, NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        check(&cases[i], secret_ref_secret);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secret_ref/of a container definition", test_value_from);
    g_test_add_func("/secret_ref/of a call", test_secret);
    return g_test_run();
}
