/* agent/image_name, image_table, image_auth and drivers/docker_image: names, which image may go, whose
 * credentials, what a pull's answer says */
#include "agent/image_auth.h"
#include "agent/image_name.h"
#include "agent/image_table.h"
#include "base/errors.h"
#include "drivers/docker_image.h"

#include <string.h>

#define SECOND G_USEC_PER_SEC

static void test_names(void)
{
    static const char *const cases[][3] = {
        { "busybox", "docker.io/library/busybox:latest", "docker.io" },
        { "busybox:1", "docker.io/library/busybox:1", "docker.io" },
        { "docker.io/library/busybox:1", "docker.io/library/busybox:1", "docker.io" },
        { "index.docker.io/me/app", "docker.io/me/app:latest", "docker.io" },
        { "me/app", "docker.io/me/app:latest", "docker.io" },
        { "localhost/app", "localhost/app:latest", "localhost" },
        { "host:5000/app", "host:5000/app:latest", "host:5000" },
        { "host:5000/a/b:2", "host:5000/a/b:2", "host:5000" },
        { "10.0.0.1:5000/a@sha256:00", "10.0.0.1:5000/a@sha256:00", "10.0.0.1:5000" },
        { "a.example/b:1@sha256:00", "a.example/b@sha256:00", "a.example" },
        { "", "docker.io/library/:latest", "docker.io" },
        { "/", "docker.io//:latest", "docker.io" },
    };
    static const char *const addresses[][2] = {
        { "https://index.docker.io/v1/", "docker.io" }, { "http://r:5000", "r:5000" },
        { "r:5000/v2/", "r:5000" },                     { "registry.example", "registry.example" },
        { "", "" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = agent_image_name(cases[i][0]);
        g_autofree char *registry = agent_image_registry(cases[i][0]);
        g_assert_cmpstr(name, ==, cases[i][1]);
        g_assert_cmpstr(registry, ==, cases[i][2]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(addresses); i++) {
        g_autofree char *name = agent_registry_name(addresses[i][0]);
        g_assert_cmpstr(name, ==, addresses[i][1]);
    }
}

static const char *oldest(const AgentImageTable *table, AgentImageRule rule, const char *needed)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (needed)
        g_hash_table_add(names, agent_image_name(needed));
    rule.needed = names;
    const AgentImage *image = agent_image_table_oldest(table, &rule);
    return image ? image->image : NULL;
}

static AgentImageTable *three_images(void)
{
    AgentImageTable *table = agent_image_table_new();

    agent_image_table_pulled(table, "a:1", 10 * SECOND);
    agent_image_table_pulled(table, "b:1", 20 * SECOND);
    agent_image_table_pulled(table, "c:1", 30 * SECOND);
    g_assert_true(agent_image_table_used(table, "docker.io/library/a:1", 40 * SECOND));
    g_assert_false(agent_image_table_used(table, "d", 40 * SECOND));
    return table;
}

static void test_the_longest_unused_goes_first(void)
{
    g_autoptr(AgentImageTable) table = three_images();
    AgentImageRule rule = { .now_us = 50 * SECOND, .age_us = 15 * SECOND };

    g_assert_cmpstr(oldest(table, rule, NULL), ==, "b:1");
    g_assert_cmpstr(oldest(table, rule, "library/b:1"), ==, "c:1");
    rule.age_us = 25 * SECOND;
    g_assert_cmpstr(oldest(table, rule, "b:1"), ==, "a:1"); /* c is too young */
    rule.age_us = 60 * SECOND;
    g_assert_cmpstr(oldest(table, rule, NULL), ==, NULL);
    rule.age_us = 0;
    agent_image_table_refused(table, "b:1", 50 * SECOND);
    g_assert_cmpstr(oldest(table, rule, NULL), ==, "c:1");
    rule.now_us = 111 * SECOND; /* Docker is asked again */
    g_assert_cmpstr(oldest(table, rule, NULL), ==, "b:1");
    agent_image_table_forget(table, "b");
    g_assert_cmpstr(oldest(table, rule, NULL), ==, "b:1"); /* that was another tag */
    agent_image_table_forget(table, "b:1");
    g_assert_cmpstr(oldest(table, rule, NULL), ==, "c:1");
}

static void test_what_others_pulled_stays_unless_told(void)
{
    g_autoptr(AgentImageTable) table = three_images();
    g_autoptr(GPtrArray) here = g_ptr_array_new();
    AgentImageRule rule = { .now_us = 100 * SECOND, .foreign_age_us = 30 * SECOND };

    g_ptr_array_add(here, (gpointer) "theirs:1");
    g_ptr_array_add(here, (gpointer) "a:1");
    agent_image_table_list(table, here, 60 * SECOND);
    g_assert_false(agent_image_table_has(table, "theirs:1"));
    g_assert_true(agent_image_table_has(table, "c:1"));
    for (guint i = 0; i < 3; i++) {
        const char *own = oldest(table, rule, NULL);
        g_assert_cmpstr(own, !=, "theirs:1");
        agent_image_table_forget(table, own);
    }
    g_assert_cmpstr(oldest(table, rule, NULL), ==, NULL);
    rule.foreign = TRUE;
    g_assert_cmpstr(oldest(table, rule, NULL), ==, "theirs:1");
    rule.now_us = 89 * SECOND;
    g_assert_cmpstr(oldest(table, rule, NULL), ==, NULL);
    g_ptr_array_set_size(here, 0);
    agent_image_table_list(table, here, 90 * SECOND);
    agent_image_table_pulled(table, "theirs:1", 95 * SECOND); /* now it is ours */
    g_assert_true(agent_image_table_has(table, "theirs:1"));
}

static void test_ages_survive_the_disk(void)
{
    g_autoptr(AgentImageTable) table = three_images();
    g_autoptr(AgentImageTable) again = agent_image_table_new();
    json_auto_t *tree = agent_image_table_save(table);
    AgentImageRule rule = { .now_us = 50 * SECOND };

    json_array_append_new(json_object_get(tree, "images"), json_pack("{s:s}", "image", "odd"));
    json_array_append_new(json_object_get(tree, "images"), json_integer(3));
    agent_image_table_restore(again, tree);
    for (guint i = 0; i < 4; i++) {
        const char *name = oldest(table, rule, NULL);
        g_assert_cmpstr(oldest(again, rule, NULL), ==, name);
        if (!name)
            break;
        g_autofree char *copy = g_strdup(name);
        agent_image_table_forget(table, copy);
        agent_image_table_forget(again, copy);
    }
}

typedef struct {
    const char *type, *data, *image;
    const char *user, *password; /* NULL: nothing is shown */
} AuthCase;

static void test_configured_credentials(void)
{
    static const AuthCase cases[] = {
        { "docker", "{\"https://index.docker.io/v1/\": {\"username\": \"u\", \"password\": \"p\"}}", "app", "u", "p" },
        { "docker", "{\"https://index.docker.io/v1/\": {\"username\": \"u\", \"password\": \"p\"}}", "r:5000/app", NULL, NULL },
        { "docker", "{\"r:5000\": {\"username\": \"u\", \"password\": \"p\"}}", "r:5000/a/b:1", "u", "p" },
        { "docker", "{\"r:5000\": {\"username\": \"u\", \"password\": \"p\"}}", "r/a", NULL, NULL },
        { "dockercfg", "{\"https://r.example\": {\"auth\": \"dTpwOng=\", \"email\": \"e\"}}", "r.example/a", "u", "p:x" },
        { "dockercfg", "{\"auths\": {\"r.example\": {\"auth\": \"dTpwOng=\"}}}", "r.example/a", "u", "p:x" },
        { "", "{\"r.example\": {\"username\": \"u\", \"password\": \"p\"}}", "r.example/a", NULL, NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const AgentConfig config = { .auth_type = (char *)cases[i].type,
                                     .auth_data = (char *)cases[i].data };
        json_auto_t *auth = agent_image_auth_configured(&config, cases[i].image);
        g_assert_true(agent_image_auth_check(&config, NULL));
        g_assert_cmpstr(json_string_value(json_object_get(auth, "username")), ==, cases[i].user);
        g_assert_cmpstr(json_string_value(json_object_get(auth, "password")), ==,
                        cases[i].password);
    }
}

static void test_odd_credentials_are_refused(void)
{
    static const char *const cases[][2] = {
        { "other", "{}" },
        { "docker", "{\"r\": {}}" },
        { "docker", "{\"r\": 1}" },
        { "dockercfg", "{\"r\": {\"auth\": \"x\"}}" },
        { "dockercfg", "{\"auths\": {\"r\": {\"auth\": \"dQ==\"}}}" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const AgentConfig config = { .auth_type = (char *)cases[i][0],
                                     .auth_data = (char *)cases[i][1] };
        g_autoptr(GError) error = NULL;
        g_assert_false(agent_image_auth_check(&config, &error));
        g_assert_true(error_is(error, ERROR_CONFIG));
    }
}

/* -- a pull's answer */

static void keep_last(const DockerProgress *progress, gpointer user)
{
    DockerProgress *last = user;

    g_assert_cmpint(progress->current_bytes, >=, last->current_bytes);
    g_assert_cmpuint(progress->layers_done, >=, last->layers_done);
    g_assert_cmpuint(progress->percent, >=, last->percent);
    *last = *progress;
}

static const char pull_lines[] =
    "{\"status\":\"Pulling from a\",\"id\":\"1\"}\r\n"
    "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"aa\"}\r\n"
    "{\"status\":\"Already exists\",\"progressDetail\":{},\"id\":\"bb\"}\r\n"
    "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":50,\"total\":200},\"id\":\"aa\"}\r\n"
    "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":150,\"total\":200},\"id\":\"aa\"}\r\n";
static const char pull_end[] =
    "{\"status\":\"Verifying Checksum\",\"progressDetail\":{},\"id\":\"aa\"}\r\n"
    "{\"status\":\"Extracting\",\"progressDetail\":{\"current\":9,\"total\":200},\"id\":\"aa\"}\r\n"
    "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aa\"}\r\n"
    "{\"status\":\"Digest: sha256:0123\"}\r\n{\"status\":\"Status: Downloaded newer image for a:1\"}";

static void feed(DockerPullReader *reader, const char *text, gsize piece)
{
    for (gsize at = 0; at < strlen(text); at += piece)
        g_assert_true(docker_pull_reader_feed(text + at, MIN(piece, strlen(text) - at), reader, NULL));
}

static void test_progress_of_a_pull(void)
{
    static const gsize pieces[] = { 1, 7, 10000 };

    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        DockerProgress last = { 0 };
        g_autoptr(DockerPullReader) reader = docker_pull_reader_new(keep_last, &last);
        g_autofree char *digest = NULL;
        feed(reader, pull_lines, pieces[i]);
        g_assert_cmpuint(last.layers, ==, 2);
        g_assert_cmpuint(last.layers_done, ==, 1);
        g_assert_cmpuint(last.percent, ==, 75);
        g_assert_cmpint(last.total_bytes, ==, 200);
        g_assert_false(last.unpacking);
        feed(reader, pull_end, pieces[i]);
        g_assert_true(docker_pull_reader_end(reader, &digest, NULL));
        g_assert_cmpuint(last.percent, ==, 100);
        g_assert_cmpuint(last.layers_done, ==, 2);
        g_assert_true(last.unpacking);
        g_assert_cmpstr(digest, ==, "sha256:0123");
    }
}

static void test_a_pull_that_fails_in_the_middle(void)
{
    g_autoptr(DockerPullReader) reader = docker_pull_reader_new(NULL, NULL);
    g_autofree char *digest = NULL;
    g_autoptr(GError) error = NULL;

    feed(reader, "not json\n[]\n{\"status\":3,\"id\":4}\n{\"status\":\"Downloading\",\"id\":\"x\","
                 "\"progressDetail\":{\"current\":-5,\"total\":-1}}\n{\"error\":\"no space left\"}", 3);
    g_assert_false(docker_pull_reader_end(reader, &digest, &error));
    g_assert_true(error_is(error, ERROR_DOCKER));
    g_assert_cmpstr(error->message, ==, "no space left");
    g_assert_null(digest);
}

static void test_a_pull_without_end_is_bounded(void)
{
    g_autoptr(DockerPullReader) reader = docker_pull_reader_new(NULL, NULL);
    g_autoptr(DockerPullReader) other = docker_pull_reader_new(NULL, NULL);
    g_autofree char *line = g_strnfill(100 * 1024, 'x');
    g_autoptr(GError) error = NULL;
    gboolean good = TRUE;

    g_assert_false(docker_pull_reader_feed(line, strlen(line), reader, &error));
    g_assert_true(error_is(error, ERROR_TOO_LARGE));
    g_clear_error(&error);
    for (guint i = 0; good && i < 5000; i++) {
        g_autofree char *text =
            g_strdup_printf("{\"status\":\"Waiting\",\"id\":\"layer%u\"}\n", i);
        good = docker_pull_reader_feed(text, strlen(text), other, &error);
    }
    g_assert_true(error_is(error, ERROR_TOO_LARGE));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/images/names", test_names);
    g_test_add_func("/images/longest-unused-first", test_the_longest_unused_goes_first);
    g_test_add_func("/images/foreign-stay", test_what_others_pulled_stays_unless_told);
    g_test_add_func("/images/ages-on-disk", test_ages_survive_the_disk);
    g_test_add_func("/images/credentials", test_configured_credentials);
    g_test_add_func("/images/odd-credentials", test_odd_credentials_are_refused);
    g_test_add_func("/images/progress", test_progress_of_a_pull);
    g_test_add_func("/images/failed-pull", test_a_pull_that_fails_in_the_middle);
    g_test_add_func("/images/bounded-pull", test_a_pull_without_end_is_bounded);
    return g_test_run();
}
