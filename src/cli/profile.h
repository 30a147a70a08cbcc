/*
 * cli/profile.h - who calls and where: the folder ~/.berth, in the format of the stock tools
 *
 *     config            [profile berth] region, ca_bundle, endpoint_url
 *     credentials       [berth] access keys, mode 0600
 *     keys/NAME.pem     private SSH keys made by "berth key create", mode 0600
 *     known_hosts       host keys of instances, as the hypervisor's own channel reported them
 *
 * Under sudo the folder is that of the user who called sudo, and files are given to that user. An
 * installation below --root keeps its folder there. Errors: CONFIG.
 */
#pragma once

#include "cli/command.h"

typedef struct {
    char *folder;
    char *name;
    char *endpoint;
    char *region;
    char *ca_file;
    char *access_key_id;
    char *secret;
    char *session_token; /* NULL for none */
} Profile;

/* The folder; BERTH_HOME overrides it. Caller frees. */
char *profile_folder(Cli *cli, GError **error);
/* Reads the profile that --profile names. Caller frees. */
Profile *profile_load(Cli *cli, GError **error);
/* Writes it; *ret_changed says whether anything was not as it should be. */
gboolean profile_save(const Profile *profile, gboolean *ret_changed, GError **error);
void profile_free(Profile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Profile, profile_free)

/* A file of the folder; its parent folder is made. Callers free. */
char *profile_file(const Profile *profile, const char *name, GError **error);
/* Writes a file of the folder with mode, for the user it belongs to. */
gboolean profile_write(const char *file, const char *text, int mode, GError **error);
