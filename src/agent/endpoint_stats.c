/* Counters of containers: each is read by a thread of its own, as a reading takes Docker a second.
 */
#include "agent/endpoint.h"

#include <string.h>

/* One request that waits for its readings. */
typedef struct {
    AgentEndpoint *endpoint;
    guint64 id;
    json_t *all; /* Docker id -> reading, for a task; NULL: the answer is the one reading */
    guint missing;
} Asked;

typedef struct {
    Asked *asked;
    Docker *docker; /* borrowed */
    char *docker_id;
    json_t *stats;
} Reading;

static void reading_run(gpointer user)
{
    Reading *reading = user;

    reading->stats = docker_stats_compared(reading->docker, reading->docker_id, NULL);
}

static void asked_settle(Asked *asked, json_t *answer)
{
    serve_answer(asked->endpoint->tasks, asked->id, answer ? 200 : 500,
                 answer ? answer : json_string("docker does not tell the counters"));
    g_free(asked);
}

static void reading_done(gpointer user)
{
    g_autofree Reading *reading = user;
    g_autofree char *docker_id = reading->docker_id;
    Asked *asked = reading->asked;

    if (!asked->all) {
        asked_settle(asked, reading->stats);
        return;
    }
    if (reading->stats)
        json_object_set_new(asked->all, docker_id, reading->stats);
    if (--asked->missing == 0)
        asked_settle(asked, asked->all);
}

static void read_one(Asked *asked, const AgentContainer *c)
{
    Reading *reading = g_new0(Reading, 1);

    *reading = (Reading){ asked, asked->endpoint->engine->docker, g_strdup(c->docker_id), NULL };
    pool_push(asked->endpoint->readings, reading_run, reading_done, reading);
}

static gboolean runs(const AgentContainer *c)
{
    return c->at == AT_RUNNING && c->docker_id && !c->internal;
}

void agent_endpoint_stats(AgentEndpoint *endpoint, const ServeRequest *rq, const AgentContainer *c,
                          gboolean null_when_stopped)
{
    if (!runs(c)) {
        serve_answer(endpoint->tasks, rq->id, 200, null_when_stopped ? NULL : json_object());
        return;
    }
    Asked *asked = g_new0(Asked, 1);
    *asked = (Asked){ endpoint, rq->id, NULL, 1 };
    read_one(asked, c);
}

void agent_endpoint_task_stats(AgentEndpoint *endpoint, const ServeRequest *rq,
                               const AgentTask *task, gboolean null_when_stopped)
{
    Asked *asked = g_new0(Asked, 1);

    *asked = (Asked){ endpoint, rq->id, json_object(), 0 };
    for (guint i = 0; i < task->containers->len; i++) {
        const AgentContainer *c = agent_task_container(task, i);
        asked->missing += runs(c);
        if (c->docker_id && !c->internal)
            json_object_set_new(asked->all, c->docker_id,
                                null_when_stopped ? json_null() : json_object());
    }
    if (asked->missing == 0) {
        asked_settle(asked, asked->all);
        return;
    }
    for (guint i = 0; i < task->containers->len; i++)
        if (runs(agent_task_container(task, i)))
            read_one(asked, agent_task_container(task, i));
}
