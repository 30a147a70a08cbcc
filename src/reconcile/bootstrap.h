/*
 * reconcile/bootstrap.h - parts of the bootstrap's step: the run over SSH, and what it brings
 *
 * A run connects (the host key is known beforehand), probes, installs, configures and starts,
 * each only where it is not already so, and may be repeated from the start at any time.
 */
#pragma once

#include "model/instance.h"
#include "reconcile/step.h"
#include "store/bootstraps.h"

/* Everything up to stage "started". Errors of store/db.h and drivers/ssh.h. */
gboolean bootstrap_run(World *world, const Bootstrap *b, const Instance *i, GError **error);

/* Credentials live for so long, and are renewed when half of it is over. */
#define BOOTSTRAP_CREDENTIALS_US (7 * 86400 * G_GINT64_CONSTANT(1000000))

/* "https://ADVERTISE:PORT"; the advertised address, or the network's gateway. Callers free. */
char *bootstrap_advertise(const Config *config, GError **error);
/* agent.conf without its credentials. */
char *bootstrap_settings(const Config *config, const char *advertise, const char *cluster,
                         const char *instance_id);
