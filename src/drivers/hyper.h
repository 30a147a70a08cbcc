/*
 * drivers/hyper.h - one libvirt host: its pools, network and the domains that are ours
 *
 * A Hyper is one connection; any thread may use it, but one at a time: libvirt's client up to 10.2
 * crashes when two wait for answers on the same connection (CVE-2024-4418). Every object we make
 * carries this installation: domains in their metadata, pools and networks by a uuid derived from
 * it. An object of our name that does not carry it is somebody else's: never adopted, never changed
 * (error CONFIG). Every act asks "already so?" first and may be repeated.
 * Sizes are bytes or MiB as named, times milliseconds. Callers free results.
 * Errors: HOST_UNREACHABLE (connection broken or not made), HYPERVISOR (libvirt refused), CONFIG.
 * Source: libvirt "Domain XML format", "Network XML format", "Storage pool and volume XML format".
 */
#pragma once

#include <glib.h>

typedef struct Hyper Hyper;

/* What all hosts of an installation have in common. Borrowed by each Hyper: outlives them. */
typedef struct {
    const char *name;         /* prefix of all objects */
    const char *install_uuid; /* of the region's installation */
    const char *bridge;       /* name of the network's bridge on the host */
    const char *cidr;         /* of the network; the first address is the gateway's */
} HyperSettings;

/* -- events: one thread a process runs libvirt's loop */
gboolean hyper_events_start(GError **error);
void hyper_events_stop(void);

/* Called from libvirt's thread: only note it. name is the domain's, or NULL when the connection
 * to uri broke. */
typedef void (*HyperEvent)(const char *uri, const char *name, gpointer user);

/* -- connection */
/* Connects; from then on a libvirt that does not answer for 16 s breaks the connection, in a call
 * or not. Waits without end for one that takes connections and does not answer. settings is
 * borrowed; event may be NULL. */
Hyper *hyper_open(const char *uri, const HyperSettings *settings, HyperEvent event, gpointer user,
                  GError **error);
/* The same without events, by a thread that is left behind after timeout_ms: then HOST_UNREACHABLE.
 * For programs that end soon. */
Hyper *hyper_open_within(const char *uri, const HyperSettings *settings, guint timeout_ms,
                         GError **error);
/* The caller is done with it: closed, unless it goes back to where it came from. */
void hyper_release(Hyper *hyper);
/* Instead of being closed by hyper_release, it is offered to idle: TRUE takes it. NULL: no more. */
typedef gboolean (*HyperIdle)(Hyper *hyper, gpointer user);
void hyper_on_idle(Hyper *hyper, HyperIdle idle, gpointer user);
const char *hyper_uri(const Hyper *hyper);
/* Whether the connection still works, as far as is known without asking. */
gboolean hyper_alive(Hyper *hyper);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hyper, hyper_release)

/* -- the host */
typedef struct {
    char *hostname;
    char *machine;      /* the uuid libvirt tells hosts apart by; NULL: it tells none */
    char *architecture; /* "x86_64", "arm64" */
    guint vcpus;        /* logical processors that are online */
    guint memory_mib;
} HyperFacts;
void hyper_facts_free(HyperFacts *facts);
HyperFacts *hyper_facts(Hyper *hyper, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HyperFacts, hyper_facts_free)

typedef enum { ACCELERATOR_TCG, ACCELERATOR_KVM } Accelerator;
const char *accelerator_name(Accelerator accelerator);
/* Then the UTC second at which a trial began: what is much older was left by a process that died.
 */
#define HYPER_TRIAL_PREFIX "kvm-trial-"
/* Starts a tiny guest under KVM and waits some seconds for what it writes. *ret_reason is one
 * plain line saying why the answer is what it is. */
gboolean hyper_try_kvm(Hyper *hyper, Accelerator *ret_accelerator, char **ret_reason,
                       GError **error);

/* Makes and starts both pools and the network as far as they are missing. */
gboolean hyper_ensure(Hyper *hyper, GError **error);
/* Removes them, with every volume inside; CONFIG while a domain of ours is there. */
gboolean hyper_remove(Hyper *hyper, GError **error);

/* Whether the network's bridge is one of the machine that asks: only then do guests and the control
 * plane reach each other. */
gboolean hyper_network_here(Hyper *hyper, gboolean *ret_here, GError **error);

/* -- volumes in pool NAME */
gboolean hyper_volume_exists(Hyper *hyper, const char *volume, gboolean *ret_exists,
                             GError **error);
/* Copies a file into a raw volume named so; holes stay holes. A volume is complete when its
 * marker volume VOLUME.ok exists; one without is what a killed upload left and is made anew.
 * BAD_IMAGE when the file's SHA-256 (hex) is not the one given: then nothing is left. */
gboolean hyper_upload_file(Hyper *hyper, const char *volume, const char *file, const char *sha256,
                           GError **error);
/* The same for a few bytes of memory, without a marker; an earlier volume is replaced. */
gboolean hyper_upload_bytes(Hyper *hyper, const char *volume, const void *data, gsize length,
                            GError **error);
gboolean hyper_upload_complete(Hyper *hyper, const char *volume, gboolean *ret_complete,
                               GError **error);
/* A qcow2 volume of size bytes whose backing file is the complete volume base. An earlier one is
 * replaced: call it only while no guest can have written there. */
gboolean hyper_overlay(Hyper *hyper, const char *volume, const char *base, const char *base_format,
                       guint64 bytes, GError **error);
/* Absent is fine. Deletes the marker first. */
gboolean hyper_volume_delete(Hyper *hyper, const char *volume, GError **error);
/* Names of all volumes of pool NAME, and of NAME-console; NULL-terminated. */
char **hyper_volumes(Hyper *hyper, gboolean console, GError **error);

/* -- addresses: DHCP host entries of network NAME-net; the gateway's own is one of them */
#define HYPER_GATEWAY_MAC "02:00:00:00:00:01"
/* The bridge has this one too: guests ask for their metadata there. */
#define HYPER_METADATA_ADDRESS "169.254.169.254"
gboolean hyper_address_add(Hyper *hyper, const char *mac, const char *ip, GError **error);
/* Absent is fine. */
gboolean hyper_address_remove(Hyper *hyper, const char *mac, GError **error);
/* mac -> ip of all entries. */
GHashTable *hyper_addresses(Hyper *hyper, GError **error);

/* -- domains */
typedef struct {
    const char *name; /* the instance id; the domain is NAME-ID */
    const char *uuid;
    guint vcpus;
    guint memory_mib;
    Accelerator accelerator;
    const char *architecture;
    const char *mac;
    const char *ip;   /* the guest may send from no other; NULL: from any */
    const char *disk; /* volumes */
    const char *seed;
    const char *kernel; /* NULL: boots from its disk */
    const char *initrd;
    const char *cmdline;
} HyperDomain;

typedef enum { DOMAIN_ABSENT, DOMAIN_OFF, DOMAIN_RUNNING } DomainState;
/* How a domain that is off came to be so. */
typedef enum { OFF_UNKNOWN, OFF_SHUTDOWN, OFF_DESTROYED, OFF_CRASHED, OFF_FAILED } DomainOff;

typedef struct {
    DomainState state;
    DomainOff off;
} DomainSeen;

/* Looks for the domain by uuid. CONFIG when one of that uuid or name is not ours. */
gboolean hyper_see(Hyper *hyper, const char *name, const char *uuid, DomainSeen *ret_seen,
                   GError **error);
/* Volumes must exist. A domain that is already defined is left as it is. */
gboolean hyper_define(Hyper *hyper, const HyperDomain *domain, GError **error);
gboolean hyper_start(Hyper *hyper, const char *uuid, GError **error);
/* Asks the guest to power off (ACPI); it may not listen. */
gboolean hyper_shutdown(Hyper *hyper, const char *uuid, GError **error);
/* Boots it anew at once, as a machine's reset button does. */
gboolean hyper_reset(Hyper *hyper, const char *uuid, GError **error);
/* Powers off at once. Absent or off is fine. */
gboolean hyper_destroy(Hyper *hyper, const char *uuid, GError **error);
/* Takes the seed disk out of what the domain is started with from now on, and deletes its volume; a
 * guest that runs keeps what it has open. Absent is fine. */
gboolean hyper_seed_remove(Hyper *hyper, const char *uuid, const char *volume, GError **error);
/* Absent is fine. */
gboolean hyper_undefine(Hyper *hyper, const char *uuid, GError **error);

typedef struct {
    char *name; /* without the installation's prefix: an instance id */
    char *uuid;
    DomainState state;
} HyperListed;
void hyper_listed_free(HyperListed *listed);
/* All domains that are ours, by one listing: HyperListed*. */
GPtrArray *hyper_list(Hyper *hyper, GError **error);

/* -- what a guest wrote; the newest at most max bytes, "" when there is nothing */
typedef enum { GUEST_CONSOLE, GUEST_HOST_KEY } GuestFile;
char *hyper_guest_file(Hyper *hyper, const char *name, GuestFile which, gsize max,
                       gsize *ret_length, GError **error);
/* Removes both. Absent is fine. */
gboolean hyper_guest_files_delete(Hyper *hyper, const char *name, GError **error);
