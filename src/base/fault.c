#include "base/fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

gboolean fault_armed;

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static char *fault_name;
static gint64 fault_countdown;
static int fault_trace = -1;

void fault_init(void)
{
    const char *fault = g_getenv("BERTH_FAULT");
    const char *trace = g_getenv("BERTH_FAULT_TRACE");

    if (fault) {
        const char *colon = strrchr(fault, ':');
        fault_name = colon ? g_strndup(fault, (gsize)(colon - fault)) : g_strdup(fault);
        fault_countdown = colon ? g_ascii_strtoll(colon + 1, NULL, 10) : 1;
    }
    if (trace)
        fault_trace = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    fault_armed = fault_name || fault_trace >= 0;
}

void fault_hit(const char *name)
{
    pthread_mutex_lock(&fault_lock);
    if (fault_trace >= 0) {
        g_autofree char *line = g_strconcat(name, "\n", NULL);
        if (write(fault_trace, line, strlen(line)) < 0)
            fault_trace = -1;
    }
    if (fault_name && strcmp(fault_name, name) == 0 && --fault_countdown == 0)
        kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&fault_lock);
}
