/* Admission, the default network, filters' patterns and user data: pure parts of EC2. */
#include "base/errors.h"
#include "model/capacity.h"
#include "model/default_network.h"
#include "model/glob.h"
#include "model/user_data.h"

#include <string.h>

/* -- admission */

static Host a_host(const char *id, gint share, gint vcpus, gint memory_mib)
{
    return (Host){ .id = (char *)id,
                   .zone_name = (char *)"home-1a",
                   .uri = (char *)"test:///default",
                   .share_percent = share,
                   .desired = (char *)"active",
                   .state = (char *)"up",
                   .vcpus = vcpus,
                   .memory_mib = memory_mib,
                   .architecture = (char *)"x86_64",
                   .cpu_overcommit = 4,
                   .memory_overcommit = 1,
                   .reserve_mib = 1024 };
}

static void test_share_reserve_and_overcommit(void)
{
    static const struct {
        gint share, vcpus, memory, reserve;
        double cpu, ram;
        gint64 holds_vcpus, holds_memory;
    } cases[] = {
        { 100, 2, 4096, 1024, 4, 1, 8, 3072 }, { 50, 2, 4096, 1024, 4, 1, 4, 1536 },
        { 33, 2, 4096, 1024, 4, 1, 2, 1013 },  { 100, 1, 512, 1024, 4, 1, 4, 0 },
        { 70, 10, 2024, 1024, 0.1, 1.5, 0, 1050 }, { 70, 10, 2024, 1024, 1, 1, 7, 700 },
    };

    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        Host host = a_host("h-1", cases[n].share, cases[n].vcpus, cases[n].memory);
        host.reserve_mib = cases[n].reserve;
        host.cpu_overcommit = cases[n].cpu;
        host.memory_overcommit = cases[n].ram;
        g_assert_cmpint(capacity_vcpus(&host), ==, cases[n].holds_vcpus);
        g_assert_cmpint(capacity_memory_mib(&host), ==, cases[n].holds_memory);
    }
}

static void test_spreads_to_the_least_loaded(void)
{
    Host a = a_host("h-a", 100, 4, 5120), b = a_host("h-b", 100, 4, 5120);
    Host *hosts[] = { &a, &b };
    CapacityNeed need = { "x86_64", 1, 1024, FALSE };
    guint choice[9];

    a.used_memory_mib = 1024;
    g_assert_cmpuint(capacity_room(hosts, 2, &need, 100), ==, 7);
    g_assert_cmpuint(capacity_place(hosts, 2, &need, 9, choice), ==, 7);
    static const guint expected[] = { 1, 0, 1, 0, 1, 0, 1 };
    for (guint n = 0; n < G_N_ELEMENTS(expected); n++)
        g_assert_cmpuint(choice[n], ==, expected[n]);
    g_assert_cmpint(a.used_memory_mib, ==, capacity_memory_mib(&a));
    g_assert_cmpint(b.used_memory_mib, ==, capacity_memory_mib(&b));
}

static void test_says_why_not(void)
{
    Host host = a_host("h-1", 100, 1, 2048);
    CapacityNeed need = { "x86_64", 8, 4096, FALSE };
    static const struct {
        const char *desired, *state, *architecture, *why;
    } cases[] = {
        { "draining", "up", "x86_64", "is draining" },
        { "active", "down", "x86_64", "is down" },
        { "active", "up", "arm64", "is arm64, x86_64 needed" },
        { "active", "up", "x86_64",
          "has 4 of 4 vCPUs free, 8 needed and has 1024 of 1024 MiB free, 4096 needed" },
    };

    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        host.desired = (char *)cases[n].desired;
        host.state = (char *)cases[n].state;
        host.architecture = (char *)cases[n].architecture;
        g_autofree char *why = capacity_refusal(&host, &need);
        g_assert_cmpstr(why, ==, cases[n].why);
    }
    need.vcpus = 4;
    need.memory_mib = 1024;
    g_assert_null(capacity_refusal(&host, &need));
    host.network = (char *)"apart";
    g_assert_null(capacity_refusal(&host, &need));
    need.agent = TRUE;
    g_autofree char *why = capacity_refusal(&host, &need);
    g_assert_nonnull(strstr(why, "no container agent reaches the API"));
    g_assert_cmpuint(capacity_room((Host *const[]){ &host }, 1, &need, 9), ==, 0);
}

/* However instances come and go, no host ever holds more than it may. */
static void test_never_oversells(void)
{
    for (guint round = 0; round < 2000; round++) {
        Host rows[4];
        Host *hosts[4];
        guint choice[64];
        for (guint n = 0; n < 4; n++) {
            rows[n] = a_host("h", g_test_rand_int_range(1, 101), g_test_rand_int_range(0, 64),
                             g_test_rand_int_range(0, 65536));
            rows[n].used_vcpus = g_test_rand_int_range(0, 8);
            hosts[n] = &rows[n];
        }
        CapacityNeed need = { "x86_64", g_test_rand_int_range(1, 9),
                              g_test_rand_int_range(64, 8192), FALSE };
        guint room = capacity_room(hosts, 4, &need, 64);
        g_assert_cmpuint(capacity_place(hosts, 4, &need, 64, choice), ==, room);
        for (guint n = 0; n < 4; n++) {
            gint64 over = rows[n].used_vcpus - capacity_vcpus(&rows[n]);
            g_assert_true(over <= 0 || rows[n].used_memory_mib == 0);
            g_assert_cmpint(rows[n].used_memory_mib, <=, capacity_memory_mib(&rows[n]));
        }
    }
}

/* -- the default network */

static void test_subnets_by_letter(void)
{
    g_autoptr(DefaultNetwork) net =
        default_network_new("123456789012", "home-1", "172.31.7.9/16", NULL);
    g_autoptr(DefaultSubnet) a = default_subnet_new(net, "123456789012", "home-1", "home-1a", NULL);
    g_autoptr(DefaultSubnet) c = default_subnet_new(net, "123456789012", "home-1", "home-1c", NULL);
    g_autoptr(DefaultSubnet) again =
        default_subnet_new(net, "123456789012", "home-1", "home-1c", NULL);
    g_autoptr(DefaultSubnet) other =
        default_subnet_new(net, "999999999999", "home-1", "home-1c", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *gateway = default_network_gateway(net);

    g_assert_cmpstr(net->cidr, ==, "172.31.0.0/16");
    g_assert_cmpstr(gateway, ==, "172.31.0.1");
    g_assert_cmpstr(a->cidr, ==, "172.31.0.0/20");
    g_assert_cmpstr(c->cidr, ==, "172.31.32.0/20");
    g_assert_cmpint(c->first, ==, 4);
    g_assert_cmpint(c->last, ==, 4094);
    g_assert_cmpstr(c->id, ==, again->id);
    g_assert_cmpstr(c->id, !=, other->id);
    g_assert_null(default_subnet_new(net, "123456789012", "home-1", "home-1q", &error));
    g_assert_true(error_is(error, ERROR_INVALID_PARAMETER));
}

static void test_refuses_other_blocks(void)
{
    static const char *const blocks[] = { "", "172.31.0.0", "172.31.0.0/25", "10.0.0.0/7",
                                          "x/16", "1.2.3/16", "172.31.0.0/16x" };

    for (gsize n = 0; n < G_N_ELEMENTS(blocks); n++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(default_network_new("1", "home-1", blocks[n], &error));
        g_assert_true(error_is(error, ERROR_CONFIG));
    }
}

static void test_names_of_addresses(void)
{
    g_autofree char *mac = default_network_mac("172.31.0.4");
    g_autofree char *name = default_network_dns_name("172.31.0.4", "home-1");
    g_autofree char *first = default_network_dns_name("172.31.0.4", "us-east-1");

    g_assert_cmpstr(mac, ==, "06:be:ac:1f:00:04");
    g_assert_cmpstr(name, ==, "ip-172-31-0-4.home-1.compute.internal");
    g_assert_cmpstr(first, ==, "ip-172-31-0-4.ec2.internal");
}

static void test_zone_ids(void)
{
    static const char *const cases[][2] = { { "home-1a", "ho1-az1" },
                                            { "us-east-1b", "use1-az2" },
                                            { "ap-southeast-2c", "aps2-az3" } };

    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autofree char *id = zone_id_for(cases[n][0]);
        g_assert_cmpstr(id, ==, cases[n][1]);
    }
}

/* -- patterns */

static void test_patterns(void)
{
    static const struct {
        const char *pattern, *text;
        gboolean matches;
    } cases[] = {
        { "", "", TRUE },          { "", "a", FALSE },         { "*", "", TRUE },
        { "*", "anything", TRUE }, { "a*", "abc", TRUE },      { "*c", "abc", TRUE },
        { "a*c", "abbbc", TRUE },  { "a*c", "abbbd", FALSE },  { "*b*", "abc", TRUE },
        { "?", "a", TRUE },        { "?", "", FALSE },         { "a?c", "abc", TRUE },
        { "?", "\303\266", TRUE }, { "a\\*", "a*", TRUE },     { "a\\*", "ab", FALSE },
        { "a\\?", "a?", TRUE },    { "\\", "\\", TRUE },       { "ABC", "abc", FALSE },
        { "*a*a*a*b", "aaaaaaaaaaaaaaaa", FALSE },             { "a*b*c", "aXbYbZc", TRUE },
    };

    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_test_message("%s ~ %s", cases[n].pattern, cases[n].text);
        g_assert_cmpint(glob_match(cases[n].pattern, cases[n].text), ==, cases[n].matches);
    }
}

static void test_cluster_of_user_data(void)
{
    static const char *const cases[][2] = {
        { "", NULL },
        { "#!/bin/bash\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n", "web" },
        { "ECS_CLUSTER=web", "web" },
        { "cat <<X\nECS_CLUSTER=one\nECS_CLUSTER=\"two-2\"\nX", "two-2" },
        { "# ECS_CLUSTER=no", NULL },
        { "MY_ECS_CLUSTER=no", NULL },
        { "ECS_CLUSTER=", NULL },
        { "ECS_CLUSTER=$(hostname)", NULL },
    };

    for (gsize n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_autofree char *name = user_data_cluster(cases[n][0], strlen(cases[n][0]));
        g_assert_cmpstr(name, ==, cases[n][1]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/capacity/share-reserve-and-overcommit", test_share_reserve_and_overcommit);
    g_test_add_func("/capacity/spreads-to-the-least-loaded", test_spreads_to_the_least_loaded);
    g_test_add_func("/capacity/says-why-not", test_says_why_not);
    g_test_add_func("/capacity/never-oversells", test_never_oversells);
    g_test_add_func("/network/subnets-by-letter", test_subnets_by_letter);
    g_test_add_func("/network/refuses-other-blocks", test_refuses_other_blocks);
    g_test_add_func("/network/names-of-addresses", test_names_of_addresses);
    g_test_add_func("/network/zone-ids", test_zone_ids);
    g_test_add_func("/glob/patterns", test_patterns);
    g_test_add_func("/user-data/cluster", test_cluster_of_user_data);
    return g_test_run();
}
