/*
 * drivers/ssh.h - SSH to an instance: one known host key, one key of ours, fixed commands
 *
 * The host key must be one that the caller knows beforehand: there is no trust on first use.
 * Every call ends by its deadline; output is bounded. One thread uses a session at a time.
 * Errors: SSH (transient: refused, reset, timed out), SSH_HOST_KEY (permanent; shows both
 * fingerprints), INTERNAL.
 * Source: RFC 4253, RFC 4254; libssh2's manual.
 */
#pragma once

#include <glib.h>

typedef struct SshSession SshSession;

typedef struct {
    const char *address;
    guint port;
    const char *user;
    const char *host_keys;   /* lines "type base64" */
    const char *private_key; /* OpenSSH's PEM form */
    guint timeout_ms;        /* to connect and log in */
} SshTarget;

SshSession *ssh_open(const SshTarget *target, GError **error);
void ssh_close(SshSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SshSession, ssh_close)

typedef struct {
    int status;   /* of the command; -1 when a signal ended it */
    char *output; /* standard output, at most 64 KiB, NUL-terminated */
    char *errors; /* standard error, at most 16 KiB */
} SshResult;
void ssh_result_clear(SshResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SshResult, ssh_result_clear)

/* Runs script by sh as root (by sudo where the user is not root). It is program text of ours:
 * values come on its standard input. Succeeds whatever the status is. */
gboolean ssh_script(SshSession *session, const char *script, const char *input, gsize length,
                    guint timeout_ms, SshResult *ret_result, GError **error);
/* The same with a file as what follows input. */
gboolean ssh_script_file(SshSession *session, const char *script, const char *input, gsize length,
                         int fd, guint timeout_ms, SshResult *ret_result, GError **error);

/* "SHA256:..." of a line "type base64", as ssh-keygen -l shows it; NULL when it is no key. */
char *ssh_fingerprint(const char *line);
