/*
 * cli/up.h - the steps of "berth up"
 *
 * Each step looks first and does only what is missing, so that the command may be repeated, or
 * killed and repeated, at any point. A step says in up->note what it found or did.
 */
#pragma once

#include "cli/install.h"
#include "cli/command.h"

typedef struct {
    Cli *cli;
    Config *config;
    Install *in;
    char *note;
    gboolean changed; /* something was not as it should be */
} Up;

typedef gboolean (*UpRun)(Up *up, GError **error);

typedef struct {
    const char *name;
    UpRun run;
} UpStep;

/* What the running step shows when it is over: "already so" unless changed. */
void up_found(Up *up, const char *format, ...) G_GNUC_PRINTF(2, 3);
void up_did(Up *up, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* cli/up_database.c */
gboolean up_database_files(Up *up, GError **error);
gboolean up_database_server(Up *up, GError **error);
gboolean up_databases(Up *up, GError **error);
/* cli/up_machine.c */
gboolean up_programs(Up *up, GError **error);
gboolean up_user(Up *up, GError **error);
gboolean up_certificates(Up *up, GError **error);
gboolean up_libvirt(Up *up, GError **error);
/* cli/up_daemons.c */
gboolean up_schema(Up *up, GError **error);
gboolean up_registry(Up *up, GError **error);
gboolean up_berthd(Up *up, GError **error);
/* cli/up_cloud.c */
gboolean up_account(Up *up, GError **error);
gboolean up_zones(Up *up, GError **error);
gboolean up_hosts(Up *up, GError **error);
