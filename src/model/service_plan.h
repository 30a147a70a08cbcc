/*
 * model/service_plan.h - what a service's scheduler does next: pure, from facts to a plan
 *
 * lower = ceil(desired x minimumHealthyPercent), upper = floor(desired x maximumPercent). New tasks
 * of the PRIMARY deployment start while all live tasks are fewer than upper; tasks that are not
 * wanted stop while the healthy ones stay at lower, and while they are not protected: a service
 * that is deleted, a sick task and daemons know no protection. Times are UTC microseconds.
 * Source: ECS Developer Guide, "Amazon ECS services", "Deployment circuit breaker".
 */
#pragma once

#include <glib.h>

/* A task that is not STOPPED. */
typedef struct {
    const char *deployment_id;
    const char *zone;  /* NULL: not placed */
    gint64 instance;   /* where it is, or is to go; 0: not decided */
    gboolean running;  /* lastStatus RUNNING */
    gboolean healthy;  /* running, and its health check (if it has one) says HEALTHY */
    gboolean sick;     /* its health check says UNHEALTHY */
    gboolean stopping; /* desiredStatus STOPPED */
    gboolean lost;     /* its container instance was given up: counts for nothing */
    gboolean draining; /* its container instance is DRAINING */
    gint64 created_us;
    gint64 protected_us; /* until then scaling in and deployments leave it alone; 0: they do not */
} PlanTask;

/* A container instance, for daemons: all of the cluster that are not lost. */
typedef struct {
    gint64 instance;
    gboolean eligible; /* attributes and constraints allow the task */
    gboolean draining;
    gboolean others; /* tasks that are no daemons are on it */
} PlanPlace;

typedef enum { ROLLOUT_IN_PROGRESS, ROLLOUT_COMPLETED, ROLLOUT_FAILED } Rollout;

typedef struct {
    gint64 desired;
    gint64 minimum_percent, maximum_percent;
    gboolean daemon;
    gboolean deleting;    /* wants no task any more */
    const char *primary;  /* deployment id */
    Rollout rollout;      /* of PRIMARY */
    gint64 failed_tasks;  /* of PRIMARY, before the new ones */
    gboolean ever_ran;    /* a task of PRIMARY has been RUNNING */
    gboolean breaker;     /* deploymentCircuitBreaker.enable */
    gint64 new_failures;  /* tasks that ended without having run since the last plan */
    gint64 failed_starts; /* rounds of failures in a row */
    gint64 next_start_us; /* no start before; 0: none */
    gint64 now_us;
    const PlanTask *tasks;
    guint task_count;
    const PlanPlace *places; /* daemon */
    guint place_count;
} PlanFacts;

typedef struct {
    guint start;      /* tasks of PRIMARY */
    GArray *start_on; /* of gint64: daemon: instances, one task each */
    GArray *stops;    /* of guint: indices of tasks */
    gint64 desired;   /* of PRIMARY, as shown */
    Rollout rollout;  /* of PRIMARY, after this */
    gint64 failed_tasks;
    gint64 failed_starts;
    gint64 next_start_us;
    gint64 look_us;        /* a task's protection keeps it from stopping until then; 0: none does */
    gboolean told_failing; /* the service has become unable to start tasks: say so */
    gboolean steady;       /* everything is as wanted */
    gboolean stuck;        /* percentages allow neither a start nor a stop */
    gboolean more;         /* bounded: plan again at once */
} Plan;

/* Caller frees. */
Plan *service_plan(const PlanFacts *facts);
void service_plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, service_plan_free)

/* Most tasks started or stopped by one plan. */
#define PLAN_BATCH_MAX 2000
/* Failed tasks at which the circuit breaker opens. */
gint64 service_breaker_threshold(gint64 desired);
/* Seconds between starts after this many rounds of failures: none after the first, then 1 doubling
 * to 15 minutes. */
gint64 service_start_delay_s(gint64 failed_starts);
