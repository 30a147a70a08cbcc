/* No text can become an element of what libvirt is given: every value comes back as it went in. */
#include "drivers/hyper_xml.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

#define PLAIN "Plain"

static const char *const hostile[] = {
    "\"><evil/><a b=\"",
    "'/><evil/>",
    "</cmdline></os><qemu:commandline><qemu:arg value='-s'/></qemu:commandline>",
    "]]><!-- --><![CDATA[ <evil/> ]]>",
    "&lt;evil/&gt; &amp; &#60;evil/&#62; &unknown;",
    "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "$(reboot) `reboot` %s %n \\\" \xc3\xa9 \xf0\x9f\x92\xa5",
    " a b ",
};

static void flatten(const xmlNode *node, const char *path, GPtrArray *out)
{
    for (; node; node = node->next) {
        if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
            if (!xmlIsBlankNode(node))
                g_ptr_array_add(out, g_strdup_printf("%s=%s", path, (char *)node->content));
            continue;
        }
        g_autofree char *here = g_strdup_printf("%s/%s", path, (const char *)node->name);
        g_assert_cmpint(node->type, ==, XML_ELEMENT_NODE);
        g_assert_cmpstr((const char *)node->name, !=, "commandline");
        g_ptr_array_add(out, g_strdup(here));
        for (const xmlAttr *a = node->properties; a; a = a->next) {
            g_autofree char *name = g_strdup_printf("%s@%s", here, (const char *)a->name);
            xmlChar *value = xmlNodeListGetString(node->doc, a->children, 1);
            g_ptr_array_add(out, g_strdup_printf("%s=%s", name, value ? (char *)value : ""));
            xmlFree(value);
        }
        flatten(node->children, here, out);
    }
}

/* Paths of all elements and the values of all attributes and texts; takes xml. */
static GPtrArray *facts_of(char *xml)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    xmlDoc *doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);

    g_assert_nonnull(doc);
    g_assert_null(doc->intSubset);
    flatten(xmlDocGetRootElement(doc), "", out);
    xmlFreeDoc(doc);
    g_free(xml);
    return out;
}

/* The same facts, but for the text that stands in for PLAIN. */
static void assert_same(GPtrArray *plain, GPtrArray *with, const char *text)
{
    g_assert_cmpuint(with->len, ==, plain->len);
    for (guint n = 0; n < plain->len; n++) {
        g_auto(GStrv) parts = g_strsplit(plain->pdata[n], PLAIN, -1);
        g_autofree char *expected = g_strjoinv(text, parts);
        g_assert_cmpstr(with->pdata[n], ==, expected);
    }
    g_ptr_array_unref(plain);
    g_ptr_array_unref(with);
}

static char *domain_xml(const char *text)
{
    HyperSettings settings = { text, text, text, "10.0.0.0/24" };
    HyperDomain domain = { .name = text, .uuid = text, .vcpus = 2, .memory_mib = 512,
                           .architecture = text, .mac = text, .cmdline = text };
    HyperPaths paths = { text, text, text, text, text, text };

    return hyper_domain_xml(&settings, &domain, &paths);
}

static char *pool_xml(const char *text)
{
    return hyper_pool_xml(text, text, text);
}

static char *volume_xml(const char *text)
{
    return hyper_volume_xml(text, "qcow2", 1 << 20, text, text);
}

static char *network_xml(const char *text)
{
    HyperSettings settings = { text, text, text, "10.0.0.0/24" };

    return hyper_network_xml(&settings, text, text, NULL);
}

static char *host_xml(const char *text)
{
    return hyper_dhcp_host_xml(text, text);
}

static char *trial_xml(const char *text)
{
    HyperSettings settings = { text, text, text, "10.0.0.0/24" };

    return hyper_trial_xml(&settings, text, text, text);
}

static void test_values_come_back(void)
{
    static char *(*const writers[])(const char *) = { domain_xml,  pool_xml, volume_xml,
                                                      network_xml, host_xml, trial_xml };

    for (gsize w = 0; w < G_N_ELEMENTS(writers); w++)
        for (gsize n = 0; n < G_N_ELEMENTS(hostile); n++)
            assert_same(facts_of(writers[w](PLAIN)), facts_of(writers[w](hostile[n])), hostile[n]);
}

static void test_owner_comes_back(void)
{
    for (gsize n = 0; n < G_N_ELEMENTS(hostile); n++) {
        g_autofree char *xml = domain_xml(hostile[n]), *name = NULL;
        g_autofree char *owner = hyper_domain_owner(xml, &name);
        g_assert_cmpstr(owner, ==, hostile[n]);
        g_assert_cmpstr(name, ==, hostile[n]);
    }
}

static void test_no_command_line(void)
{
    g_autofree char *xml = domain_xml(PLAIN);

    g_assert_null(strstr(xml, "qemu:"));
    g_assert_null(strstr(xml, "libvirt.org/schemas/domain/qemu"));
    g_assert_nonnull(strstr(xml, "<cmdline>" PLAIN "</cmdline>"));
}

/* As libvirt 9.0 tells them, and what is no answer. */
static void test_a_host_is_told_from_another(void)
{
    static const char *const none[] = { "", "<capabilities/>", "<network><bridge name='b'/>", "<a><host/></a>" };
    g_autofree char *uuid = hyper_capabilities_host(
        "<capabilities><host><uuid>c9b149b2-9d19-4287-9690-b93d7703250c</uuid><cpu/></host>"
        "<guest><uuid>no</uuid></guest></capabilities>");
    g_autofree char *mac = hyper_network_mac(
        "<network><name>n</name><bridge name='b'/><mac address='52:54:00:82:32:37'/><ip><dhcp>"
        "<host mac='02:00:00:00:00:01' ip='10.0.0.1'/></dhcp></ip></network>");

    g_assert_cmpstr(uuid, ==, "c9b149b2-9d19-4287-9690-b93d7703250c");
    g_assert_cmpstr(mac, ==, "52:54:00:82:32:37");
    for (gsize n = 0; n < G_N_ELEMENTS(none); n++) {
        g_assert_null(hyper_capabilities_host(none[n]));
        g_assert_null(hyper_network_mac(none[n]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyper/values come back as they went in", test_values_come_back);
    g_test_add_func("/hyper/the owner comes back", test_owner_comes_back);
    g_test_add_func("/hyper/no command line of QEMU", test_no_command_line);
    g_test_add_func("/hyper/a host is told from another", test_a_host_is_told_from_another);
    return g_test_run();
}
