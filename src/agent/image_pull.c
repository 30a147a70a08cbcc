#include "agent/image_pull.h"
#include "agent/image_auth.h"
#include "agent/image_name.h"
#include "agent/images.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "drivers/docker_image.h"

#include <string.h>

#define TICK_MS    1000
#define REASON_MAX 255

typedef struct {
    AgentActJob *job; /* NULL once it was handed back */
    LoopCall done;
    char *task_arn;
    char *container;
    gint64 joined_us;
} Waiter;

typedef struct {
    AgentPulls *owner;
    Docker *docker;            /* borrowed */
    const AgentConfig *config; /* borrowed */
    char *key;                 /* what makes two pulls equal */
    char *image;
    char *name;
    gboolean may_skip; /* the image that is here will do */
    guint timeout_ms;
    char *secret; /* of the registry's credentials; NULL: the configuration's */
    AgentSigner signer;
    GPtrArray *waiters; /* Waiter */
    gboolean held;      /* not begun: the image is being removed */
    gboolean over;
    gboolean told;  /* its progress was shown */
    gint cancelled; /* atomic: nobody waits for it any more, or ever will */
    /* written by the worker */
    GError *error;
    gboolean here;   /* the image is here, whatever the pull came to */
    gboolean silent; /* Docker itself could not be asked */
    gboolean asked;  /* the registry was asked */
    gint64 began_us, ended_us;
    char *digest;
    /* shared with it */
    pthread_mutex_t lock;
    gboolean moving;
    DockerProgress progress;
} Pull;

struct AgentPulls {
    AgentEngine *engine;
    GPtrArray *list; /* Pull */
    LoopTimer ticker;
    LoopCall call;
    gpointer user;
};

static void waiter_free(gpointer data)
{
    Waiter *waiter = data;

    agent_act_free(waiter->job);
    g_free(waiter->task_arn);
    g_free(waiter->container);
    g_free(waiter);
}

static void pull_free(gpointer data)
{
    Pull *pull = data;

    g_free(pull->key);
    g_free(pull->image);
    g_free(pull->name);
    g_free(pull->secret);
    agent_signer_clear(&pull->signer);
    g_ptr_array_unref(pull->waiters);
    g_clear_error(&pull->error);
    g_free(pull->digest);
    pthread_mutex_destroy(&pull->lock);
    g_free(pull);
}

/* -- in a worker */

static void on_progress(const DockerProgress *progress, gpointer user)
{
    Pull *pull = user;

    pthread_mutex_lock(&pull->lock);
    pull->moving = TRUE;
    pull->progress = *progress;
    pthread_mutex_unlock(&pull->lock);
}

/* Whether the image is here; keeps the digest it is known by unless the registry told one. */
static void see_image(Pull *pull)
{
    g_autofree char *digest = NULL;
    g_autoptr(GError) absent = NULL;

    pull->here = docker_image(pull->docker, pull->image, &digest, &absent);
    pull->silent = absent && !error_is(absent, ERROR_NOT_FOUND);
    if (!pull->digest)
        pull->digest = g_steal_pointer(&digest);
    if (pull->silent && !pull->error)
        pull->error = g_steal_pointer(&absent);
}

/* Run before a pull that may not be needed, among the quick acts. */
static void run_look(gpointer user)
{
    see_image(user);
}

static gboolean transfer(Pull *pull)
{
    json_auto_t *auth = pull->secret
                            ? agent_image_auth_fetch(pull->config, &pull->signer, pull->secret,
                                                     pull->image, &pull->error)
                            : agent_image_auth_configured(pull->config, pull->image);
    const DockerPull how = { .image = pull->image,
                             .auth = auth,
                             .idle_ms = pull->config->pull_idle_ms,
                             .timeout_ms = pull->timeout_ms,
                             .cancelled = &pull->cancelled,
                             .watch = on_progress,
                             .user = pull };

    return !pull->error && docker_pull(pull->docker, &how, &pull->digest, &pull->error);
}

static void run_pull(gpointer user)
{
    Pull *pull = user;

    pull->asked = TRUE;
    pull->began_us = clock_now_us();
    pthread_mutex_lock(&pull->lock);
    pull->moving = TRUE;
    pthread_mutex_unlock(&pull->lock);
    transfer(pull);
    pull->ended_us = clock_now_us();
    FAULT_POINT("agent.pulled");
    see_image(pull);
}

/* -- in the loop */

static gboolean is_final(const GError *error)
{
    static const char *const words[] = { "not found",      "denied",
                                         "unauthorized",   "manifest unknown",
                                         "does not exist", "invalid reference",
                                         "no basic auth",  "incorrect username or password" };

    if (error_is(error, ERROR_NOT_FOUND) || error_is(error, ERROR_API) ||
        error_is(error, ERROR_GAVE_UP))
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (error_is(error, ERROR_DOCKER) && strstr(error->message, words[i]))
            return TRUE;
    return FALSE;
}

/* What the pull means for one container: another try, the image that is here, or neither. */
static void settle(const Pull *pull, const Waiter *waiter)
{
    AgentActJob *job = waiter->job;

    job->pulled = pull->asked;
    job->began_us = MAX(pull->began_us, waiter->joined_us);
    job->ended_us = pull->ended_us;
    job->digest = g_strdup(pull->digest);
    job->error = pull->error ? g_error_copy(pull->error) : NULL;
    if (!job->error || pull->silent || (!job->last_try && !is_final(job->error)))
        return;
    if (pull->here && job->pull == PULL_DEFAULT)
        job->pull_error = g_steal_pointer(&job->error);
    else
        job->gave_up = TRUE;
}

static void on_pulled(gpointer user)
{
    Pull *pull = user;
    AgentPulls *pulls = pull->owner;
    AgentEngine *engine = pulls->engine;

    pull->over = TRUE;
    if (!pull->error && pull->asked)
        agent_images_pulled(engine->images, pull->image);
    else if (pull->error && pull->asked)
        agent_images_check(engine->images); /* the disk may be full */
    for (guint i = 0; i < pull->waiters->len; i++) {
        Waiter *waiter = pull->waiters->pdata[i];
        settle(pull, waiter);
        waiter->done(g_steal_pointer(&waiter->job));
    }
    if (!pull->told && !pull->error)
        g_ptr_array_remove(pulls->list, pull);
}

static void on_looked(gpointer user)
{
    Pull *pull = user;

    if (pull->here || pull->error || g_atomic_int_get(&pull->cancelled))
        on_pulled(pull);
    else
        pool_push(pull->owner->engine->pulls, run_pull, on_pulled, pull);
}

static void begin(Pull *pull)
{
    AgentEngine *engine = pull->owner->engine;
    LoopTimer *ticker = &pull->owner->ticker;

    pull->held = agent_images_is_removing(engine->images, pull->name);
    if (pull->held)
        return;
    if (pull->may_skip)
        pool_push(engine->acts, run_look, on_looked, pull);
    else
        pool_push(engine->pulls, run_pull, on_pulled, pull);
    if (!ticker->due_ms)
        loop_timer_set(engine->loop, ticker, clock_mono_ms() + TICK_MS);
}

void agent_pulls_resume(AgentPulls *pulls)
{
    for (guint i = 0; i < pulls->list->len; i++) {
        Pull *pull = pulls->list->pdata[i];
        if (pull->held)
            begin(pull);
    }
}

static Pull *pull_find(const AgentPulls *pulls, const char *key)
{
    for (guint i = 0; i < pulls->list->len; i++) {
        Pull *pull = pulls->list->pdata[i];
        if (!pull->over && !g_atomic_int_get(&pull->cancelled) && strcmp(pull->key, key) == 0)
            return pull;
    }
    return NULL;
}

static Pull *pull_new(AgentPulls *pulls, const AgentActJob *job, const char *key,
                      const char *secret, const AgentCredentials *role)
{
    const AgentEngine *engine = pulls->engine;
    Pull *pull = g_new0(Pull, 1);

    pull->owner = pulls;
    pull->docker = engine->docker;
    pull->config = engine->config;
    pull->key = g_strdup(key);
    pull->image = g_strdup(job->image);
    pull->name = agent_image_name(job->image);
    pull->may_skip = job->pull == PULL_PREFER_CACHED ||
                     (job->pull == PULL_ONCE && agent_images_has(engine->images, job->image));
    pull->timeout_ms = job->pull_left_ms;
    pull->secret = g_strdup(secret);
    if (role)
        pull->signer =
            (AgentSigner){ g_strdup(role->access_key_id), g_strdup(role->secret_access_key),
                           g_strdup(role->session_token), g_strdup(engine->config->region) };
    pull->waiters = g_ptr_array_new_with_free_func(waiter_free);
    pthread_mutex_init(&pull->lock, NULL);
    g_ptr_array_add(pulls->list, pull);
    return pull;
}

/* Hands a job back at once that cannot be done. */
static void refuse(AgentPulls *pulls, AgentActJob *job, const char *why, LoopCall done)
{
    fail(&job->error, API, "%s", why);
    job->gave_up = TRUE;
    loop_post(pulls->engine->loop, done, job);
}

gboolean agent_pulls_add(AgentPulls *pulls, const AgentTask *task, const AgentContainer *container,
                         AgentActJob *job, LoopCall done)
{
    const char *secret = NULL;
    const AgentCredentials *role = NULL;
    ImageAuth auth =
        agent_image_auth_of(task, container, pulls->engine->credentials, &secret, &role);
    if (auth == IMAGE_AUTH_LATER)
        return FALSE;
    if (auth == IMAGE_AUTH_NEVER || auth == IMAGE_AUTH_UNKNOWN) {
        refuse(pulls, job,
               auth == IMAGE_AUTH_NEVER
                   ? "the task has no execution role to read the registry's credentials"
                   : "this agent takes a registry's credentials from a secret only",
               done);
        return TRUE;
    }
    g_autofree char *name = agent_image_name(job->image);
    g_autofree char *key =
        g_strjoin("\n", name, secret ? secret : "", role ? role->role_arn : "", NULL);
    Pull *pull = pull_find(pulls, key);
    gboolean is_new = !pull;
    if (is_new)
        pull = pull_new(pulls, job, key, secret, role);
    Waiter *waiter = g_new0(Waiter, 1);
    *waiter =
        (Waiter){ job, done, g_strdup(job->task_arn), g_strdup(job->container), clock_now_us() };
    g_ptr_array_add(pull->waiters, waiter);
    if (is_new)
        begin(pull);
    return TRUE;
}

/* Hands a waiter's job back before the pull is over. Takes waiter. */
static void let_go(AgentPulls *pulls, Pull *pull, Waiter *waiter)
{
    AgentActJob *job = g_steal_pointer(&waiter->job);

    pthread_mutex_lock(&pull->lock);
    job->pulled = pull->moving;
    pthread_mutex_unlock(&pull->lock);
    job->began_us = waiter->joined_us;
    job->ended_us = clock_now_us();
    job->gave_up = TRUE;
    fail(&job->error, GAVE_UP, "its task was stopped");
    loop_post(pulls->engine->loop, waiter->done, job);
    waiter_free(waiter);
}

/* Ends a pull that nobody waits for. */
static void cancel(AgentPulls *pulls, Pull *pull)
{
    log_info("-", "image \"%s\" is not pulled any more: no task needs it", pull->image);
    if (pull->held)
        g_ptr_array_remove(pulls->list, pull);
    else
        g_atomic_int_set(&pull->cancelled, 1);
}

void agent_pulls_leave(AgentPulls *pulls, const char *task_arn, const char *container)
{
    for (guint i = 0; i < pulls->list->len; i++) {
        Pull *pull = pulls->list->pdata[i];
        for (guint n = 0; !pull->over && n < pull->waiters->len; n++) {
            const Waiter *waiter = pull->waiters->pdata[n];
            if (strcmp(waiter->task_arn, task_arn) != 0 ||
                strcmp(waiter->container, container) != 0)
                continue;
            let_go(pulls, pull, g_ptr_array_steal_index(pull->waiters, n));
            if (pull->waiters->len == 0)
                cancel(pulls, pull);
            return;
        }
    }
}

void agent_pulls_names(const AgentPulls *pulls, GHashTable *names)
{
    for (guint i = 0; i < pulls->list->len; i++) {
        const Pull *pull = pulls->list->pdata[i];
        if (!pull->over)
            g_hash_table_add(names, g_strdup(pull->name));
    }
}

/* -- progress */

static const char *status_of(const Pull *pull, const DockerProgress *progress)
{
    if (pull->over)
        return pull->error ? "FAILED" : "PULLED";
    return progress->unpacking && progress->layers > 0 ? "EXTRACTING" : "PULLING";
}

static json_t *waiter_progress(const Pull *pull, const Waiter *waiter, const DockerProgress *p)
{
    json_t *tree =
        json_pack("{s:s, s:s, s:i, s:I, s:I, s:i, s:i}", "containerName", waiter->container,
                  "status", status_of(pull, p), "percent", (int)p->percent, "currentBytes",
                  (json_int_t)p->current_bytes, "totalBytes", (json_int_t)p->total_bytes, "layers",
                  (int)p->layers, "layersDone", (int)p->layers_done);

    if (pull->over && pull->error) {
        g_autofree char *valid = g_utf8_make_valid(pull->error->message, -1);
        g_autofree char *cut =
            g_utf8_substring(valid, 0, MIN(g_utf8_strlen(valid, -1), REASON_MAX));
        json_object_set_new(tree, "reason", json_string(cut));
    }
    return tree;
}

/* The list of a task's containers in tasks. */
static json_t *containers_of(json_t *tasks, const char *arn)
{
    json_t *task;
    gsize n;

    json_array_foreach(tasks, n, task)
    {
        if (strcmp(json_string_value(json_object_get(task, "taskArn")), arn) == 0)
            return json_object_get(task, "containers");
    }
    json_t *list = json_array();
    json_array_append_new(tasks, json_pack("{s:s, s:o}", "taskArn", arn, "containers", list));
    return list;
}

json_t *agent_pulls_progress(const AgentPulls *pulls)
{
    json_t *tasks = json_array();

    for (guint i = 0; i < pulls->list->len; i++) {
        Pull *pull = pulls->list->pdata[i];
        pthread_mutex_lock(&pull->lock);
        DockerProgress progress = pull->progress;
        gboolean moving = pull->moving;
        pthread_mutex_unlock(&pull->lock);
        pull->told = pull->told || moving;
        for (guint n = 0; moving && n < pull->waiters->len; n++) {
            const Waiter *waiter = pull->waiters->pdata[n];
            json_array_append_new(containers_of(tasks, waiter->task_arn),
                                  waiter_progress(pull, waiter, &progress));
        }
    }
    return tasks;
}

/* What is over is shown once more and then dropped. */
static void on_tick(gpointer user)
{
    AgentPulls *pulls = user;

    if (pulls->call)
        pulls->call(pulls->user);
    for (guint i = pulls->list->len; i-- > 0;) {
        const Pull *pull = pulls->list->pdata[i];
        if (pull->over)
            g_ptr_array_remove_index(pulls->list, i);
    }
    if (pulls->list->len)
        loop_timer_set(pulls->engine->loop, &pulls->ticker, clock_mono_ms() + TICK_MS);
}

void agent_pulls_watch(AgentPulls *pulls, LoopCall call, gpointer user)
{
    pulls->call = call;
    pulls->user = user;
}

AgentPulls *agent_pulls_new(AgentEngine *engine)
{
    AgentPulls *pulls = g_new0(AgentPulls, 1);

    pulls->engine = engine;
    pulls->list = g_ptr_array_new_with_free_func(pull_free);
    loop_timer_init(&pulls->ticker, on_tick, pulls);
    return pulls;
}
