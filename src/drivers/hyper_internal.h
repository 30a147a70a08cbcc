/*
 * drivers/hyper_internal.h - what the files of the libvirt driver share; nobody else includes it
 *
 * Errors: hyper_fail turns libvirt's last error of this thread into ours.
 */
#pragma once

#include "drivers/hyper.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#define HYPER_METADATA_URI "urn:berth:owner:1"

struct Hyper {
    virConnectPtr conn;
    char *uri;
    const HyperSettings *settings;
    int event_id; /* -1: none */
    HyperIdle idle;
    gpointer idle_user;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virNetwork, virNetworkFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStoragePool, virStoragePoolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageVol, virStorageVolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStream, virStreamFree)

/* What was attempted, then libvirt's reason. Returns FALSE. */
gboolean hyper_fail(const Hyper *hyper, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* Whether libvirt's last error of this thread has this code (VIR_ERR_NO_DOMAIN ...). */
gboolean hyper_last_is(int code);
/* A uuid that stands for this installation and these words; lower case. */
char *hyper_derived_uuid(const HyperSettings *settings, const char *what);

/* Pool NAME or NAME-console, looked up and checked to be ours. */
virStoragePoolPtr hyper_pool(Hyper *hyper, gboolean console, GError **error);
virNetworkPtr hyper_network(Hyper *hyper, GError **error);
gboolean hyper_pools_ensure(Hyper *hyper, GError **error);
gboolean hyper_pools_remove(Hyper *hyper, GError **error);
gboolean hyper_network_ensure(Hyper *hyper, GError **error);
gboolean hyper_network_remove(Hyper *hyper, GError **error);
/* The path of a volume on the host; NULL with NOT_FOUND when it is absent. */
char *hyper_volume_path(Hyper *hyper, const char *volume, GError **error);
/* Where the console pool keeps a guest's file on the host. */
char *hyper_guest_path(const HyperSettings *settings, const char *name, GuestFile which);
/* A bootable disk that writes hyper_trial_words on its serial line when it got through
 * (hyper_trial.c). */
guint8 *hyper_trial_image(gsize *ret_length);
extern const char hyper_trial_words[];
