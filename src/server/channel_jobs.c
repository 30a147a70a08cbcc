#include "server/channel_jobs.h"

#include <pthread.h>
#include <unistd.h>

typedef struct {
    ChannelJob *first;
    ChannelJob **last;
} JobList;

struct ChannelJobs {
    const ChannelWorld *world;
    int event_fd;
    guint workers;
    pthread_t *threads;
    pthread_mutex_t lock; /* guards the lists and stopping */
    pthread_cond_t wake;
    JobList todo;
    JobList done;
    gboolean stopping;
};

static void list_init(JobList *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_push(JobList *list, ChannelJob *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

static ChannelJob *list_pop(JobList *list)
{
    ChannelJob *job = list->first;

    if (!job)
        return NULL;
    list->first = job->next;
    if (!list->first)
        list->last = &list->first;
    return job;
}

static void job_free(ChannelJob *job)
{
    if (job->clear)
        job->clear(job);
    g_free(job);
}

static void job_is_done(ChannelJobs *jobs, ChannelJob *job)
{
    const guint64 one = 1;

    pthread_mutex_lock(&jobs->lock);
    list_push(&jobs->done, job);
    pthread_mutex_unlock(&jobs->lock);
    if (write(jobs->event_fd, &one, sizeof one) < 0)
        return; /* the counter is full: the loop is awake */
}

/* The next job; NULL when it is time to end and nothing is left. */
static ChannelJob *next_job(ChannelJobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->todo.first && !jobs->stopping)
        pthread_cond_wait(&jobs->wake, &jobs->lock);
    ChannelJob *job = list_pop(&jobs->todo);
    pthread_mutex_unlock(&jobs->lock);
    return job;
}

static void *worker_main(void *arg)
{
    ChannelJobs *jobs = arg;
    ChannelJob *job;

    while ((job = next_job(jobs))) {
        job->work(job, jobs->world);
        job_is_done(jobs, job);
    }
    return NULL;
}

ChannelJobs *channel_jobs_new(const ChannelWorld *world, guint workers, int event_fd)
{
    ChannelJobs *jobs = g_new0(ChannelJobs, 1);

    jobs->world = world;
    jobs->event_fd = event_fd;
    jobs->workers = workers;
    jobs->threads = g_new0(pthread_t, workers);
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->wake, NULL);
    list_init(&jobs->todo);
    list_init(&jobs->done);
    for (guint i = 0; i < workers; i++)
        pthread_create(&jobs->threads[i], NULL, worker_main, jobs);
    return jobs;
}

void channel_jobs_submit(ChannelJobs *jobs, ChannelJob *job)
{
    pthread_mutex_lock(&jobs->lock);
    list_push(&jobs->todo, job);
    pthread_cond_signal(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
}

void channel_jobs_post(ChannelJobs *jobs, ChannelJob *job)
{
    job_is_done(jobs, job);
}

void channel_jobs_finish(ChannelJobs *jobs, gpointer loop)
{
    pthread_mutex_lock(&jobs->lock);
    ChannelJob *job = jobs->done.first;
    list_init(&jobs->done);
    pthread_mutex_unlock(&jobs->lock);
    while (job) {
        ChannelJob *next = job->next;
        job->done(job, loop);
        job_free(job);
        job = next;
    }
}

void channel_jobs_free(ChannelJobs *jobs)
{
    ChannelJob *job;

    if (!jobs)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = TRUE;
    pthread_cond_broadcast(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
    for (guint i = 0; i < jobs->workers; i++)
        pthread_join(jobs->threads[i], NULL);
    while ((job = list_pop(&jobs->done)))
        job_free(job);
    pthread_cond_destroy(&jobs->wake);
    pthread_mutex_destroy(&jobs->lock);
    g_free(jobs->threads);
    g_free(jobs);
}
