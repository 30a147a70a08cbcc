/*
 * handlers/admission.h - room for instances on hosts, decided under lock
 *
 * Hosts are locked FOR UPDATE, ids ascending, before what they hold is read, so that calls which
 * admit to the same hosts wait for each other and never oversell. What does not fit is
 * INSUFFICIENT_CAPACITY: EC2's sentence, then each host and why.
 */
#pragma once

#include "handlers/request.h"
#include "model/capacity.h"
#include "model/instance.h"

typedef struct {
    char *zone_name;
    GPtrArray *hosts; /* of the zone, locked; NULL once freed */
    guint *choice;    /* index into hosts, for each of count instances */
    guint count;
} Admission;

void admission_clear(Admission *admission);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Admission, admission_clear)

/* Finds hosts for minimum to maximum instances of this type in one zone: the one named, or the one
 * with most room when zone_name is NULL. */
gboolean admission_find(Request *rq, const char *zone_name, const char *type,
                        const CapacityNeed *need, guint minimum, guint maximum,
                        Admission *ret_admission, GError **error);

/* Checks that stopped instances which hold nothing may hold their hosts again: all or none. */
gboolean admission_readmit(Request *rq, const GPtrArray *instances, GError **error);
