/* agent/role: the metadata service's credentials, and every way in which it can have none */
#include "agent/role.h"
#include "base/clock.h"
#include "base/errors.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEYS                                                                                       \
    "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIAEXAMPLE\","                 \
    "\"SecretAccessKey\":\"secret\",\"Token\":\"token\",\"Expiration\":\"2030-01-02T03:04:05Z\"}"

typedef struct {
    const char *why;
    int token_status, role_status, keys_status;
    const char *role;
    const char *keys;
    const char *error; /* NULL: credentials come */
} RoleCase;

static const RoleCase cases[] = {
    { "all is there", 200, 200, 200, "ecsInstanceRole\n", KEYS, NULL },
    { "no token", 403, 200, 200, "r", KEYS, "PUT /latest/api/token with status 403" },
    { "no role", 200, 404, 200, "", KEYS, "with status 404" },
    { "an empty role", 200, 200, 200, "\n", KEYS, "has no role" },
    { "two roles", 200, 200, 200, "one\ntwo", KEYS, "has no role" },
    { "a role that leads elsewhere", 200, 200, 200, "../../user-data", KEYS, "has no role" },
    { "no credentials", 200, 200, 500, "r", "", "with status 500" },
    { "refused credentials", 200, 200, 200, "r",
      "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\","
      "\"Token\":\"c\",\"Expiration\":\"2030-01-02T03:04:05Z\"}", "AssumeRoleUnauthorizedAccess" },
    { "half of them", 200, 200, 200, "r", "{\"Code\":\"Success\",\"AccessKeyId\":\"a\"}", "not what was expected" },
    { "no JSON", 200, 200, 200, "r", "<html>", "not what was expected" },
    { "an end that is no time", 200, 200, 200, "r",
      "{\"Code\":\"Success\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"Token\":\"c\","
      "\"Expiration\":\"soon\"}", "no known time" },
};

typedef struct {
    int listener;
    const RoleCase *now;
} Service;

static void answer(int fd, int status, const char *body)
{
    g_autofree char *text = g_strdup_printf(
        "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status, strlen(body), body);

    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
}

static void serve(const RoleCase *now, int fd)
{
    char head[2048] = "";
    gsize length = 0;

    while (!strstr(head, "\r\n\r\n")) {
        ssize_t got = read(fd, head + length, sizeof head - 1 - length);
        if (got <= 0)
            return;
        length += (gsize)got;
    }
    if (g_str_has_prefix(head, "PUT /latest/api/token ")) {
        g_assert_nonnull(strstr(head, "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n"));
        answer(fd, now->token_status, "a-token");
        return;
    }
    g_assert_nonnull(strstr(head, "X-aws-ec2-metadata-token: a-token\r\n"));
    if (g_str_has_prefix(head, "GET /latest/meta-data/iam/security-credentials/ "))
        answer(fd, now->role_status, now->role);
    else
        answer(fd, now->keys_status, now->keys);
}

static void *service_main(void *user)
{
    Service *service = user;
    int fd;

    while ((fd = accept(service->listener, NULL, NULL)) >= 0) {
        serve(g_atomic_pointer_get(&service->now), fd);
        close(fd);
    }
    return NULL;
}

static void test_fetch(void)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof here;
    Service service = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), cases };
    pthread_t thread;

    g_assert_cmpint(bind(service.listener, (struct sockaddr *)&here, sizeof here), ==, 0);
    g_assert_cmpint(listen(service.listener, 5), ==, 0);
    g_assert_cmpint(getsockname(service.listener, (struct sockaddr *)&here, &size), ==, 0);
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d", ntohs(here.sin_port));
    g_assert_cmpint(pthread_create(&thread, NULL, service_main, &service), ==, 0);
    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_auto(RoleKeys) keys = { 0 };
        g_autoptr(GError) error = NULL;
        g_atomic_pointer_set(&service.now, &cases[n]);
        g_test_message("%s", cases[n].why);
        gboolean done = role_keys_fetch(url, &keys, &error);
        g_assert_true(done == (cases[n].error == NULL));
        if (done) {
            g_assert_cmpstr(keys.access_key_id, ==, "ASIAEXAMPLE");
            g_assert_cmpstr(keys.secret, ==, "secret");
            g_assert_cmpstr(keys.token, ==, "token");
            g_assert_cmpint(keys.expires_us, ==, G_GINT64_CONSTANT(1893553445) * CLOCK_SECOND_US);
        } else {
            g_test_message("%s", error->message);
            g_assert_nonnull(strstr(error->message, cases[n].error));
            g_assert_null(keys.secret);
        }
    }
    shutdown(service.listener, SHUT_RDWR); /* ends accept */
    pthread_join(thread, NULL);
    close(service.listener);
}

static void test_nobody_answers(void)
{
    g_auto(RoleKeys) keys = { 0 };
    g_autoptr(GError) error = NULL;

    g_assert_false(role_keys_fetch("http://127.0.0.1:1", &keys, &error));
    g_assert_true(error_is(error, ERROR_HTTP_CLIENT));
}

static void test_renewal(void)
{
    const gint64 hour = 3600 * CLOCK_SECOND_US;
    const RoleKeys keys = { .expires_us = 10 * hour };

    g_assert_cmpint(role_keys_renew_us(&keys, 4 * hour), ==, 9 * hour);
    g_assert_cmpint(role_keys_renew_us(&keys, 10 * hour), ==, 10 * hour + CLOCK_SECOND_US);
    g_assert_cmpint(role_keys_renew_us(&keys, 11 * hour), ==, 11 * hour + CLOCK_SECOND_US);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/role/credentials come, or a reason", test_fetch);
    g_test_add_func("/role/nobody answers", test_nobody_answers);
    g_test_add_func("/role/renewed in their last sixth", test_renewal);
    return g_test_run();
}
