#include "agent/images.h"
#include "agent/image_name.h"
#include "agent/image_pull.h"
#include "agent/image_table.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/fault.h"
#include "base/log.h"
#include "drivers/docker_image.h"

#include <string.h>
#include <sys/statvfs.h>

#define AGENT_IMAGE "berth-agent" /* never removed, whoever pulled it */
#define IMAGES_FILE "images.json"
#define SOON_MS     200

struct AgentImages {
    AgentEngine *engine;
    AgentImageTable *table;
    LoopTimer cycle;
    LoopTimer disk;
    guint left;       /* images that may still go in this cycle */
    gboolean dirty;   /* not on disk yet */
    gboolean listing; /* Docker is being asked for all images */
    gboolean low;     /* the disk was low when it was looked at last */
    char *removing;   /* name */
};

typedef struct {
    AgentImages *images;
    Docker *docker; /* borrowed */
    char *image;
    GPtrArray *names; /* of a listing */
    GError *error;
} ImageJob;

static void job_free(ImageJob *job)
{
    if (!job)
        return;
    g_free(job->image);
    if (job->names)
        g_ptr_array_unref(job->names);
    g_clear_error(&job->error);
    g_free(job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageJob, job_free)

static const AgentConfig *config_of(const AgentImages *images)
{
    return images->engine->config;
}

static void save(AgentImages *images)
{
    json_auto_t *tree = agent_image_table_save(images->table);
    g_autoptr(GError) cause = NULL;

    images->dirty = !agent_state_keep(config_of(images)->data_dir, IMAGES_FILE, tree, &cause);
    if (cause)
        log_error("-", "%s", cause->message);
}

/* -- what is known */

void agent_images_pulled(AgentImages *images, const char *image)
{
    agent_image_table_pulled(images->table, image, clock_now_us());
    save(images);
    agent_images_check(images);
}

gboolean agent_images_has(const AgentImages *images, const char *image)
{
    return agent_image_table_has(images->table, image);
}

void agent_images_used(AgentImages *images, const char *image)
{
    if (agent_image_table_used(images->table, image, clock_now_us()))
        images->dirty = TRUE;
    if (images->low)
        agent_images_check(images);
}

gboolean agent_images_is_removing(const AgentImages *images, const char *name)
{
    return images->removing && strcmp(images->removing, name) == 0;
}

void agent_images_check(AgentImages *images)
{
    loop_timer_hasten(images->engine->loop, &images->disk, clock_mono_ms() + SOON_MS);
}

/* -- what may go */

static gboolean disk_is_low(AgentImages *images)
{
    const AgentConfig *config = config_of(images);
    const char *path = *config->disk_path ? config->disk_path : config->data_dir;
    struct statvfs disk;
    gboolean low = FALSE;

    /* of what others than root may use, as df(1) has it */
    if (config->disk_min_free && statvfs(path, &disk) == 0 && disk.f_blocks > 0) {
        guint64 whole = disk.f_blocks - disk.f_bfree + disk.f_bavail;
        low = disk.f_bavail * 100 < whole * config->disk_min_free;
        if (low && !images->low)
            log_warn("-", "the disk of \"%s\" has %u %% free, less than %u %%", path,
                     (guint)(disk.f_bavail * 100 / MAX(whole, 1)), config->disk_min_free);
    }
    images->low = low;
    return low;
}

static void need(GHashTable *needed, const char *image)
{
    g_hash_table_add(needed, agent_image_name(image));
}

/* Names that must stay: of tasks whose containers are not all removed, of pulls, of settings. */
static GHashTable *needed_names(const AgentImages *images)
{
    const AgentEngine *engine = images->engine;
    GHashTable *needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) kept = g_strsplit(engine->config->foreign_kept, ",", -1);

    for (guint i = 0; i < engine->tasks->len; i++) {
        const AgentTask *task = engine->tasks->pdata[i];
        for (guint n = 0; n < task->containers->len; n++) {
            const AgentContainer *c = agent_task_container(task, n);
            if (c->at < AT_STOPPED || (c->at == AT_STOPPED && c->docker_id))
                need(needed, c->image);
        }
    }
    agent_pulls_names(engine->image_pulls, needed);
    need(needed, AGENT_IMAGE);
    for (char **name = kept; *name; name++)
        if (*g_strstrip(*name))
            need(needed, *name);
    return needed;
}

/* Has the containers of the task that stopped first removed before their time. FALSE when there is
 * none, or one is on its way. */
static void release_task(AgentImages *images)
{
    const AgentEngine *engine = images->engine;
    AgentTask *first = NULL;

    for (guint i = 0; i < engine->tasks->len; i++) {
        AgentTask *task = engine->tasks->pdata[i];
        if (task->want == WANT_REMOVED)
            return;
        if (task->stopped_us && task->containers->len &&
            (!first || task->stopped_us < first->stopped_us))
            first = task;
    }
    if (!first)
        return;
    log_info(first->id, "its containers are removed early: the disk is low");
    first->want = WANT_REMOVED;
    agent_task_keep(first);
    agent_engine_wake(images->engine, clock_mono_ms());
}

/* -- removing */

static void run_remove(gpointer user)
{
    ImageJob *job = user;

    docker_image_remove(job->docker, job->image, &job->error);
    FAULT_POINT("agent.image_removed");
}

static void next(AgentImages *images);

static void on_removed(gpointer user)
{
    g_autoptr(ImageJob) job = user;
    AgentImages *images = job->images;
    gboolean refused = error_is(job->error, ERROR_DOCKER);

    g_clear_pointer(&images->removing, g_free);
    if (refused) {
        log_debug("-", "image \"%s\" stays: %s", job->image, job->error->message);
        agent_image_table_refused(images->table, job->image, clock_now_us());
    } else if (job->error) {
        log_warn("-", "image \"%s\" is not removed: %s", job->image, job->error->message);
    } else {
        log_info("-", "image \"%s\" is removed", job->image);
        agent_image_table_forget(images->table, job->image);
        images->left -= images->left > 0 ? 1 : 0;
        save(images);
    }
    agent_pulls_resume(images->engine->image_pulls);
    if (!job->error || refused)
        next(images);
}

static ImageJob *job_new(AgentImages *images, const char *image)
{
    ImageJob *job = g_new0(ImageJob, 1);

    job->images = images;
    job->docker = images->engine->docker;
    job->image = g_strdup(image);
    return job;
}

/* Removes one more image if one has to go now. */
static void next(AgentImages *images)
{
    const AgentConfig *config = config_of(images);
    gboolean low = disk_is_low(images);
    AgentImageRule rule = { .now_us = clock_now_us(), .foreign = config->clean_foreign };

    if (images->removing || config->keep_images || (!low && !images->left))
        return;
    if (!low) {
        rule.age_us = config->image_age_ms * G_GINT64_CONSTANT(1000);
        rule.foreign_age_us = config->foreign_age_ms * G_GINT64_CONSTANT(1000);
    }
    g_autoptr(GHashTable) needed = needed_names(images);
    rule.needed = needed;
    const AgentImage *oldest = agent_image_table_oldest(images->table, &rule);
    if (oldest) {
        images->removing = g_strdup(oldest->name);
        pool_push(images->engine->acts, run_remove, on_removed, job_new(images, oldest->image));
        return;
    }
    images->left = 0;
    if (low)
        release_task(images);
}

/* -- listing what others pulled */

static void run_list(gpointer user)
{
    ImageJob *job = user;

    job->names = docker_image_names(job->docker, &job->error);
}

static void on_listed(gpointer user)
{
    g_autoptr(ImageJob) job = user;
    AgentImages *images = job->images;

    images->listing = FALSE;
    if (job->names) {
        agent_image_table_list(images->table, job->names, clock_now_us());
        images->dirty = TRUE;
    }
    next(images);
}

static void on_cycle(gpointer user)
{
    AgentImages *images = user;
    const AgentConfig *config = config_of(images);

    loop_timer_set(images->engine->loop, &images->cycle,
                   clock_mono_ms() + config->image_interval_ms);
    if (config->keep_images || config->pull_behavior == PULL_PREFER_CACHED)
        return;
    images->left = config->images_per_cycle;
    if (!config->clean_foreign) {
        next(images);
    } else if (!images->listing) {
        images->listing = TRUE;
        pool_push(images->engine->acts, run_list, on_listed, job_new(images, NULL));
    }
}

static void on_disk(gpointer user)
{
    AgentImages *images = user;

    loop_timer_set(images->engine->loop, &images->disk,
                   clock_mono_ms() + config_of(images)->disk_check_ms);
    if (images->dirty)
        save(images);
    next(images);
}

AgentImages *agent_images_new(AgentEngine *engine)
{
    AgentImages *images = g_new0(AgentImages, 1);
    json_auto_t *tree = agent_state_kept(engine->config->data_dir, IMAGES_FILE);
    gint64 now_ms = clock_mono_ms();

    images->engine = engine;
    images->table = agent_image_table_new();
    agent_image_table_restore(images->table, tree);
    loop_timer_init(&images->cycle, on_cycle, images);
    loop_timer_init(&images->disk, on_disk, images);
    loop_timer_set(engine->loop, &images->cycle, now_ms + engine->config->image_interval_ms);
    loop_timer_set(engine->loop, &images->disk, now_ms + engine->config->disk_check_ms);
    return images;
}
