/*
 * model/pool.h - zones and their hosts, as admission and the admin actions see them
 *
 * A host row is a share of one libvirt host; vcpus and memory_mib are of the whole host. What is
 * used is derived from the instances that hold it. Memory is MiB, times UTC microseconds.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *zone_name;
    char *zone_id; /* "ho1-az1" */
    char *state;   /* "available", "impaired", "unavailable" */
    double cpu_overcommit;
    double memory_overcommit;
    gint reserve_mib; /* kept from each whole host */
    gint64 created_us;
} Zone;

typedef struct {
    char *id;
    char *zone_name;
    char *uri;
    gint share_percent;
    char *desired; /* "active", "draining", "removed" */
    gint64 check_generation;
    gint64 seen_generation;
    char *state; /* "unknown", "up", "down", "removed" */
    char *hostname;
    gint vcpus;
    gint memory_mib;
    char *architecture;
    char *accelerator; /* "kvm", "tcg" */
    char *fault;
    char *network; /* of its guests: "here", "apart" (not reached from the control plane) */
    gint64 seen_us;
    gint64 unreachable_us; /* since when it is not reached; 0: it answers, well or not */
    gint64 lost_us;        /* when it was given up for good; 0: it was not */
    gint64 created_us;
    /* of its zone */
    double cpu_overcommit;
    double memory_overcommit;
    gint reserve_mib;
    /* held by its instances */
    gint64 used_vcpus;
    gint64 used_memory_mib;
    gint instances; /* that have not ended */
} Host;

void zone_free(Zone *zone);
void host_free(Host *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Zone, zone_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

/* "ho1-az1" for "home-1a": the form of Amazon's zone ids. Caller frees. */
char *zone_id_for(const char *zone_name);
