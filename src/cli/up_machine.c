#include "base/crypto.h"
#include "base/errors.h"
#include "cli/local.h"
#include "cli/process.h"
#include "cli/up.h"
#include "drivers/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEV_KVM "/dev/kvm"

/* -- programs: what we run, and the Debian package that brings it */
static const struct {
    const char *program;
    const char *package;
} needed[] = {
    { "libvirtd", "libvirt-daemon-system" },
    { "virsh", "libvirt-clients" },
    { "qemu-system-x86_64", "qemu-system-x86" },
    { "qemu-img", "qemu-utils" },
    { "dnsmasq", "dnsmasq-base" },
    { "iptables", "iptables" },
    { "ip", "iproute2" },
    { "docker-registry", "docker-registry" },
    { "skopeo", "skopeo" },
    { "ssh", "openssh-client" },
    { "xorriso", "xorriso" },
};

gboolean up_programs(Up *up, GError **error)
{
    g_autoptr(GString) missing = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(needed); i++) {
        g_autofree char *path = process_find(needed[i].program);
        if (!path)
            g_string_append_printf(missing, " %s", needed[i].package);
    }
    if (strcmp(up->config->database, "embedded") == 0 &&
        !g_file_test("/usr/lib/postgresql", G_FILE_TEST_IS_DIR))
        g_string_append(missing, " postgresql");
    if (missing->len > 0)
        return fail(error, COMMAND, "packages are missing; install them: sudo apt-get install%s",
                    missing->str);
    up_found(up, "installed");
    return TRUE;
}

/* -- the user that PostgreSQL and the registry run as */
gboolean up_user(Up *up, GError **error)
{
    const Install *in = up->in;
    const struct passwd *entry = getpwnam(in->user);
    g_autofree char *comment = g_strdup_printf("Berth %s", up->config->name);
    const char *const add[] = { "useradd",      "--system",
                                "--user-group", "--no-create-home",
                                "--home-dir",   up->config->state_dir,
                                "--shell",      "/usr/sbin/nologin",
                                "--comment",    comment,
                                in->user,       NULL };

    up_found(up, "%s", in->user);
    if (!entry) {
        up_did(up, "made %s", in->user);
        return process_run(add, NULL, NULL, error);
    }
    if (strcmp(entry->pw_dir, up->config->state_dir) != 0)
        return fail(error, CONFIG,
                    "user \"%s\" is not of this installation (its home is %s); give it another "
                    "name in %s: [berth] name",
                    in->user, entry->pw_dir, up->config->file);
    return TRUE;
}

/* -- certificates */
static void add_host(GPtrArray *names, const char *host)
{
    struct in6_addr address;
    gboolean ip =
        inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;

    g_ptr_array_add(names, g_strdup_printf("%s:%s", ip ? "IP" : "DNS", host));
}

/* Every name a client may call this machine by; stock agents ask for "HOST:PORT" too. */
static GPtrArray *server_names(const Config *config, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *gateway = install_gateway(config->network_cidr, error);
    static const char *const services[] = { "ec2", "ecs", "sts", "iam", "berth" };
    char host[256] = "localhost";

    if (!gateway)
        return NULL;
    add_host(names, "localhost");
    add_host(names, "127.0.0.1");
    add_host(names, config->advertise);
    add_host(names, gateway);
    gethostname(host, sizeof host - 1);
    add_host(names, host);
    for (gsize i = 0; i < G_N_ELEMENTS(services); i++)
        g_ptr_array_add(names,
                        g_strdup_printf("DNS:%s.%s.amazonaws.com", services[i], config->region));
    g_ptr_array_add(names, g_strdup_printf("DNS:%s:%u", config->advertise, config->channel_port));
    g_ptr_array_add(names, g_strdup_printf("DNS:%s:%u", config->advertise, config->listen_port));
    g_ptr_array_add(names, NULL);
    return g_steal_pointer(&names);
}

/* The registry runs as our user and reads the same key. */
static gboolean share_key(const Install *in, GError **error)
{
    const struct passwd *owner = getpwnam(in->user);

    if (!owner || chown(in->server_key, 0, owner->pw_gid) < 0 || chmod(in->server_key, 0640) < 0)
        return fail(error, CONFIG, "cannot let %s read \"%s\": %s", in->user, in->server_key,
                    g_strerror(errno));
    return TRUE;
}

/* Makes it, unless there is one that is good for all names. */
static gboolean server_certificate(Up *up, CertificateKey kind, const char *const *names,
                                   const char *cert_file, const char *key_file, GError **error)
{
    const Install *in = up->in;

    if (certificate_covers(in->ca_cert, names, cert_file, key_file))
        return TRUE;
    if (!up->changed)
        up_did(up, "made a new server certificate");
    return certificate_make_server(in->ca_cert, in->ca_key, kind, names, cert_file, key_file,
                                   error);
}

gboolean up_certificates(Up *up, GError **error)
{
    const Install *in = up->in;
    g_autofree char *authority = g_strdup_printf("Berth %s authority", up->config->name);
    g_autoptr(GPtrArray) names = server_names(up->config, error);
    guint8 key[CRYPTO_KEY_SIZE];

    if (!names || !crypto_load_key(in->master_key, TRUE, key, error))
        return FALSE;
    explicit_bzero(key, sizeof key);
    up_found(up, "%s", in->ca_cert);
    if (!certificate_authority_exists(in->ca_cert, in->ca_key)) {
        up_did(up, "made authority %s", in->ca_cert);
        if (!certificate_make_authority(authority, in->ca_cert, in->ca_key, error))
            return FALSE;
    }
    const char *const *list = (const char *const *)names->pdata;
    return server_certificate(up, CERTIFICATE_RSA, list, in->server_cert, in->server_key, error) &&
           server_certificate(up, CERTIFICATE_P256, list, in->channel_cert, in->channel_key,
                              error) &&
           share_key(in, error);
}

/* -- libvirt */

/* Where no udev gives /dev/kvm to group kvm, QEMU's user cannot open it, and libvirt, which then
 * trusts no earlier answer, asks QEMU anew about everything at each call: seconds each. Returns
 * whether it was changed; one that cannot be costs that time and nothing else. */
static gboolean kvm_open_to_group(void)
{
    const struct group *kvm = getgrnam("kvm");
    struct stat now;

    if (!kvm || stat(DEV_KVM, &now) < 0 || !S_ISCHR(now.st_mode) || (now.st_mode & 0006) == 0006 ||
        (now.st_gid == kvm->gr_gid && (now.st_mode & 0060) == 0060))
        return FALSE;
    return chown(DEV_KVM, (uid_t)-1, kvm->gr_gid) == 0 &&
           chmod(DEV_KVM, (now.st_mode & 07777) | 0660) == 0;
}

gboolean up_libvirt(Up *up, GError **error)
{
    const char *how = "runs";

    if (strcmp(up->config->libvirt_uri, "qemu:///system") != 0) {
        up_found(up, "%s, not ours to start", up->config->libvirt_uri);
        return TRUE;
    }
    gboolean opened = kvm_open_to_group();
    gboolean runs = local_libvirt_runs();
    if (runs && !opened) {
        up_found(up, "%s", how);
        return TRUE;
    }
    if (!runs && !local_libvirt_start(up->in, &how, error))
        return FALSE;
    up_did(up, "%s%s", how, opened ? "; let group kvm use " DEV_KVM ", as udev would" : "");
    return TRUE;
}
