#include "agent/kernel_log.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/klog.h>

#define LOG_MAX (1024 * 1024) /* bytes; of a longer log, its end */

/* From the kernel's own include/linux/syslog.h, which no package installs. */
enum { SYSLOG_READ_ALL = 3, SYSLOG_SIZE = 10 };

/* The victim's group is named last of three; the group whose limit was hit may be its task's. */
static gboolean line_tells(const char *line, gsize length, const char *docker_id)
{
    const char *kill = g_strstr_len(line, (gssize)length, "oom-kill:");
    const char *group = kill ? g_strstr_len(kill, line + length - kill, ",task_memcg=") : NULL;
    const char *end = group ? memchr(group + 1, ',', (gsize)(line + length - group - 1)) : NULL;

    return end && g_strstr_len(group, end - group, docker_id);
}

gboolean agent_kernel_log_tells(const char *text, const char *docker_id)
{
    while (*text) {
        gsize length = strcspn(text, "\n");
        if (line_tells(text, length, docker_id))
            return TRUE;
        text += length + (text[length] == '\n');
    }
    return FALSE;
}

gboolean agent_kernel_log_killed(const char *docker_id)
{
    int whole = klogctl(SYSLOG_SIZE, NULL, 0);
    int size = CLAMP(whole, 1, LOG_MAX);
    g_autofree char *text = g_malloc((gsize)size + 1);
    int length = klogctl(SYSLOG_READ_ALL, text, size);

    if (length < 0) {
        log_debug(docker_id, "the kernel's log cannot be read: %s", g_strerror(errno));
        return FALSE;
    }
    text[length] = '\0';
    return agent_kernel_log_tells(text, docker_id);
}
